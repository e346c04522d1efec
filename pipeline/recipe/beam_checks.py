"""Beam: what each runner needs, and what it has no use for."""

import difflib
import re
from collections.abc import Iterator

from pipeline.recipe.beam import Beam
from pipeline.recipe.errors import Problem
from pipeline.recipe.model import Recipe

# a runner's settings, beside `runner` and `options`
_TAKES = {
    "local": ("mode", "workers"),
    "portable": ("job_endpoint", "workers", "worker_pool", "sdk_image"),
    "flink": ("job_endpoint", "master", "workers", "worker_pool", "sdk_image"),
    "spark": ("job_endpoint", "master", "worker_pool", "sdk_image"),
    "dataflow": ("project", "region", "temp_location", "sdk_image", "workers"),
}
_SERVICE, _CLUSTER = (
    "`job_endpoint` (host:port of a job service that is running)",
    "`master` (the cluster's address, for which Beam starts a job service here)",
)
_WORKERS = (
    "`worker_pool` (host:port of Beam's worker pool beside each worker) or `sdk_image` (an image built from "
    "the Dockerfile)"
)
_RUNS = {("job_endpoint", "master"): f"{_SERVICE} or {_CLUSTER}", ("worker_pool", "sdk_image"): _WORKERS}
# of each group exactly one is needed
_NEEDS: dict[str, dict[tuple[str, ...], str]] = {
    "local": {},
    "portable": {("job_endpoint",): _SERVICE, ("worker_pool", "sdk_image"): _WORKERS},
    "flink": _RUNS,
    "spark": _RUNS,
    "dataflow": {
        ("project",): "`project`",
        ("region",): "`region` (such as europe-west4)",
        ("temp_location",): "`temp_location` (gs://bucket/folder for its own files)",
        ("sdk_image",): "`sdk_image` (an image built from the Dockerfile, in a registry that it can read)",
    },
}
# options of Beam's that settings of the recipe become
_OWN = {
    "runner": "runner",
    "direct_running_mode": "mode",
    "direct_num_workers": "workers",
    "parallelism": "workers",
    "max_num_workers": "workers",
    "job_endpoint": "job_endpoint",
    "flink_master": "master",
    "spark_master_url": "master",
    "environment_type": "worker_pool or beam.sdk_image",
    "environment_config": "worker_pool or beam.sdk_image",
    "sdk_container_image": "sdk_image",
    "worker_harness_container_image": "sdk_image",
    "project": "project",
    "region": "region",
    "temp_location": "temp_location",
}
_SECRET = re.compile(r"password|secret|token|access_key|connection_string|credential", re.IGNORECASE)


def beam_problems(recipe: Recipe) -> Iterator[Problem]:
    beam = recipe.beam
    takes = _TAKES[beam.runner]
    for name, field in Beam.model_fields.items():
        if name not in ("runner", "options", *takes) and getattr(beam, name) != field.default:
            of = [runner for runner, settings in _TAKES.items() if name in settings]
            yield Problem(
                f"beam.{name}",
                f"is nothing that the runner {beam.runner} has; it is of {', '.join(of)}, and {beam.runner} "
                f"takes {', '.join(takes)}",
                value=getattr(beam, name),
            )
    for choice, words in _NEEDS[beam.runner].items():
        given = [name for name in choice if getattr(beam, name) is not None]
        if not given:
            yield Problem("beam", f"the runner {beam.runner} needs {words}, and there is none here")
        if len(given) > 1:
            yield Problem("beam", f"has {' and '.join(given)}, of which only one can be meant")
    for name, value in beam.options.items():
        if message := _wrong_option(name, value):
            yield Problem(f"beam.options.{name}", message)


def _wrong_option(name: str, value: object) -> str:
    if name in _OWN:
        return f"is beam.{_OWN[name]} in a recipe"
    if _SECRET.search(name):
        return (
            "is a credential and has no place in a recipe; Beam finds those of the environment "
            "(AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, an instance's role)"
        )
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, (bool, int, float, str)) for item in items):
        return "must be true or false, a number, a text or a list of texts"
    known = _beam_options()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        return "is no option of Beam's" + (f"; did you mean {near[0]}?" if near else "")
    if isinstance(value, bool) != known[name]:
        return (
            "is a switch of Beam's: true or false" if known[name] else "takes a value, and not true or false"
        )
    return ""


def _beam_options() -> dict[str, bool]:
    """Beam's options by name, and whether each is a switch. Imports Beam."""
    import argparse

    from apache_beam.options import pipeline_options

    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    for options in pipeline_options.PipelineOptions.__subclasses__():
        if options.__module__ == pipeline_options.__name__:
            options._add_argparse_args(parser)
    return {
        flag.removeprefix("--"): action.nargs == 0
        for action in parser._actions
        for flag in action.option_strings
    }

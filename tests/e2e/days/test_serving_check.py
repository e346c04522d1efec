"""The step that serves a model once for real, called as TFX does, on models that must not be pushed."""

import pytest

from pipeline.recipe import load


@pytest.fixture(scope="module")
def serving_check(place, days, tmp_path_factory):
    """Calls the step as TFX does: on a model's folder with settings, gives the verdict and the blessing."""
    from tfx.types import standard_artifacts

    from pipeline.components.artifacts import Verdict
    from pipeline.components.serving_check import ServingCheck
    from pipeline.components.verdicts import read_verdicts

    def checked(model_folder, *settings):
        folder = tmp_path_factory.mktemp("check")
        model, examples, verdict = standard_artifacts.Model(), standard_artifacts.Examples(), Verdict()
        infra = standard_artifacts.InfraBlessing()
        (folder / "model").mkdir()
        (folder / "model" / "Format-Serving").symlink_to(model_folder)
        model.uri, verdict.uri, infra.uri = (str(folder / n) for n in ("model", "verdict", "infra"))
        examples.uri = str(days["next_day"].folder / "examples")
        recipe = load(place / "recipe.yaml", settings).model_dump_json()
        check = ServingCheck.EXECUTOR_SPEC.executor_class._FUNCTION  # what TFX calls in the pipeline
        check(examples=examples, model=model, recipe=recipe, code="", verdict=verdict, infra_blessing=infra)
        [found] = read_verdicts(verdict.uri)
        assert found.gate == "serving"
        return found, infra

    return checked


def pushes(infra):
    """Whether TFX's own Pusher would."""
    from tfx.components.pusher.executor import Executor

    return Executor().CheckBlessing({"infra_blessing": [infra]})


def test_a_model_that_cannot_be_loaded_fails_the_serving_check(serving_check, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    found, infra = serving_check(tmp_path)
    assert found.status == "failed"
    assert found.sentence.startswith("serving check: the model could not be loaded (")
    assert not pushes(infra)


def test_bounds_on_time_memory_and_size_stop_a_push(days, serving_check):
    model = days["first"].folder.parents[1] / "serving" / "1"
    names = ("max_latency_ms=0.001", "max_memory_mb=1", "max_size_mb=0.001")
    found, infra = serving_check(model, *(f"serving.check.{n}" for n in names))
    assert found.status == "failed" and not pushes(infra)
    for said in (
        "ms (20, median), and serving.check.max_latency_ms allows 0.001; ",
        "MiB of memory, and serving.check.max_memory_mb allows 1; ",
        "MiB, and serving.check.max_size_mb allows 0.001",
    ):
        assert said in found.sentence, found.sentence
    found, infra = serving_check(model, "serving.check.max_latency_ms=1e6", "serving.check.max_size_mb=1e3")
    assert found.status == "passed" and pushes(infra)

"""The serving check: the pushed form, served in a process of its own, answers test rows as offline."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from pipeline.components.artifacts import Verdict as VerdictArtifact
from pipeline.components.verdicts import write_verdicts
from pipeline.evaluation.asked import AskedModel
from pipeline.evaluation.gates import Verdict
from pipeline.examples import serialized_batches
from pipeline.recipe import Recipe
from pipeline.recipe.parts import ServingBounds
from serving.check import CALLS, Check, check
from serving.inputs import parse_examples
from serving.requests import json_lines, to_rows


@component
def ServingCheck(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    recipe: Parameter[str],
    code: Parameter[str],
    verdict: OutputArtifact[VerdictArtifact],
    infra_blessing: OutputArtifact[standard_artifacts.InfraBlessing],
) -> None:
    """Writes one verdict, the rows asked about as requests, and what TFX's InfraValidator would: never raises
    because of the model."""
    read = Recipe.model_validate_json(recipe)
    path = path_utils.serving_model_path(model.uri)
    serialized = next(serialized_batches(examples.uri, "test", read.serving.check_rows))
    offline = AskedModel(path)
    expected = offline.predict(serialized)
    rows = {n: x.numpy() for n, x in parse_examples(serialized, read).items()}
    if offline.fault:
        said = Verdict("failed", f"serving check: the model {offline.fault}", gate="serving")
    else:
        Path(verdict.uri).mkdir(parents=True, exist_ok=True)  # which not every orchestrator has done
        # of a run that is killed here, `mtl runs gc` takes it with the rest of the artifact
        found = check(path, rows, expected, read.serving.tolerance, below=verdict.uri)
        said = _judge(found, read.serving.check)
    write_verdicts(verdict.uri, [said])
    Path(verdict.uri, "requests.jsonl").write_text(json_lines(to_rows(rows)), encoding="utf-8")
    _bless(infra_blessing, said.status == "passed")


def _judge(found: Check, bounds: ServingBounds) -> Verdict:
    error = found.error or beyond(found, bounds)
    if error:
        return Verdict("failed", f"serving check: {error}", gate="serving")
    return Verdict(
        "passed",
        f"serving check: {found.rows} test rows answered over gRPC and REST, by a process without this "
        f"project, as offline, to {max(found.largest_difference, 1e-9):.1g}; loaded in "
        f"{found.load_seconds:.1f} s, {found.latency_ms:.3g} ms a request, {found.memory_mb:,.0f} MiB of "
        f"memory, {found.size_mb:,.1f} MiB on disk",
        gate="serving",
    )


def beyond(found: Check, bounds: ServingBounds) -> str:
    """Which bounds are not kept, the end of a sentence; empty where all are."""
    measured = {
        "max_latency_ms": (
            found.latency_ms,
            f"a request of {found.rows} rows took {{:.3g}} ms ({CALLS}, median)",
        ),
        "max_memory_mb": (found.memory_mb, "the serving process took {:,.0f} MiB of memory"),
        "max_size_mb": (found.size_mb, "the model's files take {:,.1f} MiB"),
    }
    return "; ".join(
        f"{words.format(value)}, and serving.check.{name} allows {allowed:g}"
        for name, (value, words) in measured.items()
        if (allowed := getattr(bounds, name)) is not None and not value <= allowed
    )


def _bless(artifact: standard_artifacts.InfraBlessing, passed: bool) -> None:
    """As tfx.components.infra_validator.executor does, which tfx.components.pusher reads."""
    folder = Path(artifact.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ("INFRA_BLESSED" if passed else "INFRA_NOT_BLESSED")).touch()
    artifact.set_int_custom_property("blessed", int(passed))
    artifact.set_int_custom_property("has_model", 0)

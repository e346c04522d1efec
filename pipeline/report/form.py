"""The form of metrics.json. `make docs` writes docs/metrics.schema.json from it; a test holds both together,
and a whole run's file against them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA = Path("docs/metrics.schema.json")

Interval = Annotated[tuple[float, float], Field(description="The 95 % interval: its low and its high end.")]
Number = float | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Failure(_Part):
    """Where a run stopped."""

    step: str
    message: str = Field(description="For the person who reads it.")


class DeadLetters(_Part):
    """Rows that could not be used, of one source and one kind of reason."""

    source: str = Field(description="log, catalogs.<name> or events.<name>.")
    kind: str
    rows: int
    read: int = Field(description="Rows read of that source.")
    reason: str = Field(description="Of the first such row.")
    file: str = Field(description="Of the first such row.")
    position: int = Field(description="The first such row's number in the file, from 1.")


class Rows(_Part):
    """Rows of the impression log: read = written + dropped + dead."""

    read: int
    written: int = Field(description="train + validation + test.")
    train: int
    validation: int
    test: int
    dropped: int = Field(description="Left out on purpose.")
    dead: int = Field(description="Could not be read or joined.")
    dropped_reasons: dict[str, int]
    dead_reasons: dict[str, int]
    unmatched: dict[str, int] = Field(description="Catalog: rows of the log without a row in it.")
    cut: dict[str, int] = Field(description="List column: rows whose list was cut.")
    events: dict[str, dict[str, int]] = Field(description="Task: what became of its events.")
    open_windows: dict[str, int] = Field(description="Task: rows whose window is not over.")
    dead_letters: list[DeadLetters]


class Task(_Part):
    """A task over the whole test split, or over the span that it is judged on."""

    kind: str
    examples: int | None = Field(description="Rows whose label is known.")
    metrics: dict[str, Number] = Field(description="null where undefined; `notes` says why.")
    intervals: dict[str, Interval]
    baseline: dict[str, float] | None = Field(description="The serving model on the same rows.")
    differences: dict[str, Interval] = Field(description="Of the model less the serving model.")
    notes: dict[str, str]
    span: str | None = Field(
        None, description="Of a run of a span: the one whose rows it is judged on; null where on none."
    )
    gate: Literal["pass", "fail", "none"]


class SliceMetric(_Part):
    """One metric of one task in one slice."""

    task: str
    slice: str = Field(description="feature=value, or a=1 & b=2 of a cross.")
    metric: str
    value: Number
    baseline: Number
    low: Number
    high: Number
    diff_low: Number
    diff_high: Number
    examples: int
    note: str | None


class ReliabilityBin(_Part):
    """One bin of a reliability curve."""

    task: str
    score: str = Field(description="prediction: the model's; baseline: the serving model's.")
    bin: int
    weight: float = Field(description="Rows, or the sum of their weights where the recipe weighs them.")
    mean_label: float
    mean_prediction: float
    low: Number = Field(description="95 % interval of mean_label.")
    high: Number


class Norms(_Part):
    """Of the lengths of vectors (L2), over rows."""

    min: float
    p5: float = Field(description="5 % are below.")
    median: float
    p95: float
    max: float


class VectorSet(_Part):
    """A feature's vectors in some rows."""

    rows: int
    items: int | None = Field(description="Distinct keys in them; null where rows have their own vectors.")
    absent: int = Field(description="Rows without a vector.")
    reasons: dict[str, int] = Field(description="Why those have none: rows.")
    norm: Norms | None = Field(description="Null without vectors.")
    dead: int | None = Field(description="Numbers of the vector that are the same in all rows.")


class VectorTable(_Part):
    """The table of a feature whose vectors the model holds."""

    keys: int = Field(description="With a vector.")
    absent: int = Field(description="Without one.")
    reasons: dict[str, int]


class VectorShift(_Part):
    """How far mean and covariance moved: squared Fréchet distance over the reference's total variance."""

    training: Number
    serving: Number = Field(
        description="From the evaluated rows of the run that made the serving model; null of another encoder."
    )
    chance: Number = Field(description="Of one half of training's items from the other: what chance does.")
    means: dict[Literal["training", "serving"], float] = Field(
        description="What the mean's move makes of each; the rest is the covariance's."
    )


class NearItem(_Part):
    key: str
    text: str | None
    cosine: float


class NearItems(_Part):
    """An item and those whose vectors are nearest."""

    key: str
    text: str | None = Field(description="How its text begins, of a text.")
    near: list[NearItem]


class MappedItem(_Part):
    key: str
    text: str | None
    x: float
    y: float
    trained: int = Field(description="Rows of training that it is in.")
    shown: int = Field(description="Evaluated rows that it is in.")


class VectorMap(_Part):
    """Some items by the first two principal components of their vectors."""

    variance: float = Field(description="Share of the variance that the two have.")
    items: list[MappedItem]


class VectorFeature(_Part):
    """What was found of a feature's vectors."""

    kind: Literal["vision", "text", "precomputed", "vector"]
    encoder_name: str | None = Field(description="As the recipe calls it.")
    encoder: str = Field(description="Digest of the encoder with its preprocessing; empty without one.")
    dimension: int
    table: VectorTable | None
    training: VectorSet
    shown: VectorSet = Field(description="In the evaluated rows.")
    serving: VectorSet | None = Field(description="What the run that made the serving model had shown.")
    serving_encoder: str | None
    serving_dimension: int | None
    fault: bool = Field(description="What the serving model's version kept of its vectors cannot be read.")
    shift: VectorShift
    notes: dict[Literal["training", "serving"], str] = Field(description="Why a shift is null.")
    neighbours: list[NearItems]
    map: VectorMap


class GateVerdict(BaseModel):
    """What one gate said. Kinds of gate may have more keys."""

    model_config = ConfigDict(extra="allow", strict=True)
    status: Literal["passed", "failed", "skipped"]
    sentence: str
    task: str | None
    metric: str | None
    slice: str | None
    gate: str = Field(description="Which gate spoke: metrics, schema, serving check, ...")


class Trial(_Part):
    trial: int
    gain: float = Field(description="Mean gain on validation, of its best epoch.")
    values: dict[str, Any] = Field(description="Path of a setting: its value.")


class Span(_Part):
    """A day or hour of the log, as a run used it."""

    name: str
    version: int = Field(description="Of its ingestions, from 1; the newest there was.")
    rows: int
    ingested: bool = Field(description="By this run.")
    known: dict[str, int] = Field(description="Task: rows whose label is known.")


class Judged(_Part):
    """Where a task of a run of a span is judged."""

    span: str = Field(description="Whose rows it is judged on; empty where on none.")
    unseen: str = Field(description="The first span of whose labels the model has learned nothing.")
    why: str = Field(description="Why it is judged on none, and what to do.")


class Spans(_Part):
    """Of `mtl run --span`."""

    name: str = Field(description="The span that the run is of, which is test.")
    spans: list[Span] = Field(description="Those trained on, in order, and the run's own at the end.")
    left_out: list[str] = Field(description="Spans of the window that were never ingested.")
    lost: list[str] = Field(
        [], description="Spans of the window that were ingested otherwise than now, and have no log any more."
    )
    catalogs: dict[str, list[str]] = Field(
        {}, description="Catalog that has changed: the spans whose rows keep what it said before."
    )
    judged: dict[str, Judged] = Field({}, description="By task; empty where nothing was trained.")


class Aged(_Part):
    """A model of an earlier span, or the new one, on the rows of a span."""

    age: int = Field(description="Spans between its own and that of the rows.")
    span: str
    version: str = Field(description="That it was pushed as; empty for the new model.")
    auc: Number
    interval: Interval | None
    note: str | None = Field(description="Why there is no AUC.")


class LateStaleness(_Part):
    """The same of tasks whose labels come late, on the newest span that has them."""

    span: str
    rows: int = Field(description="Of that span that all were measured on.")
    tasks: dict[str, list[Aged]] = Field(
        description="Binary task: the models of that span and of those before it, the youngest first."
    )


class Staleness(_Part):
    """What a model loses with age."""

    rows: int = Field(description="Of test that all were measured on.")
    tasks: dict[str, list[Aged]] = Field(
        description="Binary task that is judged on test: the new model and older ones, the youngest first."
    )
    late: list[LateStaleness] = []


class WarmStart(_Part):
    """How training began, where the recipe asks for warm starts."""

    version: str | None = Field(description="That the model it began from served as; null from nothing.")
    run: str | None = Field(description="That made this model.")
    reason: str = Field(description="Why it began from nothing; empty where it did not.")
    since_full: int = Field(description="Runs since the last that began from nothing, this one included.")
    every: int = Field(description="One run in so many begins from nothing.")


class Tuning(_Part):
    """What a search of settings came to."""

    asked: int = Field(description="How many trials the recipe asks for.")
    trials: list[Trial] = Field(description="Those that came to an end, the best first.")
    sentence: str


class Metrics(_Part):
    """What a run of `mtl run`, or `mtl evaluate`, came to: report/metrics.json."""

    version: Literal[1] = Field(
        description="Of this form; goes up where a key is renamed, removed or means something else."
    )
    recipe: str
    run: str
    started: str | None = Field(description="ISO 8601.")
    status: Literal["pushed", "refused", "failed", "unchanged", "evaluated", "ingested"]
    reason: str = Field(description="One sentence that says why it ended so.")
    blessed: bool = Field(description="Every gate and the serving check agreed.")
    pushed: str | None = Field(description="The folder that TensorFlow Serving loads.")
    serving_model: str | None = Field(description="What the model was compared with.")
    failure: Failure | None
    not_reached: list[str] = Field(description="Steps that never ran.")
    span: Spans | None = Field(None, description="Null for a run of all there is.")
    rows: Rows | None
    tasks: dict[str, Task]
    references: dict[str, dict[str, dict[str, Number]]] = Field(
        description="Task, name of a reference (such as constant, the best one in hindsight), metric: value."
    )
    slices: list[SliceMetric]
    reliability: list[ReliabilityBin]
    vectors: dict[str, VectorFeature] = Field(
        {}, description="Feature: its vectors, where a run watched them."
    )
    gates: list[GateVerdict]
    training: dict[str, Any] | None = Field(
        description="The history: epochs [{epoch, losses, validation, ...}], best_epoch, objective."
    )
    staleness: Staleness | None = Field(
        None, description="Null without spans, and where no older model is kept."
    )
    warm_start: WarmStart | None = Field(
        None, description="Null where no model was trained, or none asked for."
    )
    tuning: Tuning | None = Field(description="Null where nothing was tuned.")
    seconds: dict[str, float] = Field(description="Step: seconds; total is of the run.")
    memory: dict[str, int] = Field(description="Step: most resident memory of the process, in bytes.")
    cached: list[str] = Field(description="Steps whose outputs came from an earlier run.")
    versions: dict[str, str]


def read(path: Path) -> dict[str, Any]:
    """The content of a metrics.json; keys that a later version added are kept as they are.

    Raises:
      OSError: it cannot be read.
      ValueError: it is not of this form; says what is wrong, in the words of a sentence's end.
    """
    text = path.read_bytes()
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    version = Metrics.model_fields["version"].annotation.__args__[0]
    if not isinstance(content, dict) or content.get("version") != version:
        raise ValueError(f"its version is not {version}: another version of this project wrote it")
    try:
        Metrics.model_validate_json(text)
    except ValidationError as error:
        wrong = [e for e in error.errors() if e["type"] != "extra_forbidden"]
        if wrong:
            where = ".".join(str(part) for part in wrong[0]["loc"])
            raise ValueError(f"it is not a whole metrics.json: {where}: {wrong[0]['msg']}") from None
    return content


def schema() -> str:
    """The JSON Schema."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Metrics.model_json_schema()}
    return json.dumps(whole, indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    sys.stdout.write(f"{SCHEMA}\n")

"""What is known of a run when its report is written: all of it, or what there was before it failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.evaluation.gates import Verdict
from pipeline.evaluation.table import MetricsTable

# "evaluated": a model measured by itself (`mtl evaluate`); "ingested": a span, with nothing to train on yet.
# In both, nothing was to be pushed.
RunStatus = Literal["pushed", "refused", "failed", "unchanged", "evaluated", "ingested"]


@dataclass(frozen=True)
class DeadRows:
    """Rows that could not be used, of one source and for one kind of reason.

    Attributes:
      source: `log`, `catalogs.<name>` or `events.<name>`.
      kind: of problem.
      rows: how many.
      read: rows read of that source.
      reason, file, position: of the first such row; its number in the file counts from 1.
    """

    source: str
    kind: str
    rows: int
    read: int
    reason: str
    file: str
    position: int


@dataclass(frozen=True)
class RowCounts:
    """Rows of the impression log: read = train + validation + test + dropped + dead.

    Attributes:
      dropped: left out on purpose (outside the splits, duplicates, ...).
      dead: could not be read or joined; they lie in the dead-letter file.
      dropped_reasons, dead_reasons: reason -> rows.
      dead_letters: of every source, by kind, the most frequent first.
      unmatched: catalog -> rows of the log that have no row in it.
      cut: list column -> rows whose list was cut to its max_length.
      events: task whose label is made from events -> what became of the events that count for it.
      open_windows: such a task -> rows without its label, as their window was not over.
    """

    read: int
    train: int
    validation: int
    test: int
    dropped: int = 0
    dead: int = 0
    dropped_reasons: Mapping[str, int] = field(default_factory=dict)
    dead_reasons: Mapping[str, int] = field(default_factory=dict)
    unmatched: Mapping[str, int] = field(default_factory=dict)
    cut: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    open_windows: Mapping[str, int] = field(default_factory=dict)
    dead_letters: Sequence[DeadRows] = ()


@dataclass(frozen=True)
class Failure:
    """Where a run stopped, and the message for the person who reads it."""

    step: str
    message: str


@dataclass(frozen=True)
class RunFacts:
    """A run, or an evaluation by itself, of which any part beyond its name and outcome may be missing.

    Attributes:
      recipe: the recipe's name.
      run: the run's identifier.
      status: how it ended.
      reason: one sentence that says why.
      blessed: whether every gate and the serving check agreed.
      pushed: the serving version's path, or None.
      started: time in ISO 8601.
      kinds: task -> kind.
      serving_model: what the candidate was compared with, in words or as a path.
      verdicts: of all gates, in the order they spoke.
      training: {"epochs": [...], "best_epoch": k, "objective": sentence}; an epoch is a dict of
        `epoch`, `seconds`, `losses`, `task_weights`, `validation`, `objective`, `gate_use`. `calibration`:
        task -> `method`, `rows`, `parameters`, `problem`, `validation` {"before", "after"}; not of test.
      tuning: see `pipeline.tuned.facts`; None where nothing was tuned.
      seconds: step -> seconds; "total" is added where it is missing.
      memory: step -> the most that the process held while it ran, in bytes.
      reliability: rows of the curves (see `pipeline.evaluation.reliability.SCHEMA`).
      vectors: feature -> what was found of its vectors; see `pipeline.watch.watch`.
      pictures: feature -> key -> a small picture as a `data:` URI, of items that `vectors` names.
      cached: steps whose outputs came from an earlier run.
      versions: package -> version.
      failure: set where status is "failed".
      not_reached: steps that never ran.
      recipe_text: the resolved recipe.
      span: of a run of one span, as `pipeline.span_run.shown` gives it.
      staleness: older models on this span's rows, as `evaluation.staleness.measure_ages` gives it.
      warm_start: how training began, as `pipeline.warm_start.Beginning.facts` tells it.
    """

    recipe: str
    run: str
    status: RunStatus
    reason: str
    blessed: bool = False
    pushed: str | None = None
    started: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    serving_model: str | None = None
    rows: RowCounts | None = None
    table: MetricsTable | None = None
    verdicts: Sequence[Verdict] = ()
    training: Mapping[str, Any] | None = None
    tuning: Mapping[str, Any] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    reliability: Sequence[Mapping[str, Any]] = ()
    vectors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pictures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cached: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    failure: Failure | None = None
    not_reached: Sequence[str] = ()
    recipe_text: str | None = None
    span: Mapping[str, Any] | None = None
    warm_start: Mapping[str, Any] | None = None
    staleness: Mapping[str, Any] | None = None

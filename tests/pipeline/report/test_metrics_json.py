import json
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from pipeline.report.metrics_json import build_metrics

Interval = tuple[float, float]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Dead(Strict):
    source: str
    kind: str
    rows: int
    read: int
    reason: str
    file: str
    position: int


class Rows(Strict):
    read: int
    written: int
    train: int
    validation: int
    test: int
    dropped: int
    dead: int
    dropped_reasons: dict[str, int]
    dead_reasons: dict[str, int]
    unmatched: dict[str, int]
    cut: dict[str, int]
    events: dict[str, dict[str, int]]
    open_windows: dict[str, int]
    dead_letters: list[Dead]


class Task(Strict):
    kind: str
    examples: int | None
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]
    baseline: dict[str, float] | None
    differences: dict[str, Interval]
    notes: dict[str, str]
    gate: Literal["pass", "fail", "none"]


class Slice(Strict):
    task: str
    slice: str
    metric: str
    value: float | None
    baseline: float | None
    low: float | None
    high: float | None
    diff_low: float | None
    diff_high: float | None
    examples: int
    note: str | None


class GateVerdict(Strict):
    status: Literal["passed", "failed", "skipped"]
    sentence: str
    task: str | None
    metric: str | None
    slice: str | None
    gate: str


class FailureForm(Strict):
    step: str
    message: str


class Trial(Strict):
    trial: int
    gain: float
    values: dict


class Tuning(Strict):
    asked: int
    trials: list[Trial]
    sentence: str


class Form(Strict):
    recipe: str
    run: str
    started: str | None
    status: Literal["pushed", "refused", "failed", "unchanged"]
    reason: str
    blessed: bool
    pushed: str | None
    serving_model: str | None
    failure: FailureForm | None
    not_reached: list[str]
    rows: Rows | None
    tasks: dict[str, Task]
    references: dict[str, dict[str, dict[str, float | None]]]
    slices: list[Slice]
    gates: list[GateVerdict]
    training: dict | None
    tuning: Tuning | None
    seconds: dict[str, float]
    cached: list[str]
    versions: dict[str, str]


@pytest.mark.parametrize("ending", ["pushed", "refused", "unchanged", "failed"])
def test_form(facts, ending):
    text = json.dumps(build_metrics(facts(ending)), allow_nan=False)
    form = Form.model_validate_json(text)
    assert form.status == ending
    assert set(form.tasks) == {"click", "share", "watch_time"}


def test_pushed(facts):
    metrics = build_metrics(facts("pushed"))
    click = metrics["tasks"]["click"]
    assert metrics["blessed"] and metrics["pushed"] == "out/demo/serving/4"
    assert click["metrics"]["auc"] == 0.75
    assert click["intervals"]["auc"] == [0.74, 0.76]
    assert click["baseline"] == {"auc": 0.72, "gauc": 0.71, "logloss": 0.41, "mean_label": 0.25}
    assert click["differences"]["gauc"] == [-0.03, -0.01]
    assert [metrics["tasks"][t]["gate"] for t in ("click", "share", "watch_time")] == ["pass", "none", "none"]
    assert metrics["tasks"]["share"]["baseline"] is None
    assert metrics["tasks"]["share"]["notes"] == {"auc": "it needs examples of both classes"}
    assert metrics["references"] == {
        "click": {"propensity": {"auc": 0.8}},
        "watch_time": {"constant": {"mae": 31.2}},
    }
    assert metrics["seconds"] == {"ingest": 1.5, "train": 10.0, "total": 11.5}
    assert metrics["rows"]["written"] == 950
    assert metrics["rows"]["dead_letters"][0] == {
        "source": "log",
        "kind": "no such item",
        "rows": 10,
        "read": 1000,
        "reason": "items has no row for item 'z'",
        "file": "day1.csv",
        "position": 1234,
    }
    assert [(row["slice"], row["note"]) for row in metrics["slices"]][1:] == [
        ("tab=1", "it needs examples of both classes")
    ]
    assert metrics["training"]["epochs"][0]["losses"]["watch_time"] is None, "NaN is not JSON"


def test_refused(facts):
    metrics = build_metrics(facts("refused"))
    assert [metrics["tasks"][t]["gate"] for t in ("click", "share", "watch_time")] == ["pass", "fail", "fail"]
    assert metrics["pushed"] is None and not metrics["blessed"]
    assert metrics["gates"][-1]["sentence"].startswith("watch_time: mae 25.400 is above the bound 20.000")


def test_failed_in_ingestion(facts):
    metrics = build_metrics(facts("failed"))
    assert metrics["failure"]["step"] == "ingest"
    assert metrics["rows"] is None and metrics["training"] is None
    assert metrics["tasks"]["click"]["metrics"] == {}
    assert metrics["seconds"] == {"total": 0}

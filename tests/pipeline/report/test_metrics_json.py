import json

import pytest
from pydantic import ValidationError

from pipeline.report import form
from pipeline.report.metrics_json import build_metrics


@pytest.mark.parametrize("ending", ["pushed", "refused", "unchanged", "failed"])
def test_form(facts, ending):
    text = json.dumps(build_metrics(facts(ending)), allow_nan=False)
    found = form.Metrics.model_validate_json(text)
    assert found.status == ending
    assert set(found.tasks) == {"click", "share", "watch_time"}


def test_the_committed_schema_is_that_of_the_form(root):
    assert (root / form.SCHEMA).read_text() == form.schema(), "run: make docs"


def test_gates_may_say_more_and_nothing_else_may(facts):
    metrics = build_metrics(facts("pushed"))
    metrics["gates"][0]["kind"] = "significance"
    form.Metrics.model_validate_json(json.dumps(metrics))
    metrics["rows"]["kept"] = 1
    with pytest.raises(ValidationError, match="rows.kept"):
        form.Metrics.model_validate_json(json.dumps(metrics))


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
    assert metrics["memory"] == {"ingest": 300_000_000, "train": 1_400_000_000}
    assert metrics["reliability"][1]["low"] is None and metrics["reliability"][2]["score"] == "baseline"
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

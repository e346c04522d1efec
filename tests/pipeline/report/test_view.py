import pytest

from pipeline.report.metrics_json import build_metrics
from pipeline.report.sentences import compare, task_sentence, task_sentences
from pipeline.report.slices_view import slices_data
from pipeline.report.training_view import training_view
from pipeline.report.view import calibration_rows, ranking_rows, reliability_charts, step_rows, task_rows


@pytest.mark.parametrize(
    ("metric", "interval", "word"),
    [
        ("auc", (0.01, 0.02), "better"),
        ("auc", (-0.02, -0.01), "worse"),
        ("auc", (-0.01, 0.02), "unclear"),
        ("auc", None, "unclear"),
        ("mae", (0.1, 0.2), "worse"),
        ("mae", (-0.2, -0.1), "better"),
        ("calibration", (0.1, 0.2), "unclear"),
        ("gauc_users", (0.1, 0.2), ""),
    ],
)
def test_compare(metric, interval, word):
    assert compare(metric, 1.0, 1.0, interval) == word
    assert compare(metric, 1.0, None, interval) == ""


def test_slices_as_the_page_reads_them(facts, hostile):
    metrics = build_metrics(facts("pushed"))
    data = slices_data(metrics)
    assert data == {
        "metrics": {"auc": ["AUC", 1]},
        "tasks": {
            "click": {
                "headline": "auc",
                "overall": {"auc": 0.75},
                "slices": [["title", hostile, 40], ["tab", "1", 3]],
                "cells": {"auc": [[0.6, 0.5, 0.7, 0.61, -0.1, 0.1], "it needs examples of both classes"]},
            }
        },
    }
    assert metrics == build_metrics(facts("pushed"))
    assert slices_data(build_metrics(facts("failed"))) is None


def test_a_metric_that_only_some_slices_have_keeps_its_place(facts):
    metrics = build_metrics(facts("pushed"))
    metrics["slices"].append(
        metrics["slices"][0] | {"slice": "age=7", "metric": "gauc", "value": 0.123456789}
    )
    cells = slices_data(metrics)["tasks"]["click"]["cells"]
    assert cells["gauc"] == [0, 0, [0.123457, 0.5, 0.7, 0.61, -0.1, 0.1]]
    assert len(cells["auc"]) == 2


def test_sentences_tell_what_the_intervals_do(facts):
    metrics = build_metrics(facts("pushed"))
    unclear = "watch_time: no difference to the serving model can be told: MAE 25.40 against 30.10, −4.70."
    better = "click is better than the serving model: AUC 0.750 against 0.720, +0.030 (+0.020 to +0.040)."
    assert task_sentences(metrics) == [
        ("unclear", unclear),
        ("", "share could not be measured: it needs examples of both classes."),
        ("better", better),
    ]
    click = metrics["tasks"]["click"]
    assert (
        task_sentence("click", click | {"baseline": None})
        == "click: AUC 0.750 (95 % interval 0.740 to 0.760)."
    )
    assert task_sentence("x", {"kind": "binary", "metrics": {}, "intervals": {}}) == "x was not evaluated."
    same = {"baseline": {"auc": 0.75}, "differences": {"auc": [0.0, 0.0]}}
    assert task_sentence("click", click | same) == "click is as the serving model: AUC 0.750."


def test_tasks_of_one_metric_share_a_scale_and_rankings_a_table(facts):
    tasks = task_rows(build_metrics(facts("pushed")))
    click, share, watch_time = tasks
    assert click["headline"]["metric"] == "auc" and click["headline"]["span"].marks[0].text == "no difference"
    assert share["headline"]["span"] is None and watch_time["headline"]["span"].low is None
    assert [title for title, _ in click["groups"]] == ["Over all rows", "Within users and requests"]
    ranking = ranking_rows(tasks)
    assert ranking["columns"] == ["gauc"] and [row["name"] for row in ranking["rows"]] == ["click"]
    assert ranking_rows(tasks[1:]) is None


def test_reliability_is_of_the_model_then_the_serving_one(facts):
    (of,) = reliability_charts(build_metrics(facts("pushed")))
    assert of["task"] == "click" and [c.name for c in of["chart"].curves] == ["new model", "serving model"]
    assert len(of["chart"].curves[0].points) == 2
    assert reliability_charts(build_metrics(facts("failed"))) == []


def test_calibration_of_the_history_before_and_after():
    fitted = {
        "method": "platt",
        "rows": 900,
        "parameters": {"slope": 1.1},
        "problem": None,
        "validation": {"before": {"ece": 0.03, "logloss": 0.5}, "after": {"ece": 0.01}},
    }
    (row,) = calibration_rows({"calibration": {"click": fitted}})
    assert row["changes"] == [("ece", 0.03, 0.01)] and row["parameters"] == {"slope": 1.1}
    assert calibration_rows({"epochs": []}) == calibration_rows(None) == []


def test_steps_are_shares_of_the_largest(facts):
    ingest, train = step_rows(build_metrics(facts("pushed")))
    assert (ingest["share"], train["share"], ingest["memory"]) == (15.0, 100.0, 300_000_000)
    assert step_rows(build_metrics(facts("failed"))) == []


def test_gates_with_the_same_experts_share_a_table_in_one_order():
    use = {"click": {"a": 0.2, "b": 0.8}, "like": {"b": 0.6, "a": 0.4}, "shared": {"a": 0.1, "c": 0.9}}
    view = training_view({"epochs": [{"epoch": 1, "gate_use": use}], "best_epoch": 1}, {})
    tables = [
        (table["experts"], {row["gate"]: [c["use"] for c in row["cells"]] for row in table["rows"]})
        for table in view["gates"]
    ]
    assert tables == [
        (["a", "b"], {"click": [0.2, 0.8], "like": [0.4, 0.6]}),
        (["a", "c"], {"shared": [0.1, 0.9]}),
    ]


def test_gate_use_is_that_of_the_chosen_epoch():
    epochs = [{"epoch": e, "gate_use": {"click": {"a": float(e)}}} for e in (1, 2, 3)]
    view = training_view({"epochs": epochs, "best_epoch": 2}, {})
    assert view["gates"][0]["rows"][0]["cells"] == [{"use": 2.0, "load": None}] and view["chosen"] == 2


def test_gradients_gates_and_alarms_of_the_history():
    epochs = [
        {
            "epoch": e,
            "losses": {"total": 1.0, "click": 0.5, "like": 0.5},
            "gates": {"click": {"mean": {"a": 0.4, "b": 0.6}, "load": {"a": 0.0, "b": 1.0}, "entropy": 0.9}},
            "gradients": {"norms": {"click": 1.0 * e, "like": None}, "cosines": {"click and like": -0.5 / e}},
            "alarms": [f"alarm {e}"],
        }
        for e in (1, 2)
    ]
    view = training_view({"epochs": epochs, "best_epoch": 1}, {})
    assert view["alarms"] == ["alarm 1"]
    norms, cosines, entropies = view["inside"]
    assert norms.title == "Gradient norms" and "click ends at 2" in norms.description
    assert [len(line.runs) for line in norms.lines] == [1, 0]
    assert cosines.lines[0].name == "click and like" and "ends at -0.25" in cosines.description
    assert "click ends at 0.9" in entropies.description
    assert view["conflict"]["lowest"] == "click and like" and view["conflict"]["cosine"] == -0.5
    assert view["conflict"]["rows"][1] == {
        "task": "like",
        "cells": [{"cosine": -0.5, "conflicts": None}, None],
    }
    assert view["gates"][0]["rows"][0]["cells"][1] == {"use": 0.6, "load": 1.0}
    assert training_view({"epochs": [{"epoch": 1}], "best_epoch": 1}, {})["inside"] == []


def test_of_many_pairs_those_most_in_conflict_are_drawn():
    cosines = {f"a and b{i}": i / 10 for i in range(12)}
    view = training_view({"epochs": [{"epoch": 1, "gradients": {"cosines": cosines}}]}, {})
    (chart,) = view["inside"]
    assert [line.name for line in chart.lines] == [f"a and b{i}" for i in range(8)]
    assert "the 8 lowest of 12" in chart.title


def test_validation_is_drawn_by_what_a_task_is_told_by():
    epochs = [{"epoch": 1, "validation": {"click": {"logloss": 0.4, "auc": 0.7}, "x": {"own": 1.0}}}]
    titles = [c.title for c in training_view({"epochs": epochs}, {"click": "binary"})["validation"]]
    assert titles == ["click: AUC on validation", "x: own on validation"]

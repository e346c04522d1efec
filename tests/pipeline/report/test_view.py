import pytest

from pipeline.report.metrics_json import build_metrics
from pipeline.report.view import compare, slice_tables, training_view


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


def test_slice_tables_leave_the_metrics_as_they_are(facts, hostile):
    metrics = build_metrics(facts("pushed"))
    (table,) = slice_tables(metrics)
    assert table["columns"] == ["auc"]
    assert [(r["feature"], r["value"], r["examples"]) for r in table["rows"]] == [
        ("title", hostile, 40),
        ("tab", "1", 3),
    ]
    assert table["rows"][0]["cells"][0]["difference"] == pytest.approx(-0.01)
    assert metrics == build_metrics(facts("pushed"))


def test_gates_with_the_same_experts_share_a_table_in_one_order():
    use = {"click": {"a": 0.2, "b": 0.8}, "like": {"b": 0.6, "a": 0.4}, "shared": {"a": 0.1, "c": 0.9}}
    view = training_view({"epochs": [{"epoch": 1, "gate_use": use}], "best_epoch": 1})
    assert view["gates"] == [
        {
            "experts": ["a", "b"],
            "rows": [{"gate": "click", "use": [0.2, 0.8]}, {"gate": "like", "use": [0.4, 0.6]}],
        },
        {"experts": ["a", "c"], "rows": [{"gate": "shared", "use": [0.1, 0.9]}]},
    ]


def test_gate_use_is_that_of_the_chosen_epoch():
    epochs = [{"epoch": e, "gate_use": {"click": {"a": float(e)}}} for e in (1, 2, 3)]
    view = training_view({"epochs": epochs, "best_epoch": 2})
    assert view["gates"][0]["rows"][0]["use"] == [2.0] and view["gates_epoch"] == 2


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
    view = training_view({"epochs": epochs, "best_epoch": 1})
    assert view["alarms"] == ["alarm 1"]
    norms, cosines, entropies = view["inside"]
    assert norms.title == "Gradient norms" and "click ends at 2" in norms.description
    assert [len(line.runs) for line in norms.lines] == [1, 0]
    assert cosines.lines[0].name == "click and like" and "ends at -0.25" in cosines.description
    assert "click ends at 0.9" in entropies.description
    assert training_view({"epochs": [{"epoch": 1}], "best_epoch": 1})["inside"] == []

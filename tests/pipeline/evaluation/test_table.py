import math

import pytest

from pipeline.evaluation.table import MetricRow, MetricsTable, NoBaseline


def test_round_trip_keeps_every_digit(tmp_path):
    rows = [
        MetricRow("like", "overall", "auc", 0.1 + 0.2, 1 / 3, 0.1, 0.5, -0.1, 0.1, examples=7),
        MetricRow("like", "tab=1", "auc", None, note="it needs examples of both classes", examples=3),
        MetricRow("like", "overall", "auc", 0.9, reference="propensity", examples=7),
    ]
    why = NoBaseline("the serving model could not be loaded", fault=True)
    MetricsTable(rows, {"click": why}).write(tmp_path / "metrics.parquet")
    table = MetricsTable.read(tmp_path / "metrics.parquet")
    assert list(table) == rows
    assert (table.no_baseline("click"), table.no_baseline("like")) == (why, None)
    assert table.no_baseline("share") == NoBaseline("the serving model has no task share")


def test_lookup():
    model = MetricRow("like", "overall", "auc", 0.7, 0.6)
    ceiling = MetricRow("like", "overall", "auc", 0.9, reference="propensity")
    other = MetricRow("click", "tab=1", "auc", 0.8)
    table = MetricsTable([model, ceiling, other])
    assert table.get("like", "auc") is model
    assert table.get("like", "auc", reference="propensity") is ceiling
    assert table.get("click", "auc", "tab=1") is other
    assert table.get("click", "auc") is None
    assert table.tasks == ["like", "click"]
    assert table.slices("click") == ["tab=1"]
    assert table.baseline_tasks == {"like"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_undefined(value):
    row = MetricRow("like", "overall", "auc", value, baseline=value, low=value)
    assert row.value is None and row.baseline is None and row.low is None


def test_two_answers_to_one_question_are_refused():
    row = MetricRow("like", "overall", "auc", 0.7)
    with pytest.raises(ValueError, match="two rows"):
        MetricsTable([row, row])


def test_tables_of_several_spans_are_one(tmp_path):
    click, buy = MetricRow("click", "overall", "auc", 0.7, 0.6), MetricRow("buy", "overall", "auc", 0.8)
    why = NoBaseline("version 3, which serves, may have been trained on its labels of 2024-03-01")
    none = NoBaseline("there is no serving model yet")
    one = MetricsTable([click], {"buy": none}, ["user"])
    other = MetricsTable([buy], {"buy": why})
    joined = MetricsTable.joined(
        [(one, "2024-03-05"), (other, "2024-03-01")], ["buy", "click"], {"buy": "why"}, ["buy"]
    )
    joined.write(tmp_path / "metrics.parquet")
    table = MetricsTable.read(tmp_path / "metrics.parquet")
    assert list(table) == [buy, click] and table.sliced_by == ("user",)
    assert (table.span("click"), table.span("buy"), table.span("like")) == ("2024-03-05", "2024-03-01", "")
    assert (table.no_baseline("click"), table.no_baseline("buy")) == (None, why)
    assert (table.favoured("click"), table.favoured("buy")) == ("", "why")
    assert table.exposed == ("buy",)

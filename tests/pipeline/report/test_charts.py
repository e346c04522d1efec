import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    interval_chart,
    line_chart,
    tick_text,
    ticks,
)

values = st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6)


@given(values, values)
def test_ticks_cover_the_range_with_a_few_even_steps(a, b):
    low, high = min(a, b), max(a, b)
    marks = ticks(low, high)
    steps = [y - x for x, y in zip(marks, marks[1:], strict=False)]
    assert 2 <= len(marks) <= 8
    assert steps[0] > 0 and max(steps) - min(steps) < 1e-6 * max(abs(low), abs(high), steps[0])
    tolerance = 1e-6 * steps[0]
    assert marks[0] <= low + tolerance and marks[-1] >= high - tolerance


def test_ticks_and_their_text_by_hand():
    assert ticks(0.713, 0.748) == pytest.approx([0.71, 0.72, 0.73, 0.74, 0.75])
    assert [tick_text(v, 0.02) for v in (0.7, 0.72)] == ["0.70", "0.72"]
    assert tick_text(12000, 2000) == "12,000"
    assert tick_text(0.00002, 0.00001) == "0.00002"


@given(st.lists(st.none() | values, min_size=1, max_size=30))
def test_lines_stay_in_the_plot_and_break_where_values_miss(series):
    chart = line_chart("t", list(range(1, len(series) + 1)), {"a": series}, best_epoch=1)
    if all(v is None for v in series):
        assert chart is None
        return
    points = [point for run in chart.lines[0].runs for point in run]
    assert len(points) == sum(v is not None for v in series)
    assert all(LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1 for x, _ in points)
    assert all(TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1 for _, y in points)
    assert chart.mark.at == LEFT


def test_a_gap_makes_two_runs():
    chart = line_chart("t", [1, 2, 3, 4], {"a": [1.0, None, 2.0, 3.0]}, best_epoch=None)
    assert [len(run) for run in chart.lines[0].runs] == [1, 2]
    assert chart.mark is None


def test_higher_is_drawn_higher_and_later_further_right():
    (line,) = line_chart("t", [1, 5], {"a": [0.1, 0.9]}, None).lines
    (x1, y1), (x2, y2) = line.runs[0]
    assert x2 > x1 and y2 < y1


def test_intervals_lie_around_their_value_on_one_scale():
    task = {"value": 0.75, "low": 0.7, "high": 0.8, "baseline": 0.72, "references": {"ceiling": 0.9}}
    none = {"value": None, "low": None, "high": None, "baseline": None, "references": {}}
    chart = interval_chart("AUC", {"click": task, "share": none}, "AUC")
    (row,) = chart.rows
    assert row.low < row.baseline < row.value < row.high < row.references[0].at
    assert row.value - row.low == pytest.approx(row.high - row.value)
    assert interval_chart("AUC", {"share": none}, "AUC") is None

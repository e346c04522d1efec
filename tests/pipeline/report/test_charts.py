import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    SQUARE,
    SQUARE_BOTTOM,
    SQUARE_LEFT,
    TOP,
    WIDTH,
    history_chart,
    line_chart,
    reliability_chart,
    spans,
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


def test_every_point_says_where_it_is_and_how_much():
    (line,) = line_chart("t", [1, 2, 3], {"a": [0.12345, None, 2.0]}, None).lines
    assert [(where, value) for _, _, where, value in line.points] == [("epoch 1", "0.1235"), ("epoch 3", "2")]


def test_spans_share_a_scale_that_holds_all_there_is():
    rows = [
        {"value": 0.75, "interval": (0.7, 0.8), "marks": {"ceiling": 0.9}},
        {"value": None, "interval": None, "marks": {}},
        {"value": 0.6, "interval": None, "marks": {"ceiling": None}},
    ]
    first, none, last = spans(rows)
    assert none is None and last.low is None and last.marks == []
    assert 0 < last.value < first.low < first.value < first.high < first.marks[0].at < 100
    assert first.value - first.low == pytest.approx(first.high - first.value)
    (alone,) = spans([{"value": 0.2, "interval": (0.1, 0.3), "marks": {"no difference": 0.0}}], (0.0,))
    assert 0 < alone.marks[0].at < alone.low
    assert spans([rows[1]]) == [None]


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=1, max_size=20))
def test_on_the_diagonal_what_was_predicted_happens(pairs):
    bins = [
        {"mean_prediction": p, "mean_label": y, "weight": 3.0, "low": None, "high": None} for p, y in pairs
    ]
    chart = reliability_chart("click", {"new model": bins})
    (curve,) = chart.curves
    assert [x for x, *_ in curve.points] == sorted(x for x, *_ in curve.points)
    across, up = SQUARE - SQUARE_LEFT - 10, SQUARE - SQUARE_BOTTOM - 10
    for (x, y, *_), (p, label) in zip(curve.points, sorted(pairs, key=lambda of: of[0]), strict=True):
        along, above = (x - SQUARE_LEFT) / across, (SQUARE - SQUARE_BOTTOM - y) / up
        assert -1e-9 <= along <= 1 + 1e-9 and -1e-9 <= above <= 1 + 1e-9
        assert along * label == pytest.approx(above * p)
    assert reliability_chart("click", {}) is None


def test_whiskers_lie_around_their_point():
    bins = [{"mean_prediction": 0.2, "mean_label": 0.3, "weight": 9.0, "low": 0.25, "high": 0.4}]
    ((_, y, low, high, words),) = reliability_chart("click", {"new model": bins}).curves[0].points
    assert high < y < low, "y grows downwards"
    assert words == "new model: predicted 0.2, happened 0.3 (0.25 to 0.4), 9 rows"


def test_history_has_a_band_only_where_every_run_has_an_interval():
    points = [(0, 0.7, (0.69, 0.71)), (2, 0.8, (0.79, 0.81))]
    chart = history_chart("click", ["a", "b", "c"], points, [True, False, False])
    assert [(pushed, words) for _, _, pushed, words in chart.points] == [
        (True, "a, pushed: 0.7 (0.69 to 0.71)"),
        (False, "c, not pushed: 0.8 (0.79 to 0.81)"),
    ]
    assert chart.band and chart.points[0][1] > chart.points[1][1]
    assert not history_chart("click", ["a", "b"], [(0, 0.7, None), (1, 0.8, (0.7, 0.9))], [True, True]).band
    assert history_chart("click", ["a"], [], [True]) is None

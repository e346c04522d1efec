"""Names, numbers and times of spans."""

from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.recipe.spans import Spans
from pipeline.spans.calendar import BadSpan, Calendar

HOUR = 3_600_000


def test_a_day_begins_where_the_recipe_says():
    calendar = Calendar.of(Spans(by="day", utc_offset_hours=8))
    day = calendar.number("1970-01-02")
    assert day == 1 and calendar.name(day) == "1970-01-02"
    assert calendar.start(day) == 16 * HOUR  # in UTC, eight hours before its midnight
    assert calendar.numbers(np.array([16 * HOUR - 1, 16 * HOUR, 40 * HOUR - 1, 40 * HOUR])).tolist() == [
        0,
        1,
        1,
        2,
    ]


def test_hours_have_names_too():
    calendar = Calendar.of(Spans(by="hour"))
    assert calendar.name(calendar.number("2022-05-02T13") + 11) == "2022-05-03T00"


def test_the_last_span_is_the_newest_that_is_over():
    now = datetime(2022, 5, 2, 20, tzinfo=UTC)
    assert Calendar.of(Spans()).number("last", now) == Calendar.of(Spans()).number("2022-05-01")
    east = Calendar.of(Spans(utc_offset_hours=8))  # there it is the third already
    assert east.number("last", now) == east.number("2022-05-02")


@pytest.mark.parametrize("name", ["2022-5-2", "2022-02-30", "2022-05-02T13", "yesterday", ""])
def test_what_is_no_day_is_told_so(name):
    with pytest.raises(BadSpan, match="is no day; write it as 2022-05-02, or last"):
        Calendar.of(Spans()).number(name)

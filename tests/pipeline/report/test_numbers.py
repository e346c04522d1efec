import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.numbers import (
    bytes_text,
    count_text,
    difference_interval_text,
    difference_text,
    interval_text,
    metric_text,
    places,
    seconds_text,
    share_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.73124, "0.7312"),
        (25.4, "25.40"),
        (12345.6, "12,346"),
        (0.0, "0.0000"),
        (1e-7, "1.00e-07"),
        (None, "–"),
    ],
)
def test_metric_without_an_interval(value, text):
    assert metric_text(value) == text


@pytest.mark.parametrize(
    ("value", "interval", "text", "ends"),
    [
        (0.785348, (0.776879, 0.793252), "0.785", "0.777 to 0.793"),
        (0.785348, (0.783879, 0.786252), "0.7853", "0.7839 to 0.7863"),
        (24.0312, (23.02, 25.17), "24.0", "23.0 to 25.2"),
        (12345.6, (11000.0, 14000.0), "12,346", "11,000 to 14,000"),
        (1.0, (1.0, 1.0), "1.0000", ""),
    ],
)
def test_a_number_has_the_places_that_its_interval_supports(value, interval, text, ends):
    assert (metric_text(value, interval), interval_text(interval)) == (text, ends)


@given(st.floats(1e-5, 1e5), st.floats(-1e6, 1e6))
def test_an_interval_supports_one_or_two_digits_of_its_half_width(half, middle):
    unit = 10.0 ** -places((middle - half, middle + half))
    assert unit <= max(half, 1) * 1.001
    assert half / unit < 30.1 or unit == 1


def test_differences():
    assert difference_text(-4.768, like=25.4) == "−4.77"
    assert difference_text(0.0141, like=0.7) == "+0.0141"
    assert difference_text(0.0, like=0.7) == "±0.0000"
    assert difference_text(0.01412, (0.0102, 0.0181)) == "+0.014"
    assert difference_interval_text((-0.0102, 0.0181)) == "−0.010 to +0.018"
    assert difference_interval_text(None) == difference_interval_text((0.1, 0.1)) == ""


def test_an_interval_that_leaves_out_0_is_not_written_as_if_it_held_it():
    assert difference_interval_text((0.0002, 0.0802)) == "+0.0002 to +0.0802"
    assert difference_interval_text((-0.0002, 0.0802)) == "±0.00 to +0.08"


def test_counts_durations_shares_memory():
    assert count_text(1234567) == "1,234,567"
    assert [seconds_text(s) for s in (0.42, 9.94, 75.2, 725.0)] == ["0.4 s", "9.9 s", "75 s", "12 min 5 s"]
    shares = [share_text(*of) for of in ((1, 4), (1, 10_000), (0, 5), (0, 0))]
    assert shares == ["25.0 %", "< 0.1 %", "0.0 %", ""]
    assert [bytes_text(b) for b in (None, 512e6, 1.44e9)] == ["–", "512 MB", "1.4 GB"]

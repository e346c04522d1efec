import pytest

from pipeline.report.numbers import count_text, difference_text, metric_text, seconds_text, share_text


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
def test_metric(value, text):
    assert metric_text(value) == text


def test_difference_is_written_as_its_value_is():
    assert difference_text(-4.768, like=25.4) == "−4.77"
    assert difference_text(0.0141, like=0.7) == "+0.0141"
    assert difference_text(0.0, like=0.7) == "±0.0000"


def test_counts_durations_shares():
    assert count_text(1234567) == "1,234,567"
    assert [seconds_text(s) for s in (0.42, 9.94, 75.2, 725.0)] == ["0.4 s", "9.9 s", "75 s", "12 min 5 s"]
    shares = [share_text(*of) for of in ((1, 4), (1, 10_000), (0, 5), (0, 0))]
    assert shares == ["25.0 %", "< 0.1 %", "0.0 %", ""]

"""Cron's times, against what crontab(5) says and what systemd makes of them."""

import shutil
import subprocess
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.schedule.times import BadTime, parse


@pytest.mark.parametrize(
    ("text", "fields", "calendar"),
    [
        ("0 2 * * *", ((0,), (2,), None, None, None), "*-*-* 02:00:00 UTC"),
        ("@daily", ((0,), (0,), None, None, None), "*-*-* 00:00:00 UTC"),
        ("*/20 * * * *", ((0, 20, 40), None, None, None, None), "*-*-* *:00,20,40:00 UTC"),
        ("5 4-6,22 * * Mon-Fri", ((5,), (4, 5, 6, 22), None, None, (1, 2, 3, 4, 5)), None),
        (
            "0 0 1-31/10 jan,Jul *",
            ((0,), (0,), (1, 11, 21, 31), (1, 7), None),
            "*-01,07-01,11,21,31 00:00:00 UTC",
        ),
        ("0 0 * * 7", ((0,), (0,), None, None, (0,)), "Sun *-*-* 00:00:00 UTC"),
        (" 50/5  0 * * * ", ((50, 55), (0,), None, None, None), "*-*-* 00:50,55:00 UTC"),
    ],
)
def test_what_is_read(text, fields, calendar):
    found = parse(text)
    assert found.fields == fields
    assert calendar in (None, found.calendar)
    assert parse(found.text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has 1 fields, and a time of cron has five"),
        ("0 2 * *", "has 4 fields"),
        ("@reboot", "has 1 fields"),
        ("60 2 * * *", "minute: '60' is not from 0 to 59"),
        ("0 24 * * *", "hour: '24'"),
        ("0 0 0 * *", "day of the month: '0'"),
        ("0 0 * 13 *", "month: '13' is not from 1 to 12 or jan to dec"),
        ("0 0 * * frid", "day of the week: 'frid' is not from 0 to 7 or sun to sat"),
        ("5-2 0 * * *", "ends before it begins"),
        ("*/0 0 * * *", "the step of"),
        ("1,,2 0 * * *", "minute: '' is not"),
        ("-1 0 * * *", "minute: '-1' is not"),
        ("0 0 31 2,4 *", "never comes"),
        ("0 0 30 feb *", "never comes"),
    ],
)
def test_what_is_no_time_is_refused_in_words(text, said):
    with pytest.raises(BadTime, match=said):
        parse(text)


def test_a_timer_cannot_say_either_of_two_days():
    with pytest.raises(BadTime, match="cron means either"):
        _ = parse("0 0 13 * fri").calendar


def _next(times, after):
    """The first minute after a moment that the fields allow, tried one by one."""
    minute, hour, day, month, weekday = times.fields
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while True:
        date = (
            (day is None or moment.day in day)
            and (month is None or moment.month in month)
            and (weekday is None or moment.isoweekday() % 7 in weekday)
        )
        if not date:
            moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
        elif (hour is None or moment.hour in hour) and (minute is None or moment.minute in minute):
            return moment
        else:
            moment += timedelta(minutes=1)


def _field(low, high):
    one = st.integers(low, high)
    ranges = st.tuples(one, one).map(lambda ends: f"{min(ends)}-{max(ends)}")
    part = st.one_of(one.map(str), ranges, st.integers(1, min(high, 9)).map(lambda step: f"*/{step}"))
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


@settings(max_examples=25, deadline=None)
@given(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 7), st.booleans())
def test_systemd_comes_to_the_same_next_time(minute, hour, day, month, weekday, by_week):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    times = parse(f"{minute} {hour} {'*' if by_week else day} {month} {weekday if by_week else '*'}")
    base = datetime(2026, 3, 4, 5, 6)
    said = subprocess.run(
        ["systemd-analyze", "calendar", f"--base-time={base} UTC", times.calendar],
        env={"TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    line = next(line for line in said.splitlines() if "Next elapse:" in line)
    assert line.split()[3:5] == str(_next(times, base)).split()

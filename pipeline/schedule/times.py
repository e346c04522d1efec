"""Times as cron writes them (crontab(5)): five fields, of which systemd's calendar is another spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")


class BadTime(ValueError):
    """No time of cron's; the message says which field, and what would be right."""


@dataclass(frozen=True)
class Times:
    """When to run.

    Attributes:
      text: the five fields.
      fields: the values of each; None where it is `*`. Sunday is 0.
    """

    text: str
    fields: tuple[tuple[int, ...] | None, ...]

    @property
    def calendar(self) -> str:
        """The same for systemd.time(7), in UTC.

        Raises:
          BadTime: both days are given: cron runs on either, systemd only on days that are both.
        """
        minute, hour, day, month, weekday = self.fields
        if day is not None and weekday is not None:
            raise BadTime(
                f"{self.text!r} names days of the month and of the week: cron means either, which one "
                "systemd timer cannot say; leave one of them `*`"
            )
        days = "" if weekday is None else ",".join(_DAYS[d].capitalize() for d in weekday) + " "
        date = f"*-{_listed(month)}-{_listed(day)}"
        return f"{days}{date} {_listed(hour)}:{_listed(minute)}:00 UTC"


def parse(text: str) -> Times:
    """Reads five fields of numbers, names, `*`, ranges, lists and steps, or one of `@hourly`, `@daily`,
    `@midnight`, `@weekly` and `@monthly`.

    Raises:
      BadTime: it is none, or a day that never comes.
    """
    given = " ".join(text.split()).lower()
    fields = _SHORT.get(given, given).split(" ")
    if len(fields) != len(_FIELDS):
        raise BadTime(
            f"{text!r} has {len(fields)} fields, and a time of cron has five: minute, hour, day of the "
            f"month, month, day of the week, such as '0 2 * * *' (or one of {', '.join(_SHORT)})"
        )
    found = tuple(_values(field, *about) for field, about in zip(fields, _FIELDS, strict=True))
    day, month, weekday = found[2:]
    longest = max(_LENGTHS[m - 1] for m in month or range(1, 13))
    if day is not None and weekday is None and min(day) > longest:
        raise BadTime(f"{text!r} never comes: none of its months has a day {min(day)}")
    return Times(" ".join(fields), found)


_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _values(field: str, name: str, low: int, high: int, words: tuple[str, ...]) -> tuple[int, ...] | None:
    if field == "*":
        return None
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise BadTime(f"{name}: {part!r} is not `*`, a number, a range such as 1-5, or these with /step")
        every, first, last, step = match.groups()
        start = low if every else _number(first, name, low, high, words)
        # cron lets a step follow a single number as if it were a range to the end
        end = _number(last, name, low, high, words) if last else high if every or step else start
        if end < start:
            raise BadTime(f"{name}: {part!r} ends before it begins")
        if step is not None and not 1 <= int(step) <= high:
            raise BadTime(f"{name}: the step of {part!r} must be from 1 to {high}")
        found.update(range(start, end + 1, int(step or 1)))
    if words == _DAYS:
        found = {value % 7 for value in found}
    return tuple(sorted(found))


def _number(text: str, name: str, low: int, high: int, words: tuple[str, ...]) -> int:
    if text in words:
        return words.index(text) + (1 if words == _MONTHS else 0)
    if text.isdecimal() and low <= int(text) <= high:
        return int(text)
    names = f" or {words[0]} to {words[-1]}" if words else ""
    raise BadTime(f"{name}: {text!r} is not from {low} to {high}{names}")


def _listed(values: tuple[int, ...] | None) -> str:
    return "*" if values is None else ",".join(f"{value:02d}" for value in values)

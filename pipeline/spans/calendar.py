"""Spans by name, by number and by time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from pipeline.recipe import Recipe
from pipeline.recipe.spans import Spans

LAST = "last"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMS = {
    "day": ("%Y-%m-%d", r"\d{4}-\d\d-\d\d", "2022-05-02"),
    "hour": ("%Y-%m-%dT%H", r"\d{4}-\d\d-\d\dT\d\d", "2022-05-02T13"),
}


class BadSpan(ValueError):
    """No span's name, or no range of them; says what would be right."""


@dataclass(frozen=True)
class Calendar:
    """Spans of one length. A span's number counts days or hours since 1970 where the recipe's days begin, as
    TFX's property `span` does.

    Attributes:
      length: milliseconds.
      offset: milliseconds that its days begin before UTC's.
    """

    by: str
    length: int
    offset: int

    @classmethod
    def of(cls, spans: Spans) -> Calendar:
        length = 86_400_000 if spans.by == "day" else 3_600_000
        return cls(spans.by, length, round(spans.utc_offset_hours * 3_600_000))

    def number(self, name: str, now: datetime | None = None) -> int:
        """The span of a name such as 2022-05-02 or 2022-05-02T13; `last` is the newest one that is over.

        Args:
          name: of the span.
          now: for `last`; the time of the call where left out.

        Raises:
          BadSpan: it is no name.
        """
        if name == LAST:
            at = (datetime.now(UTC) if now is None else now) - _EPOCH
            return int(self.numbers(np.array([at // timedelta(milliseconds=1)]))[0]) - 1
        form, pattern, example = _FORMS[self.by]
        try:
            if not re.fullmatch(pattern, name):
                raise ValueError
            found = datetime.strptime(name, form).replace(tzinfo=UTC)
        except ValueError:
            raise BadSpan(f"'{name}' is no {self.by}; write it as {example}, or {LAST}") from None
        return (found - _EPOCH) // timedelta(milliseconds=self.length)

    def name(self, number: int) -> str:
        """The span's name."""
        return (_EPOCH + number * timedelta(milliseconds=self.length)).strftime(_FORMS[self.by][0])

    def start(self, number: int) -> int:
        """Milliseconds since 1970-01-01 UTC at which the span begins; it ends where the next one begins."""
        return number * self.length - self.offset

    def numbers(self, times: np.ndarray) -> np.ndarray:
        """The spans of times: int64 `[rows]` of milliseconds since 1970-01-01 UTC."""
        return (times + self.offset) // self.length


def span_name(recipe: Recipe, given: str) -> str:
    """The name of the span that is asked for, where `last` is the newest one that is over.

    Raises:
      BadSpan: it is no name, or the recipe has no spans.
    """
    if recipe.spans is None:
        raise BadSpan("the recipe has no `spans:`, which say how long one is and how many are trained on")
    calendar = Calendar.of(recipe.spans)
    return calendar.name(calendar.number(given))


def span_range(recipe: Recipe, first: str, last: str) -> list[str]:
    """The names of all spans from one to another, in order.

    Raises:
      BadSpan: one is no name, the last is before the first, or the recipe has no spans.
    """
    begin, end = span_name(recipe, first), span_name(recipe, last)
    calendar = Calendar.of(recipe.spans)
    found = range(calendar.number(begin), calendar.number(end) + 1)
    if not found:
        raise BadSpan(f"{begin} is later than {end}")
    return [calendar.name(number) for number in found]

"""CSV text in blocks of whole records, with the lines set apart that a stray quote would join to others.

A parser takes all that follows an unclosed quote for one value, up to the next quote, wherever that is. So
every quoted value is looked at before the parser sees it. One is broken if the quote that ends it is
followed by more of its field, or if none ends it within `MAX_VALUE` bytes or before the file ends. One over
several lines is also broken if its record has another number of fields than the file or a quote within an
unquoted field, or if its lines are rows: all of them, or all between the first and the last, have as many
fields as the file has columns, and numbers and times where the recipe says so. Then the record is dead up
to the end of the line where the quote opens, and reading goes on with the next line. Any other value may
hold delimiters and line breaks (RFC 4180). A quote within a field that does not begin with one is text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

MAX_VALUE = 1 << 20
MAX_LINE = 16 << 20
# Stands, after as many delimiters as there are columns, where a broken line was.
STAND_IN = "\ufffe"


class Dialect(NamedTuple):
    """How a file is written.

    Attributes:
      delimiter: one ASCII byte.
      line_end: the last byte of a line's end.
      fields: of a record.
      are_rows: whether lines with that many fields hold values of the columns' types.
    """

    delimiter: bytes
    line_end: bytes
    fields: int
    are_rows: Callable[[list[bytes]], bool]


class Broken(NamedTuple):
    """A record cut off at the end of a line, and why."""

    reason: str
    text: bytes


class Block(NamedTuple):
    """Whole records; in place of each in `broken` one with a field too many, which ends with its index."""

    text: bytes
    broken: list[Broken]


class LineTooLong(ValueError):
    """More than `MAX_LINE` bytes without the end of a record."""


def blocks(stream: BinaryIO, dialect: Dialect, block_bytes: int) -> Iterator[Block]:
    """Cuts what is left of a stream, which begins with a record. Where it is cut changes no record.

    Raises:
      LineTooLong: no record ends where one must.
    """
    rest = b""
    while True:
        chunk = stream.read(block_bytes)
        text = rest + chunk
        block, rest = _cut(text, dialect, final=not chunk)
        if block.text:
            yield block
        if not chunk:
            return
        if len(rest) > MAX_LINE:
            raise LineTooLong


def _cut(text: bytes, dialect: Dialect, final: bool) -> tuple[Block, bytes]:
    if b'"' not in text:
        end = len(text) if final else text.rfind(dialect.line_end) + 1
        return Block(text[:end], []), text[end:]
    scan = _Scan(text, dialect, final)
    end = len(text) if final else scan.record_start(scan.undecided)
    parts, broken, at = [], [], 0
    for start, stop, reason in scan.broken:
        parts += [text[at:start], dialect.delimiter * dialect.fields + f"{STAND_IN}{len(broken)}".encode()]
        broken.append(Broken(reason, text[start:stop].rstrip(b"\r")))
        at = stop
    return Block(b"".join([*parts, text[at:end]]) if broken else text[:end], broken), text[end:]


class _Scan:
    """The quoted values of a text, which begins with a record.

    Attributes:
      broken: start, end and reason of each broken record, in order.
      undecided: from here on, what is quoted depends on what follows the text.
    """

    def __init__(self, text: bytes, dialect: Dialect, final: bool):
        self._text, self._dialect, self._final = text, dialect, final
        self._opens: Sequence[int]
        self._closes: Sequence[int]
        self._bytes = np.frombuffer(text, np.uint8)
        self._bounds = frozenset((dialect.delimiter[0], *b"\r\n"))
        self._stray: list[int] = []  # quotes that are text
        self.broken: list[tuple[int, int, str]] = []
        self.undecided = len(text)
        quotes = np.flatnonzero(self._bytes == ord('"'))
        lines = len(text) if final else text.rfind(dialect.line_end) + 1
        if self._all_regular(quotes[: np.searchsorted(quotes, lines)]):
            self.undecided = lines
        else:
            self._opens, self._closes = [], []
            self._one_by_one(quotes.tolist(), 0)
        while (value := self._swallowing()) is not None:
            opening = int(self._opens[value])
            self.broken = [b for b in self.broken if b[0] < opening]
            self.undecided = len(text)
            at = self._break(opening, "is closed on a later line only, and what is between is not one value")
            self._one_by_one(quotes.tolist(), int(np.searchsorted(quotes, at)))

    def _all_regular(self, quotes: np.ndarray) -> bool:
        """Whether each of these quotes opens or closes a value as it should; then the values are known."""
        if len(quotes) % 2:
            return False
        if not len(quotes):
            self._opens = self._closes = []
            return True
        bounds = np.zeros(256, bool)
        bounds[list(self._bounds)] = True
        opens, closes = quotes[::2], quotes[1::2]
        # "" in a value closes it and opens it again
        again = opens[1:] == closes[:-1] + 1
        before = bounds[self._bytes[np.maximum(opens - 1, 0)]] | (opens == 0)
        last = len(self._bytes) - 1
        after = bounds[self._bytes[np.minimum(closes + 1, last)]] | (closes == last)
        before[1:] |= again
        after[:-1] |= again
        if not (before.all() and after.all()):
            return False
        opens, closes = opens[np.append(True, ~again)], closes[np.append(~again, True)]
        if (closes - opens > MAX_VALUE).any():
            return False
        self._opens, self._closes = opens, closes
        return True

    def _one_by_one(self, quotes: list[int], i: int) -> None:
        """The same for any quotes, from the one at index i on, which is in no value."""
        text = self._text
        while i < len(quotes):
            opening = quotes[i]
            i += 1
            if opening and text[opening - 1] not in self._bounds:
                self._stray.append(opening)
                continue
            while i + 1 < len(quotes) and quotes[i + 1] == quotes[i] + 1:
                i += 2
            closing = quotes[i] if i < len(quotes) else len(text)
            if closing - opening > MAX_VALUE or (closing == len(text) and self._final):
                at = self._break(opening, "is not closed")
            elif closing == len(text):
                self.undecided = opening
                return
            else:
                end = closing + 1
                while end < len(text) and text[end] in b" \t" and text[end] not in self._bounds:
                    end += 1
                if end == len(text) or text[end] in self._bounds:
                    self._opens.append(opening)
                    self._closes.append(closing)
                    i += 1
                    continue
                at = self._break(opening, "closes before the end of its field")
            if at is None:
                self.undecided = opening
                return
            i = bisect_right(quotes, at - 1)

    def _break(self, opening: int, why: str) -> int | None:
        """Sets the first line of the record apart in which a quote opens that is no value's; returns the
        line's end, or None where it is not in the text. An earlier value of the record that goes on beyond
        that line is not trusted either."""
        start = self.record_start(opening)
        end = self._text.find(self._dialect.line_end, start)
        if end < 0:
            if not self._final:
                return None
            end = len(self._text)
        known = bisect_left(self._opens, start)
        if known < len(self._opens) and end < opening:
            opening = int(next(o for o, c in zip(self._opens[known:], self._closes[known:]) if c > end))
        self._opens, self._closes = list(self._opens[:known]), list(self._closes[:known])
        self._stray = self._stray[: bisect_left(self._stray, start)]
        shown = self._text[opening : min(end, opening + 24)].decode(errors="replace").rstrip()
        reason = f'the quote before {shown[1:]!r} {why}; a quote within a quoted value is written twice: ""'
        self.broken.append((start, end, reason))
        return end

    def _swallowing(self) -> int | None:
        """The first value over several lines that looks as if a quote had been left open, if any: its record
        has another number of fields than the file, or a quote too many; or all its lines, or all between its
        first and its last, are rows."""
        opens, closes = np.asarray(self._opens), np.asarray(self._closes)
        ends = np.flatnonzero(self._bytes == self._dialect.line_end[0])
        inside = _within(ends, opens, closes)
        if not inside.any():
            return None
        several = np.unique(np.searchsorted(opens, ends[inside]) - 1)
        delimiters = np.flatnonzero(self._bytes == self._dialect.delimiter[0])
        # what stands in values is no bound of records and fields
        record_ends = ends[~inside & (ends < self.undecided)]
        field_ends = delimiters[~_within(delimiters, opens, closes)]
        record = np.searchsorted(record_ends, opens[several])
        known = self._final | (record < len(record_ends))  # what goes on beyond the text will be seen again
        several, record = several[known], record[known]
        start, stop = np.append(0, record_ends + 1)[record], np.append(record_ends, len(self._bytes))[record]
        fields = 1 + _count(field_ends, start, stop)
        wrong = (fields != self._dialect.fields) | (_count(self._stray, start, stop) > 0)

        line_starts, line_ends = np.append(0, ends + 1), np.append(ends, len(self._bytes))
        unlike = _count(delimiters, line_starts, line_ends) != self._dialect.fields - 1
        unlike = np.append(0, np.cumsum(unlike))  # lines so far with another number of fields
        first, last = np.searchsorted(ends, opens[several]), np.searchsorted(ends, closes[several])
        last = np.where(
            unlike[last + 1] == unlike[first], last, last - 1
        )  # where not all are alike: those between
        alike = (last > first) & (unlike[last + 1] == unlike[first + 1]) & (self._dialect.fields > 1)
        for i in np.flatnonzero(wrong | alike).tolist():
            lines = range(first[i] + 1, last[i] + 1)
            if wrong[i] or self._dialect.are_rows([self._text[line_starts[k] : line_ends[k]] for k in lines]):
                return int(several[i])
        return None

    def record_start(self, place: int) -> int:
        """Where the record begins that a place is in."""
        while True:
            start = self._text.rfind(self._dialect.line_end, 0, place) + 1
            value = bisect_right(self._opens, start - 1) - 1
            if value < 0 or self._closes[value] < start:
                return start
            place = int(self._opens[value])


def _within(places: np.ndarray, opens: np.ndarray, closes: np.ndarray) -> np.ndarray:
    """Which places are in one of the spans, which do not overlap."""
    if not len(opens):
        return np.zeros(len(places), bool)
    span = np.searchsorted(opens, places) - 1
    return (span >= 0) & (places < closes[span])


def _count(places: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """How many of the sorted places are in each range."""
    return np.searchsorted(places, stops) - np.searchsorted(places, starts)

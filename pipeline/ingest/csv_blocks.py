"""CSV text in blocks of whole records, with the lines set apart that a stray quote would join to others.

A parser takes all that follows an unclosed quote for one value, up to the next quote, wherever that is. So
every quoted value is looked at before the parser sees it. One is broken if the quote that ends it is
followed by more of its field, if none ends it within `MAX_VALUE` bytes or before the file ends, or if the
lines in it are rows themselves: with as many fields as the file has columns, and values that fit their
types. Then the record is dead up to the end of the line where that quote opens, and reading goes on with
the next line. Any other value may hold delimiters and line breaks (RFC 4180). A quote within a field that
does not begin with one is text.
"""

from __future__ import annotations

from bisect import bisect_right
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
    """Whole records. A broken one has a stand-in with a field too many that ends with its index in `broken`."""

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
        self.broken: list[tuple[int, int, str]] = []
        self.undecided = len(text)
        quotes = np.flatnonzero(self._bytes == ord('"'))
        if not self._all_regular(quotes):
            self._opens, self._closes = [], []
            self._one_by_one(quotes.tolist(), 0)
        while (value := self._swallowing()) is not None:
            opening = int(self._opens[value])
            self._opens, self._closes = list(self._opens[:value]), list(self._closes[:value])
            self.broken = [b for b in self.broken if b[0] < opening]
            self.undecided = len(text)
            at = self._break(opening, "closes, but the lines between are rows of this file")
            self._one_by_one(quotes.tolist(), int(np.searchsorted(quotes, at)))

    def _all_regular(self, quotes: np.ndarray) -> bool:
        """Whether every quote opens or closes a value as it should; then the values are known."""
        if len(quotes) % 2:
            return False
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
        """Sets the record apart up to the end of the line that a quote opens in; returns that end, or None
        where it is not in the text."""
        end = self._text.find(self._dialect.line_end, opening)
        if end < 0:
            if not self._final:
                return None
            end = len(self._text)
        shown = self._text[opening : min(end, opening + 24)].decode(errors="replace").rstrip()
        reason = f'the quote before {shown[1:]!r} {why}; a quote within a quoted value is written twice: ""'
        self.broken.append((self.record_start(opening), end, reason))
        return end

    def _swallowing(self) -> int | None:
        """The first value that is made of rows, if any."""
        if not len(self._opens) or self._dialect.fields < 2:
            return None
        line_end = self._dialect.line_end
        ends = np.flatnonzero(self._bytes == line_end[0])
        first, last = np.searchsorted(ends, self._opens), np.searchsorted(ends, self._closes)
        several = np.flatnonzero(last > first)
        if not len(several):
            return None
        delimiters = np.flatnonzero(self._bytes == self._dialect.delimiter[0])
        line_starts = np.append(0, ends + 1)
        counts = np.diff(np.append(np.searchsorted(delimiters, line_starts), len(delimiters)))
        unlike = np.append(0, np.cumsum(counts != self._dialect.fields - 1))
        for value in several[unlike[last[several] + 1] == unlike[first[several]]].tolist():
            stop = self._text.find(line_end, int(self._closes[value]))
            if stop < 0 and not self._final:
                continue  # the record goes on beyond the text, and will be seen again
            stop = len(self._text) if stop < 0 else stop
            if self._dialect.are_rows(self._text[line_starts[first[value] + 1] : stop].split(line_end)):
                return value
        return None

    def record_start(self, place: int) -> int:
        """Where the record begins that a place is in."""
        while True:
            start = self._text.rfind(self._dialect.line_end, 0, place) + 1
            value = bisect_right(self._opens, start - 1) - 1
            if value < 0 or self._closes[value] < start:
                return start
            place = int(self._opens[value])

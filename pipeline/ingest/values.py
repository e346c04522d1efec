"""What a typed column must still pass, whichever format it came from, before it is part of a batch."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pyarrow as pa

from pipeline.ingest.batch import Batch, Problem
from pipeline.ingest.private import HIDDEN, hashed
from pipeline.ingest.texts import TO_MS
from pipeline.recipe.parts import Column

# Milliseconds of 1990-01-01 and 2100-01-01: a log's time beyond them has most likely another unit.
EARLIEST, LATEST = 631_152_000_000, 4_102_444_800_000
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9][0-9. ]*,[0-9]+")


def take_in(
    batch: Batch,
    name: str,
    column: Column,
    array: pa.Array,
    bad: np.ndarray | None,
    value: Callable[[int], object],
) -> None:
    """Adds a column to a batch and flags the rows that cannot be used for it: values that are not of the
    type, times before 1990 or after 2099 where the recipe gives no bound, lists that are longer than it lets
    them be. Other lists are cut to `max_length`, and noted in `batch.cut`.

    Args:
      batch: gets the column, and the problems.
      name: the column's name in the recipe.
      column: its part of the recipe.
      array: typed, `[rows]`.
      bad: bool `[rows]`, which values could not be read; None where all could.
      value: row → the value as the source has it, to be shown; of a private column it is not.
    """
    if column.private:
        value = _hidden
    if bad is not None:
        batch.flag(np.flatnonzero(bad), lambda row: _unreadable(name, column, value(row)))
    if column.type == "time" and column.min is None and column.max is None:
        _judge_times(batch, name, column, array, value)
    if column.max_length is not None and column.type.startswith("list["):
        array = _bound(batch, name, column, array)
    batch.columns[name] = hashed(array) if column.private else array


def _hidden(row: int) -> str:
    return HIDDEN


def shown(value: object) -> str:
    """A value in a message: at most 80 characters, and such as can be written."""
    # halves of surrogate pairs, which JSON can hold, cannot be
    text = str(value).replace("\uffff", "\ufffd").encode(errors="replace").decode().strip()
    return text if len(text) <= 80 else text[:77] + "..."


def _unreadable(name: str, column: Column, value: object) -> Problem:
    article = "an" if column.type == "int" else "a"
    hint = _unit_hint(column, value) if column.type == "time" else ""
    if column.type == "float" and _DECIMAL_COMMA.fullmatch(str(value).strip()):
        hint = "numbers have a decimal point here, and nothing between thousands"
    return Problem(
        f"{name}: not {article} {column.type}",
        f"{name}: '{shown(value)}' is not {article} {column.type}{hint and '; ' + hint}",
    )


def _judge_times(
    batch: Batch, name: str, column: Column, array: pa.Array, value: Callable[[int], object]
) -> None:
    times = array.fill_null(EARLIEST).to_numpy(zero_copy_only=False)
    odd = (times < EARLIEST) | (times >= LATEST)
    if not odd.any():
        return

    def problem(row: int) -> Problem:
        unit = "" if column.unit == "iso" else f" in {column.unit}"
        hint = _unit_hint(column, value(row))
        return Problem(
            f"{name}: implausible time",
            f"{name}: '{shown(value(row))}' is {_day(int(times[row]))}{unit}"
            + (f"; {hint} " if hint else ", before 1990 or after 2099; ")
            + "`min:` or `max:` written for the column allows it"
            + (", `missing:` makes it no time at all" if times[row] == 0 else ""),
        )

    batch.flag(np.flatnonzero(odd), problem)


def _unit_hint(column: Column, value: object) -> str:
    """The unit in which a number would be a plausible time."""
    try:
        number = Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError):
        return ""
    for unit, factor in TO_MS.items():
        if unit != column.unit and EARLIEST <= number * factor < LATEST:
            return f"it would be {_day(int(number * factor))} in {unit}: is `unit: {unit}` right?"
    return ""


def _day(ms: int) -> str:
    return str(np.datetime64(ms, "ms").astype("datetime64[D]"))


def _bound(batch: Batch, name: str, column: Column, array: pa.ListArray) -> pa.ListArray:
    offsets = array.offsets.to_numpy()
    lengths = np.where(array.is_valid(), np.diff(offsets), 0)
    longer = lengths > column.max_length
    if not longer.any():
        return array
    if column.longer == "dead":

        def problem(row: int) -> Problem:
            return Problem(
                f"{name}: longer than {column.max_length}",
                f"{name} has {lengths[row]} values, and max_length allows {column.max_length}",
            )

        batch.flag(np.flatnonzero(longer), problem)
        return array
    batch.cut[name] = longer
    kept = np.minimum(lengths, column.max_length)
    skipped = lengths - kept if column.longer == "keep_last" else np.zeros_like(kept)
    bounds = np.append(0, np.cumsum(kept)).astype(np.int32)
    # place of each kept value: its list's first kept one, and how far it is from there
    places = np.repeat(offsets[:-1] + skipped - bounds[:-1], kept) + np.arange(bounds[-1])
    return pa.ListArray.from_arrays(
        pa.array(bounds), array.values.take(pa.array(places)), mask=array.is_null()
    )

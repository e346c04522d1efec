"""What a column is: its type in the recipe, and facts of its values in the sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipeline.ingest.arrow_types import convert, is_text
from pipeline.ingest.texts import blank_missing, parse_texts
from pipeline.recipe.parts import Column
from pipeline.starter.names import suggests
from pipeline.starter.odd_texts import meant_otherwise

NOT_A_VALUE = ["NA", "N/A", "n/a", "NULL", "null", "nan", "NaN", "\\N", "#N/A", "?"]
SENTINELS = (-1, -9, -99, -124, -128, -999, -9999, -99999)
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
EARLIEST, LATEST = 946_684_800, 2_208_988_800  # 2000 and 2040, seconds: what a log's times lie between
BAD_SHARE = 0.005  # so few values that do not fit a type are dead letters and not another type
SEPARATORS = ("|", ";", ",", " ")


@dataclass
class Field:
    """A column of a sample.

    Attributes:
      name: in the recipe.
      column: in the files.
      spec: its type and how it is read.
      array: the values typed as ingestion types them, `[rows]`, nulls where missing.
      notes: guesses that its reading rests on, for the recipe's comments.
      after: why it is known only after the impression; None where it is known before.
      leak: whether that was found out from the values, and the reader should be warned.
      dimension: of a vector.
    """

    name: str
    column: str
    spec: Column
    array: pa.Array
    notes: list[str] = field(default_factory=list)
    after: str | None = None
    leak: bool = False
    dimension: int | None = None

    @property
    def type(self) -> str:
        return self.spec.type

    @property
    def single(self) -> bool:
        """Whether a row has one value, not a list."""
        return not self.type.startswith("list[") and self.type != "vector"

    @cached_property
    def codes(self) -> np.ndarray:
        """Int64 `[rows]`: which distinct value; -1 where missing. Of single values."""
        encoded = self.array.dictionary_encode()
        return encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)

    @cached_property
    def distinct(self) -> int:
        return int(self.codes.max()) + 1 if len(self.codes) else 0

    @cached_property
    def missing(self) -> np.ndarray:
        """Bool `[rows]`."""
        return self.array.is_null().to_numpy(zero_copy_only=False)

    @cached_property
    def numbers(self) -> np.ndarray:
        """Float64 `[rows]`, NaN where missing. Of int, float, time and date."""
        return self.array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)

    @cached_property
    def values(self) -> list[object]:
        """The distinct values, most frequent first; only of columns with few."""
        counts = pc.value_counts(self.array.drop_null()).to_pylist()
        return [c["values"] for c in sorted(counts, key=lambda c: (-c["counts"], str(c["values"])))]

    @property
    def numeric(self) -> bool:
        return self.type in ("int", "float")

    @cached_property
    def constant(self) -> bool:
        """Says the same in every row."""
        return self.single and self.distinct + int(self.missing.any()) <= 1

    @cached_property
    def outcome_text(self) -> str | None:
        """Of a text with two values, the one that reads as yes; the rarer where none does."""
        if self.type != "string" or self.distinct != 2:
            return None
        yes = [v for v in self.values if str(v).lower() in ("1", "true", "yes", "y", "t")]
        return str(yes[0] if yes else self.values[1])

    @cached_property
    def binary(self) -> bool:
        """Whole numbers of which there are only 0 and 1, and both."""
        return self.type == "int" and self.distinct == 2 and set(self.values) == {0, 1}


def infer(name: str, column: str, array: pa.Array) -> Field:
    """The column's type, from its Arrow type or its texts."""
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pt.is_large_string(array.type) or pt.is_binary(array.type) or pt.is_large_binary(array.type):
        try:
            array = array.cast(pa.string())
        except pa.ArrowInvalid:
            array = pa.array([None] * len(array), pa.string())
    found = _of_texts(name, column, array) if is_text(array.type) else _of_values(name, column, array)
    _sentinel(found)
    if found.type == "int" and suggests(column, "calendar") and found.distinct:
        low, high = np.nanmin(found.numbers), np.nanmax(found.numbers)
        if 19_700_101 <= low and high <= 20_991_231:
            found.notes.append("a day written as a number; read as one")
    return found


def _of_values(name: str, column: str, array: pa.Array) -> Field:
    kind, notes, dimension = array.type, [], None
    if pt.is_boolean(kind):
        spec = Column(type="int")
    elif pt.is_timestamp(kind):
        spec = Column(type="time")
    elif pt.is_date(kind):
        spec = Column(type="date")
    elif pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        spec, dimension = _list_spec(array)
    elif pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind):
        numbers = array.cast(pa.float64(), safe=False)
        spec = _number_spec(column, numbers, not pt.is_integer(kind), notes)
    elif pt.is_null(kind):
        spec = Column(type="string")
        notes.append("no value in the sample; say its type")
    else:
        spec = Column(type="string")
        notes.append(f"{kind} cannot be read; take the column out")
    typed, _ = (
        convert(array, spec)
        if not pt.is_nested(kind) or dimension or spec.type.startswith("list")
        else (pa.nulls(len(array), pa.string()), None)
    )
    return Field(name, column, spec, typed, notes, dimension=dimension)


def _list_spec(array: pa.Array) -> tuple[Column, int | None]:
    element = array.type.value_type
    if is_text(element):
        return Column(type="list[string]"), None
    lengths = pc.list_value_length(array).drop_null()
    floats = pt.is_floating(element)
    if floats and len(lengths) and pc.min(lengths).as_py() == pc.max(lengths).as_py() > 1:
        return Column(type="vector"), pc.max(lengths).as_py()
    return (Column(type="vector"), None) if floats else (Column(type="list[int]"), None)


def _number_spec(column: str, numbers: pa.Array, fractions: bool, notes: list[str]) -> Column:
    """int or float; or time, where the numbers lie between 2000 and 2040 in some unit."""
    values = numbers.drop_null().to_numpy(zero_copy_only=False)
    values = values[np.isfinite(values)]
    if len(values):
        low, high = values.min(), values.max()
        for unit, per_second in UNITS.items():
            named = suggests(column, "time") or suggests(column, "calendar") or column.lower().endswith("_at")
            # seconds are as large as many ids are: only a name tells
            if EARLIEST * per_second <= low and high <= LATEST * per_second and (named or unit != "s"):
                shown = np.datetime64(int(low / per_second * 1000), "ms").astype("datetime64[D]")
                until = np.datetime64(int(high / per_second * 1000), "ms").astype("datetime64[D]")
                notes.append(f"{unit} since 1970 would be {shown} to {until}")
                return Column(type="time", unit=unit)
    if not fractions:
        return Column(type="int")
    whole = len(values) and np.all(values == np.floor(values)) and np.abs(values).max() < 2**53
    if whole and (len(np.unique(values)) <= 50 or suggests(column, "category")):
        return Column(type="int")
    return Column(type="float")


def _of_texts(name: str, column: str, array: pa.Array) -> Field:
    texts = pc.utf8_trim_whitespace(array)
    missing = [t for t in NOT_A_VALUE if pc.any(pc.equal(texts, t)).as_py()]
    notes: list[str] = []
    blank = blank_missing(texts, missing)
    present = blank.drop_null()
    if not len(present):
        return Field(name, column, Column(type="string"), blank, ["no value in the sample; say its type"])
    spec, dimension = _text_spec(column, present, notes)
    if missing:
        spec = spec.model_copy(update={"missing": ["", *missing]})
        notes.append(f"{', '.join(missing)} {'stands' if len(missing) == 1 else 'stand'} for a missing value")
    typed, bad = parse_texts(blank, spec)
    if bad is not None:
        first = blank.filter(pa.array(bad))[0].as_py()
        notes.append(f"{bad.sum():,} of {len(bad):,} values are none, such as '{first[:20]}': dead letters")
    return Field(name, column, spec, typed, notes, dimension=dimension)


def _text_spec(column: str, present: pa.Array, notes: list[str]) -> tuple[Column, int | None]:
    def fits(spec: Column) -> pa.Array | None:
        _, bad = parse_texts(present.slice(0, 2000), spec)
        if bad is not None and bad.mean() > 10 * BAD_SHARE:
            return None
        typed, bad = parse_texts(present, spec)
        return typed if bad is None or bad.sum() <= BAD_SHARE * len(bad) else None

    if (
        pc.any(pc.match_substring_regex(present, "^-?0[0-9]")).as_py()
        and fits(Column(type="int")) is not None
    ):
        notes.append("a text: as numbers, leading zeros would be lost")
        return Column(type="string"), None
    if (numbers := fits(Column(type="int"))) is not None:
        return _number_spec(column, numbers.cast(pa.float64(), safe=False), False, notes), None
    if (numbers := fits(Column(type="float"))) is not None:
        return _number_spec(column, numbers, True, notes), None
    # a date may be written as a time, and a time as a date: only a clock tells
    clock = pc.any(pc.match_substring(present.slice(0, 2000), ":")).as_py()
    moment = Column(type="time", unit="iso") if clock else Column(type="date")
    if fits(moment) is not None:
        return moment, None
    head = present.slice(0, 20_000)
    if pc.all(
        pc.match_substring_regex(head, r"^\s*\[?\s*-?[0-9.]+(e-?[0-9]+)?([,\s]+-?[0-9.eE+-]+){3,}\s*\]?$")
    ).as_py():
        vectors, bad = parse_texts(head, Column(type="vector"))
        lengths = pc.unique(pc.list_value_length(vectors))
        if bad is None and len(lengths) == 1:
            return Column(type="vector"), lengths[0].as_py()
    if (meant := meant_otherwise(head)) is not None:
        notes.append(meant)
        return Column(type="string"), None
    if (separator := _separator(head)) is not None:
        notes.append(f"'{separator}' splits the text into a list")
        parts = Column(type="list[int]", separator=separator)
        return (parts if fits(parts) is not None else Column(type="list[string]", separator=separator)), None
    return Column(type="string"), None


def _separator(texts: pa.Array) -> str | None:
    """What splits texts into lists: then there are far fewer distinct parts than distinct texts."""
    whole = pc.unique(texts)
    if len(whole) < 3:
        return None
    for separator in SEPARATORS:
        if separator == " " or not pc.any(pc.match_substring(whole, separator)).as_py():
            continue
        parts = pc.utf8_trim_whitespace(pc.split_pattern(whole, separator).flatten())
        some = pc.mean(pc.match_substring(texts, separator).cast(pa.float64())).as_py()
        distinct = pc.unique(parts)
        prose = pc.mean(pc.match_substring(distinct, " ").cast(pa.float64())).as_py() > 0.3
        if (
            some >= 0.02
            and len(distinct) <= 0.7 * len(whole)
            and not prose
            and pc.max(pc.utf8_length(distinct)).as_py() <= 64
        ):
            return separator
    return None


def _sentinel(found: Field) -> None:
    """One negative number among others that never are may stand for a missing value."""
    if not found.numeric or not found.distinct:
        return
    numbers = found.numbers[~np.isnan(found.numbers)]
    negative = np.unique(numbers[numbers < 0])
    if len(negative) == 1 and negative[0] in SENTINELS and (numbers >= 0).any():
        share = float(np.mean(numbers == negative[0]))
        found.notes.append(
            f"{negative[0]:g} ({share:.0%}) may stand for a missing value; then list it in `missing:`"
        )

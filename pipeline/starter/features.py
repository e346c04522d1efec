"""Which columns become features, and with what settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from pipeline.starter.columns import Field
from pipeline.starter.names import suggests

MANY = 100_000  # distinct values in the sample from which ids are hashed
DAY_MS = 86_400_000


@dataclass
class Feature:
    """A line of the recipe: its name, its settings in YAML's flow form, and what is a guess about it."""

    name: str
    settings: str
    note: str = ""


def features_of(
    f: Field, rows: int, total: int, as_category: bool = False
) -> tuple[list[Feature], str | None]:
    """The features that a column gives, or why it gives none.

    Args:
      f: a column that is known before.
      rows: of the sample that it was seen in.
      total: of its source.
      as_category: whether its numbers are names, as of a place in a list.
    """
    if f.type == "vector":
        if f.dimension is None:
            return [], "vectors of different lengths"
        return [Feature(f.name, f"{{kind: vector, dimension: {f.dimension}}}")], None
    if not f.single:
        lengths = pc.list_value_length(f.array).drop_null().to_numpy(zero_copy_only=False)
        longest = int(max(1, np.quantile(lengths, 0.95))) if len(lengths) else 1
        return [
            Feature(
                f.name,
                f"{{kind: categorical, max_length: {longest}}}",
                f"19 in 20 rows have {longest} or fewer",
            )
        ], None
    if f.constant:
        return [], "the same in every row"
    if f.type in ("time", "date"):
        return [], "a moment"
    if f.type == "string" or (f.type == "int" and (as_category or _category(f, rows))):
        return _categorical(f, rows, total)
    return _numeric(f), None


def _category(f: Field, rows: int) -> bool:
    if f.distinct > 0.5 * rows and f.distinct > 1000:
        return suggests(f.column, "category")
    return (
        f.distinct <= 12
        or (f.distinct <= 30 and suggests(f.column, "calendar"))
        or suggests(f.column, "category")
    )


def _categorical(f: Field, rows: int, total: int) -> tuple[list[Feature], str | None]:
    if f.type == "string":
        length = pc.mean(pc.utf8_length(f.array)).as_py() or 0
        if f.distinct > 1000 and length > 25 and f.distinct > 0.3 * rows:
            return [], "free text: encode it to a vector first"
    if f.distinct > 0.9 * (rows - f.missing.sum()) and f.distinct > 100:
        return [], "another value in nearly every row"
    if f.distinct > MANY and total > 2 * rows:
        size = 1 << int(np.ceil(np.log2(2 * f.distinct)))
        return [
            Feature(
                f.name, f"{{kind: categorical, hash_buckets: {size}}}", "too many values for a vocabulary"
            )
        ], None
    if f.distinct > 1000:
        return [
            Feature(
                f.name, "{kind: categorical, min_count: 2}", f"{f.distinct:,} values: rarer ones share a row"
            )
        ], None
    plain = f.type == "string" or f.distinct <= 2 or suggests(f.column, "category")
    note = "" if plain else "numbers with few values, as a category"
    return [Feature(f.name, "{kind: categorical}", note)], None


def _numeric(f: Field) -> list[Feature]:
    values = f.numbers[~np.isnan(f.numbers)]
    if len(values) and values.min() >= 0 and _skewness(values) > 2:
        found = [Feature(f.name, "{kind: numeric, scaling: log_standard}", "a long tail")]
    else:
        found = [Feature(f.name, "{kind: numeric}")]
    if f.distinct > 50:
        found.append(Feature(f"{f.name}_bucket", f"{{kind: buckets, column: {f.name}, count: 20}}"))
    return found


def _skewness(values: np.ndarray) -> float:
    deviation = values.std()
    return float(np.mean(((values - values.mean()) / deviation) ** 3)) if deviation > 0 else 0.0

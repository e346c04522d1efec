"""Vocabularies and the layout: which row of the one embedding table each value has.

A categorical feature's rows: the first is for a missing value, the second (of vocabularies) for an
unknown one, then one for each value, the most frequent first. Buckets and hashes have one row for a
missing value and one for each bucket. A feature that shares another's rows has that one's, and no
vocabulary of its own. A run that begins from a model keeps that one's values in their order, and adds
those that are new after them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mtl_models import CategoricalSlots, Layout, VectorInput
from pipeline import vectors
from pipeline.examples import record_batches, single_values
from pipeline.ingest import numpy_operations
from pipeline.recipe import Recipe
from pipeline.recipe.features import KEYED

MISSING, UNKNOWN, FIRST_VALUE, FIRST_BUCKET = 0, 1, 2, 1


def vocabulary_file(folder: str | Path, feature: str) -> str:
    """Where a feature's values are: one a line, in the order of their rows."""
    return str(Path(folder, f"{feature}.txt"))


def values_file(folder: str | Path) -> str:
    """Where the values of all features are, one vocabulary after the other, each behind its `prefix`."""
    return str(Path(folder, "all.values.txt"))


def prefix(number: int) -> bytes:
    """What tells the values of one vocabulary from those of others; `number` is its place in `with_vocabulary`."""
    return b"%d:" % number


def with_vocabulary(recipe: Recipe) -> list[str]:
    """The features that have a vocabulary of their own."""
    categorical = {n: f for n, f in recipe.features.items() if f.kind == "categorical"}
    return [n for n, f in categorical.items() if f.hash_buckets is None and f.shares is None]


def read_layout(folder: str | Path) -> Layout:
    """The layout written by `write_vocabularies`."""
    return Layout.from_dict(json.loads(Path(folder, "layout.json").read_text()))


def rows_of(recipe: Recipe, name: str) -> str:
    """The feature whose rows and vocabulary a categorical or bucketed one uses: itself, or that it shares."""
    return getattr(recipe.features[name], "shares", None) or name


def write_vocabularies(
    recipe: Recipe, examples: str | Path, folder: str | Path, base: str | Path | None = None
) -> Layout:
    """Counts the values of training and writes `<feature>.txt`, all of these in one file (see
    `values_file`), which is what the graph reads, and `layout.json` into `folder`.

    Of a list only those values count that the feature takes. The vectors that the model holds are already in
    `folder` (`pipeline.vectors`). `base` is the folder of the vocabularies that these grow from."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    counted = _count(recipe, examples)
    rows, lines, first_row = {}, {}, 0
    for name, feature in recipe.features.items():
        if feature.kind == "categorical" and feature.shares is not None:
            continue
        if feature.kind == "categorical" and feature.hash_buckets is None:
            old = Path(vocabulary_file(base, name)).read_bytes().splitlines() if base else []
            values = grown(old, counted[name], feature.min_count, feature.max_size)
            lines[name] = values
            Path(vocabulary_file(folder, name)).write_bytes(b"".join(v + b"\n" for v in values))
            size, unknown = FIRST_VALUE + len(values), UNKNOWN
        elif feature.kind == "categorical":
            size, unknown = FIRST_BUCKET + feature.hash_buckets, None
        elif feature.kind == "buckets":
            size, unknown = FIRST_BUCKET + feature.count, None
        else:
            continue
        rows[name] = {"first_row": first_row, "rows": size, "unknown_row": unknown, "missing_row": MISSING}
        first_row += size
    with open(values_file(folder), "wb") as file:
        for number, name in enumerate(with_vocabulary(recipe)):
            file.writelines(prefix(number) + value + b"\n" for value in lines[name])
    slots, first_slot = [], 0
    for name, feature in recipe.features.items():
        if feature.kind in ("categorical", "buckets"):
            length = recipe.list_length(name)
            own = rows[rows_of(recipe, name)]
            slots.append(CategoricalSlots(name, first_slot=first_slot, length=length, **own))
            first_slot += length
    layout = Layout(
        tuple(slots),
        tuple(n for n, f in recipe.features.items() if f.kind in ("numeric", "custom")),
        tuple(_vectors(recipe, vectors.held(folder))),
        recipe.side,
    )
    Path(folder, "layout.json").write_text(json.dumps(layout.to_dict(), indent=1))
    return layout


def _vectors(recipe: Recipe, held: dict[str, vectors.Held]) -> Iterator[VectorInput]:
    for name, feature in recipe.features.items():
        if feature.kind == "vector":
            yield VectorInput(name, feature.dimension)
        elif feature.kind in KEYED:
            yield VectorInput(name, held[name].dimension, held[name].rows)


def grown(old: list[bytes], counts: dict[bytes, int], min_count: int, max_size: int | None) -> list[bytes]:
    """The values of a vocabulary: the old ones as they are, and behind them, as far as there is room, those
    that are new, the most frequent first.

    Args:
      old: the values of the vocabulary that this one grows from; empty for a new one.
      counts: value → how often it is there.
      min_count: of a new value.
      max_size: of the vocabulary; old values stay beyond it.
    """
    known = set(old)
    # a value with a line break cannot stand in a file of lines: it keeps the unknown row
    kept = [
        (v, n)
        for v, n in counts.items()
        if n >= min_count and v and b"\n" not in v and b"\r" not in v and v not in known
    ]
    kept.sort(key=lambda pair: (-pair[1], pair[0]))
    room = None if max_size is None else max(max_size - len(old), 0)
    return [*old, *(v for v, _ in kept[:room])]


def _count(recipe: Recipe, examples: str | Path) -> dict[str, dict[bytes, int]]:
    features = {n: recipe.column_of(n) for n in with_vocabulary(recipe)}
    counts: dict[str, dict[bytes, int]] = {name: {} for name in features}
    columns = {n: c.type for n, c in recipe.input_columns.items()}
    derived = {n: e for n, e in recipe.derived_columns.items()}
    for batch in record_batches(examples, "train", columns) if features else ():
        arrays = dict(zip(batch.schema.names, batch.columns))
        values = _expression_values(recipe, arrays) if derived else {}
        for name, expression in derived.items():
            values[name] = expression.evaluate(values, numpy_operations)
        for name, column in features.items():
            if column in derived:
                found = _texts(values[column])
            else:
                kept = _taken(arrays[column], recipe.list_length(name), recipe.keeps_last(name))
                found = _flat_texts(kept)
            total = counts[name]
            for entry in pc.value_counts(found):
                value, count = entry["values"].as_py(), entry["counts"].as_py()
                if value is not None:
                    total[value] = total.get(value, 0) + count
    return counts


def _taken(column: pa.Array, length: int, last: bool) -> pa.Array:
    """The values of lists that the model sees, one after another: the first or the last `length` of each. A
    value that it never sees would have an embedding that is never trained."""
    if pa.types.is_null(column.type):
        return pa.array([], pa.binary())
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.flatten()
    if not (lengths > length).any():
        return values
    ends = np.repeat(np.cumsum(lengths), lengths)
    after = ends - 1 - np.arange(len(values))  # how many of the same list follow
    before = np.repeat(lengths, lengths) - 1 - after
    return values.filter(pa.array((after if last else before) < length))


def _flat_texts(flat: pa.Array) -> pa.Array:
    return (
        flat.cast(pa.string()).cast(pa.binary()) if pa.types.is_integer(flat.type) else flat.cast(pa.binary())
    )


def _texts(values: np.ndarray) -> pa.Array:
    return pa.array(numpy_operations.as_text(values).tolist(), pa.string()).cast(pa.binary())


def _expression_values(recipe: Recipe, arrays: dict[str, pa.Array]) -> dict[str, np.ndarray]:
    """Single-valued columns as expressions see them: float64 with NaN, or texts with ""."""
    found = {}
    for name, column in recipe.input_columns.items():
        if column.type.startswith("list[") or column.type == "vector":
            continue
        flat = single_values(arrays[name])
        found[name] = numpy_operations.column_values(
            flat.cast(pa.string()) if column.type == "string" else flat
        )
    return found

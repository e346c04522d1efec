"""The scored test split in memory, as NumPy vectors ready for metrics.

Columns of the scores file: `role/<role>` (int or string), `slice/<feature>`, and for each task
`<task>/label`, `<task>/mask` (1 where the label is known), `<task>/weight`,
`<task>/prediction` (of a task of several classes a list of their probabilities), and optionally
`<task>/baseline` (the serving model's prediction) and `<task>/reference/<name>` (another system's
score of the same rows).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds


def score_files(paths: str | Path | Sequence[str | Path]) -> list[str]:
    """The Parquet files behind a file, a folder or a list of either, in one fixed order.

    Raises:
      FileNotFoundError: if a path does not exist, or there is no Parquet file under them.
    """
    paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
    files: list[str] = []
    for path in paths:
        files += ds.dataset(str(path), format="parquet").files
    if not files:
        raise FileNotFoundError(f"no Parquet file of scores under {', '.join(map(str, paths))}")
    return sorted(files)


def slice_strings(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A slice column as text, the form in which slices are named; nulls stay null."""
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def rows_by_value(values: Sequence[str], codes: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The values that occur, each with the ascending indices of its rows; codes below 0 are nobody's."""
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(values) + 1))
    for code in np.flatnonzero(np.diff(bounds)):
        yield values[code], order[bounds[code] : bounds[code + 1]]


@dataclass(frozen=True)
class TaskScores:
    """One task's columns, restricted to rows whose label is known and counts.

    Attributes:
      rows: (m,) int64, indices into the split.
      labels, weights: (m,) float64; weights are 1 where the mask alone decides.
      predictions: (m,) float64, or (m, classes).
      baseline: as `predictions`, or None where the serving model has no such task.
      references: name -> (m,) float64.
    """

    rows: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    weights: np.ndarray
    baseline: np.ndarray | None
    references: dict[str, np.ndarray]


@dataclass(frozen=True)
class Units:
    """The users of the rows, or the rows themselves where there is no user role.

    Attributes:
      codes: (n,) int64, the unit of each row. A row without a user is a unit of its own.
      hashes: (u,) uint64, a function of the user's key alone.
      groups: (n,) int64, as `codes` but -1 for a row without a user.
    """

    codes: np.ndarray
    hashes: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Scores:
    """All tasks, users and slices of the split of n rows.

    Attributes:
      slices: feature -> (values, codes): the values' names, most frequent first, and (n,)
        int64 codes into them, -1 where the value is missing or too rare to be told apart.
    """

    rows: int
    tasks: dict[str, TaskScores]
    slices: dict[str, tuple[list[str], np.ndarray]]
    units: Units


def _floats(table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    if pa.types.is_fixed_size_list(column.type):
        return _floats(pa.table({name: column.combine_chunks().flatten()}), name).reshape(
            len(column), column.type.list_size
        )
    return pc.cast(column, pa.float64()).to_numpy()


def _units(column: pa.ChunkedArray | None, rows: int) -> Units:
    if column is None:
        codes = np.arange(rows)
        return Units(codes, pd.util.hash_array(codes), np.full(rows, -1))
    encoded = column.combine_chunks().dictionary_encode()
    groups = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    keys = encoded.dictionary.to_numpy(zero_copy_only=False)
    hashes = pd.util.hash_array(keys, categorize=False)
    unknown = np.flatnonzero(groups < 0)
    codes = groups.copy()
    codes[unknown] = len(keys) + np.arange(len(unknown))
    return Units(codes, np.r_[hashes, pd.util.hash_array(unknown)], groups)


def _slice_codes(column: pa.ChunkedArray, most: int) -> tuple[list[str], np.ndarray]:
    strings = slice_strings(column).combine_chunks()
    counts = [(c["values"], c["counts"]) for c in pc.value_counts(strings.drop_null()).to_pylist()]
    by_frequency = sorted(counts, key=lambda count: (-count[1], count[0]))
    values = [value for value, _ in by_frequency[:most]]
    codes = pc.index_in(strings, value_set=pa.array(values, pa.string()))
    return values, codes.fill_null(-1).to_numpy().astype(np.int64)


def _task(table: pa.Table, task: str, use_weight: bool) -> TaskScores:
    mask = _floats(table, f"{task}/mask")
    weights = _floats(table, f"{task}/weight") if use_weight else np.where(mask > 0, 1.0, 0.0)
    rows = np.flatnonzero((mask > 0) & (weights > 0))
    prefix, baseline = f"{task}/reference/", f"{task}/baseline"
    return TaskScores(
        rows=rows,
        labels=_floats(table, f"{task}/label")[rows],
        predictions=_floats(table, f"{task}/prediction")[rows],
        weights=weights[rows],
        baseline=_floats(table, baseline)[rows] if baseline in table.column_names else None,
        references={
            name.removeprefix(prefix): _floats(table, name)[rows]
            for name in table.column_names
            if name.startswith(prefix)
        },
    )


def read_scores(
    paths: str | Path | Sequence[str | Path],
    tasks: Sequence[str],
    slices: Sequence[str],
    max_slice_values: int,
    user_role: bool = True,
    use_weight: bool = False,
) -> Scores:
    """Reads a scores file.

    Args:
      paths: a Parquet file, a folder of them, or a list of either.
      tasks: their names.
      slices: features to slice by.
      max_slice_values: of a feature, its so many most frequent values are told apart.
      user_role: whether `role/user` names the users.
      use_weight: weigh rows by `<task>/weight`; otherwise each known label counts 1.

    Raises:
      FileNotFoundError: if there is no file.
      KeyError: naming a column that is missing, and those there are.
    """
    dataset = ds.dataset(score_files(paths), format="parquet")
    names = dataset.schema.names
    needed = [f"{t}/{part}" for t in tasks for part in ("label", "mask", "prediction")]
    needed += [f"{t}/weight" for t in tasks] if use_weight else []
    needed += [f"slice/{feature}" for feature in slices] + (["role/user"] if user_role else [])
    missing = [name for name in needed if name not in names]
    if missing:
        raise KeyError(f"the scores have no column {', '.join(missing)}; they have {', '.join(names)}")
    wanted = set(needed) | {f"{t}/baseline" for t in tasks}
    prefixes = tuple(f"{t}/reference/" for t in tasks)
    table = dataset.to_table(columns=[n for n in names if n in wanted or n.startswith(prefixes)])
    return Scores(
        rows=table.num_rows,
        tasks={task: _task(table, task, use_weight) for task in tasks},
        slices={f: _slice_codes(table[f"slice/{f}"], max_slice_values) for f in slices},
        units=_units(table["role/user"] if user_role else None, table.num_rows),
    )

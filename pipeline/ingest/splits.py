"""Which split each row belongs to."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from pipeline.ingest.batch import Batch, Problem
from pipeline.ingest.errors import DataError
from pipeline.ingest.files import matching
from pipeline.ingest.hashing import hash_column, mix, unit
from pipeline.recipe.parts import FileSplit, HashSplit, Roles, Splits, TimeSplit

SPLITS = ("train", "validation", "test")
EARLIER = "earlier"  # a split of what the model that a run begins from was trained on; often there is none
_SALT = np.uint64(0x73706C697473)  # shares are drawn independently of the order that row ids give


class Splitter:
    """Assigns splits to batches, by time, by hash or by file."""

    def __init__(self, splits: Splits, roles: Roles, files_of: dict[str, list[int]]):
        """Args:
        splits: the recipe's.
        roles: the recipe's.
        files_of: file → splits it may go to, where the recipe splits by file (see `split_files`).
        """
        self._splits = splits
        self._files_of = files_of
        self._column = split_column(splits, roles)

    def __call__(self, batch: Batch, file: str, ids: np.ndarray) -> np.ndarray:
        """int8 `[rows]`: 0 train, 1 validation, 2 test. A row without the column that decides becomes dead.

        Args:
          batch: the rows.
          file: where they are from.
          ids: their row ids, int64 `[rows]`.
        """
        if self._column is not None:
            nulls = np.flatnonzero(batch.columns[self._column].is_null())
            batch.flag(
                nulls,
                lambda _: Problem(
                    f"{self._column} is missing", f"{self._column} is missing, which the split needs"
                ),
            )
        if isinstance(self._splits, TimeSplit):
            times = batch.columns[self._column].fill_null(0).to_numpy(zero_copy_only=False)
            return np.searchsorted(boundaries(self._splits), times, side="right").astype(np.int8)
        if isinstance(self._splits, FileSplit):
            choices = np.array(self._files_of[file], np.int8)
            return choices[(unit(mix(ids.view(np.uint64) ^ _SALT)) * len(choices)).astype(np.int64)]
        hashes = ids.view(np.uint64) if self._column is None else hash_column(batch.columns[self._column])
        drawn = unit(mix(hashes ^ _SALT))
        validation, test = self._splits.validation, self._splits.test
        return np.select([drawn < validation, drawn < validation + test], [1, 2], 0).astype(np.int8)


def split_column(splits: Splits, roles: Roles) -> str | None:
    """The column that decides, if one does."""
    if isinstance(splits, TimeSplit):
        return roles.time
    if isinstance(splits, HashSplit) and splits.of != "row":
        return getattr(roles, splits.of)
    return None


def boundaries(splits: TimeSplit) -> np.ndarray:
    """The first milliseconds since 1970-01-01 UTC of validation and of test, int64 `[2]`."""
    zone = timezone(timedelta(hours=splits.utc_offset_hours))
    moments = (datetime.fromisoformat(t) for t in (splits.validation_from, splits.test_from))
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    zoned = (m if m.tzinfo is not None else m.replace(tzinfo=zone) for m in moments)
    return np.array([(m - epoch) // timedelta(milliseconds=1) for m in zoned], np.int64)


def split_files(splits: Splits, files: list[str], input_dir: Path) -> dict[str, list[int]]:
    """File → the splits that name it, where the recipe splits by file; else nothing.

    Raises:
      DataError: a split names no file of the log, or a file of the log is in no split.
    """
    if not isinstance(splits, FileSplit):
        return {}
    found: dict[str, list[int]] = {name: [] for name in files}
    for number, split in enumerate(SPLITS):
        for pattern in getattr(splits, split):
            names = matching([pattern], input_dir)
            if not set(names) & set(files):
                raise DataError(
                    f"splits.{split}: '{pattern}' matches none of the log's files: {_some(files)}"
                )
            for name in names:
                if name in found and number not in found[name]:
                    found[name].append(number)
    homeless = [name for name, numbers in found.items() if not numbers]
    if homeless:
        raise DataError(f"splits: no split names {_some(homeless)}; every file of the log must be in one")
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

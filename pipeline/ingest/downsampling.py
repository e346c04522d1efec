"""Which negatives training keeps, and how much those kept count."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from pipeline.ingest.hashing import mix, unit
from pipeline.ingest.splits import SPLITS
from pipeline.recipe.parts import Downsampling

_SALT = np.uint64(0x6E65676174697665)  # drawn independently of splits, partitions and the order of rows


class Downsampler:
    """Leaves out a share of a task's negatives from training, by a hash of the row.

    A negative is kept with probability `keep` and then stands for 1/keep rows: its weights are divided by
    `keep`, so that every weighted sum over training is unbiased (Horvitz & Thompson, "A generalization of
    sampling without replacement from a finite universe", JASA 1952). With the correction `logit` the task
    itself is left as sampled, to be corrected in its predictions (`mtl_models.Task.negatives_kept`). Rows
    must be unique by now: of a repeat that is left out only at times, another copy would take the place.
    """

    def __init__(self, spec: Downsampling, tasks: Iterable[str]):
        """Args:
        spec: the recipe's.
        tasks: the names of all tasks.
        """
        self._spec = spec
        self._weighted = [name for name in tasks if spec.correction == "weight" or name != spec.task]

    def __call__(self, columns: dict[str, pa.Array], splits: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """bool `[rows]`: which rows are kept. Positives, rows whose label is unknown and rows of other splits
        always are, with their weights.

        Args:
          columns: has `<task>/label`, `/mask` and `/weight`, float32 `[rows]`; weights are replaced.
          splits: int8 `[rows]`, places in `SPLITS`.
          ids: int64 `[rows]`, the rows' ids.
        """
        task, keep = self._spec.task, self._spec.keep
        known = columns[f"{task}/mask"].to_numpy() == 1
        negative = known & (columns[f"{task}/label"].to_numpy() == 0) & (splits == SPLITS.index("train"))
        for name in self._weighted:
            weights = columns[f"{name}/weight"].to_numpy()
            weights = np.where(negative, weights / keep, weights).astype(np.float32)
            columns[f"{name}/weight"] = pa.array(weights)
        return ~negative | (unit(mix(ids.view(np.uint64) ^ _SALT)) < keep)

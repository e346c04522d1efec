"""Slices of rows: everything, and each value of a feature or of a cross of features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.table import OVERALL
from pipeline.slice_names import conditions_of, features_of, slice_name

# A column as its distinct texts, and for each row the place of its own, -1 where it is missing.
Coded = tuple[list[str], np.ndarray]


def coded(column: pa.Array) -> Coded:
    """A column's values as text, the form in which slices are named."""
    encoded = column.dictionary_encode()
    values = pc.cast(encoded.dictionary, pa.string()).to_pylist()
    return values, encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _joined(codes: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """One code for several, -1 where any is -1."""
    joined = np.zeros(len(codes[0]), np.int64)
    for code, size in zip(codes, sizes, strict=True):
        joined = np.where((joined < 0) | (code < 0), -1, joined * size + code)
    return joined


def _reads_as(name: str, features: tuple[str, ...], kinds: Sequence[tuple[str, ...]]) -> bool:
    read = features_of(name)
    return read == features or read not in kinds


@dataclass(frozen=True)
class Slices:
    """The slices of an evaluation. A slice's id is its place in `names`; 0 is everything.

    Attributes:
      kinds: the features of each kind of slice.
      values: of each kind, the values told apart, most frequent first, each a text a feature.
    """

    kinds: tuple[tuple[str, ...], ...]
    values: tuple[tuple[tuple[str, ...], ...], ...]

    @classmethod
    def most_frequent(
        cls,
        slices: Sequence[str],
        batches: Iterable[Mapping[str, Coded]],
        max_values: int,
        named: Sequence[str] = (),
    ) -> Slices:
        """Finds each kind's most frequent values; those as frequent are taken in their texts' order.

        Args:
          slices: `feature` or `feature & feature`.
          batches: feature -> column, for all rows.
          max_values: of a kind.
          named: `feature=value` or `feature=value & feature=value` of these kinds, which are slices too,
            however rare, where a row is in them.
        """
        kinds = tuple(dict.fromkeys(features_of(name) for name in slices))
        counts: list[Counter] = [Counter() for _ in kinds]
        for batch in batches:
            for features, counter in zip(kinds, counts, strict=True):
                texts = [batch[f][0] for f in features]
                joined = _joined([batch[f][1] for f in features], [len(t) for t in texts])
                found, times = np.unique(joined[joined >= 0], return_counts=True)
                places = np.unravel_index(found, [len(t) for t in texts]) if len(found) else ()
                keys = zip(*([t[i] for i in at] for t, at in zip(texts, places)))
                counter.update(dict(zip(keys, times.tolist())))
        wanted = {conditions_of(name) for name in named}
        chosen = []
        for features, counter in zip(kinds, counts, strict=True):
            # of a value that holds ` & tab=1` the name would be that of a cross, where there is one
            told = (v for v in counter if _reads_as(slice_name(tuple(zip(features, v))), features, kinds))
            values = sorted(told, key=lambda value: (-counter[value], value))
            rare = (v for v in values[max_values:] if tuple(zip(features, v, strict=True)) in wanted)
            chosen.append((*values[:max_values], *rare))
        return cls(kinds, tuple(chosen))

    @cached_property
    def names(self) -> list[str]:
        """`overall`, `feature=value`, `feature=value & feature=value`."""
        return [OVERALL] + list(map(slice_name, self._keys[1:]))

    def key(self, slice_id: int) -> tuple[tuple[str, str], ...]:
        """Its (feature, value) pairs."""
        return self._keys[slice_id]

    @cached_property
    def _keys(self) -> list[tuple[tuple[str, str], ...]]:
        return [()] + [
            tuple(zip(features, value, strict=True))
            for features, values in zip(self.kinds, self.values, strict=True)
            for value in values
        ]

    @property
    def features(self) -> list[str]:
        """Those that any kind needs."""
        return list(dict.fromkeys(f for features in self.kinds for f in features))

    def ids(self, batch: Mapping[str, Coded], rows: int) -> np.ndarray:
        """The slices of rows.

        Returns:
          (rows, 1 + kinds) int32: 0, then of each kind the id of the row's slice, -1 for none.
        """
        ids = np.zeros((rows, 1 + len(self.kinds)), np.int32)
        first = 1
        for j, (features, values) in enumerate(zip(self.kinds, self.values, strict=True), start=1):
            codes, sizes, index = [], [], []
            for position, feature in enumerate(features):
                known = {text: i for i, text in enumerate(dict.fromkeys(v[position] for v in values))}
                texts, at = batch[feature]
                translate = np.array([known.get(text, -1) for text in texts] + [-1])
                codes.append(translate[at])
                sizes.append(len(known))
                index.append(np.array([known[v[position]] for v in values], np.int64))
            of_joined = np.full(int(np.prod(sizes)) + 1, -1, np.int32)  # the last is of joined code -1
            if values:
                of_joined[_joined(index, sizes)] = first + np.arange(len(values))
            ids[:, j] = of_joined[_joined(codes, sizes)]
            first += len(values)
        return ids

"""A source as looked at: its files, its sample and its typed columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from pipeline.starter.columns import Field, infer
from pipeline.starter.files import Group
from pipeline.starter.names import recipe_name
from pipeline.starter.sample import Sample, sample


@dataclass
class Table:
    """Attributes:
    group: the files.
    sample: how many rows there are, and whether all were read.
    fields: name in the recipe → column.
    unread: columns that are left out, with the reason.
    """

    group: Group
    sample: Sample
    fields: dict[str, Field]
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def rows(self) -> int:
        """In the sample."""
        return self.sample.table.num_rows

    @property
    def fraction(self) -> float:
        """Share of all rows that the sample is."""
        return min(1.0, self.rows / max(1, self.sample.total))

    @cached_property
    def keys(self) -> list[Field]:
        """Columns with another value in every row of the sample."""
        return [
            f
            for f in self.fields.values()
            if f.type in ("int", "string")
            and self.rows > 1
            and not f.missing.any()
            and f.distinct == self.rows
        ]


def look(group: Group) -> Table:
    """Samples a group and types its columns.

    Raises:
      DataError: a file cannot be read.
    """
    found = sample(group)
    fields: dict[str, Field] = {}
    unread = {c: "only some of the files have it" for c in group.dropped}
    for column in found.table.column_names:
        array = found.table[column].combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.nulls(0)
        name = recipe_name(column, fields)
        typed = infer(name, column, array)
        if typed.missing.all():
            unread[column] = typed.notes[-1] if typed.notes else "no value in the sample"
            continue
        fields[name] = typed
    return Table(group, found, fields, unread)


def pair_codes(fields: list[Field]) -> np.ndarray:
    """Int64 `[rows]`: which combination of the fields' values."""
    codes = fields[0].codes
    for other in fields[1:]:
        _, codes = np.unique(codes * (other.distinct + 1) + other.codes + 1, return_inverse=True)
    return codes

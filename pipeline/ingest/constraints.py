"""What a recipe demands of columns where no schema can see it: those that are not written to examples, such
as what is known only after the impression, and lists of allowed whole numbers, which TensorFlow Data
Validation does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.arrow_types import ARROW_TYPES
from pipeline.recipe.parts import Column

_Rule = tuple[str, Callable[[pa.Array], pa.Array]]


class Constraints:
    """Counts the rows that break a rule; the run stops on any, at its end."""

    def __init__(self, columns: dict[str, Column], example_columns: Iterable[str]):
        """Args:
        columns: every column of the recipe.
        example_columns: those written to examples, which the schema is held against.
        """
        written = set(example_columns)
        self._rules: dict[str, list[_Rule]] = {}
        for name, column in columns.items():
            rules = [] if name in written else _rules(column)
            if column.values is not None and (name not in written or column.type in ("int", "list[int]")):
                rules.append(_allowed(column))
            if rules:
                self._rules[name] = rules

    @property
    def columns(self) -> set[str]:
        """The columns that have rules here."""
        return set(self._rules)

    def __call__(self, columns: dict[str, pa.Array]) -> dict[str, int]:
        """What is broken in a batch: the rule in words → rows."""
        broken: dict[str, int] = {}
        for name, rules in self._rules.items():
            for rule, breaks in rules:
                wrong = breaks(columns[name]).fill_null(False).to_numpy(zero_copy_only=False)
                if rows := int(np.count_nonzero(wrong)):
                    broken[f"{name} {rule}"] = rows
        return broken


def _rules(column: Column) -> list[_Rule]:
    rules: list[_Rule] = []
    if column.required:
        rules.append(("is missing", pc.is_null))
    if column.min is not None:
        rules.append((f"is less than {column.min:g}", lambda values: pc.less(values, column.min)))
    if column.max is not None:
        rules.append((f"is more than {column.max:g}", lambda values: pc.greater(values, column.max)))
    return rules


def _allowed(column: Column) -> _Rule:
    kind = ARROW_TYPES[column.type]
    kind = kind.value_type if pa.types.is_list(kind) else kind
    allowed = pa.array([str(v) if kind == pa.string() else v for v in column.values], kind)

    def breaks(values: pa.Array) -> pa.Array:
        if pa.types.is_list(values.type):
            wrong = pc.invert(pc.is_in(values.flatten(), value_set=allowed))
            owners = pc.list_parent_indices(values).filter(wrong)
            return pc.is_in(pa.array(np.arange(len(values))), value_set=owners.cast(pa.int64()))
        return pc.and_(values.is_valid(), pc.invert(pc.is_in(values, value_set=allowed)))

    shown = ", ".join(str(v) for v in column.values[:5]) + (", …" if len(column.values) > 5 else "")
    return f"is none of {shown}", breaks

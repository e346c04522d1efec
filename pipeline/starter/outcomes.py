"""Which columns of the log are outcomes: what happened after, under which condition; which may be tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.starter.columns import Field
from pipeline.starter.names import recipe_name, suggests, tokens
from pipeline.starter.tables import Table

NESTED = 0.999  # of the rows where a thing happened, the condition held in at least this share
FEW = 50  # positives expected on test below which a task is only proposed
RESERVED = ("score", "absent", "row", "total")


@dataclass
class Outcome:
    """A column that is known only after.

    Attributes:
      kind: binary or regression; None where it is known after but no task.
      label: the recipe's expression.
      parent: the outcome without which this one does not happen.
      why: what says that it is an outcome.
      positives: rows of the sample where it happened, or is not 0.
      refused: why it is only proposed, as a comment.
    """

    field: Field
    kind: str | None
    label: str
    why: str
    name: str = ""
    parent: Outcome | None = None
    loss: str | None = None
    positives: int = 0
    notes: list[str] = field(default_factory=list)
    refused: str | None = None

    @property
    def happened(self) -> np.ndarray:
        """Bool `[rows]`."""
        if self.field.type == "string":
            return self.field.array.fill_null("").to_numpy(zero_copy_only=False) == self.field.outcome_text
        return np.nan_to_num(self.field.numbers) != 0

    @property
    def possible(self) -> np.ndarray:
        """Bool `[rows]`: `happened`, and where a few labels are missing these rows too."""
        missing = self.field.missing
        return self.happened | missing if missing.mean() <= 0.1 else self.happened

    @property
    def condition(self) -> str:
        text = self.field.outcome_text
        return f"{self.field.name} == 1" if text is None else f"{self.field.name} == '{text}'"


def constant_within(f: Field, key: Field) -> float:
    """How far a key decides a column: share of rows (of keys with several) that have the key's most frequent
    value, beyond what the column's own most frequent value would give; 1 is wholly."""
    counts = np.bincount(key.codes[key.codes >= 0], minlength=key.distinct)
    rows = (key.codes >= 0) & (counts[key.codes] > 1) & (f.codes >= 0)
    if rows.sum() < 100:
        return 0.0
    pairs, sizes = np.unique(key.codes[rows] * (f.distinct + 1) + f.codes[rows], return_counts=True)
    owner = pairs // (f.distinct + 1)
    best = np.zeros(key.distinct)
    np.maximum.at(best, owner, sizes)
    base = np.bincount(f.codes[rows]).max() / rows.sum()
    return 0.0 if base > 0.999 else (best.sum() / rows.sum() - base) / (1 - base)


def attributes(log: Table, keys: list[Field]) -> dict[str, str]:
    """Columns of the log that are the user's or the item's, whatever their names: column → key."""
    found = {}
    for f in log.fields.values():
        if not f.single or f.type == "time" or f in keys:
            continue
        for key in keys:
            repeated = constant_within(f, key)
            if repeated >= 0.98:
                found[f.name] = key.name
                break
    return found


def find_outcomes(log: Table, taken: set[str], given: dict[str, str]) -> list[Outcome]:
    """Outcomes among the log's columns.

    Args:
      log: its sample.
      taken: columns with a role or that identify a row.
      given: columns known to be attributes, as `attributes` gives.
    """
    open_ = [
        f
        for f in log.fields.values()
        if f.single
        and f.name not in taken
        and f.name not in given
        and not f.constant
        and not suggests(f.column, "treatment")
        and not (f.type in ("time", "date"))
    ]
    binary = [f for f in open_ if f.binary or f.outcome_text is not None]
    found = [
        Outcome(f, "binary", f.name, "named like an outcome, and yes or no")
        for f in binary
        if suggests(f.column, "outcome")
        and (f.binary or str(f.outcome_text).lower() in ("1", "true", "yes", "y", "t"))
    ]
    names = list(log.fields)
    if not found:  # the last column with two values, as tables of other people have it
        last = [f for f in binary if names.index(f.name) == len(names) - 1]
        found = [Outcome(f, "binary", f.name, "the last column, and one of two values") for f in last]
    _add_nested(found, binary)
    for outcome in found:
        if outcome.field.type == "string":
            outcome.label = outcome.condition
    numbers = [f for f in open_ if f.numeric and f.distinct > 2 and f not in binary]
    found += [o for f in numbers if (o := _quantity(f, found)) is not None]
    for outcome in found:
        _parent(outcome, [o for o in found if o.kind == "binary" and o is not outcome])
    return found


def _add_nested(found: list[Outcome], binary: list[Field]) -> None:
    """Yes-or-no columns that only happen where a known outcome did are outcomes too."""
    for f in binary:
        if f.binary and not any(o.field is f for o in found):
            candidate = Outcome(f, "binary", f.name, "")
            parent = next((o for o in found if nested(candidate.happened, o.possible)), None)
            if parent is not None:
                candidate.why = f"is 1 only where {parent.condition}"
                found.append(candidate)


def nested(inner: np.ndarray, outer: np.ndarray) -> bool:
    """Whether what is rarer happens only where the other did, and that is not simply everywhere."""
    count = inner.sum()
    if count < 30 or count >= 0.98 * outer.sum() or outer.mean() > 0.9:
        return False
    return (inner & outer).sum() >= NESTED * count


def _quantity(f: Field, found: list[Outcome]) -> Outcome | None:
    numbers = f.numbers[~np.isnan(f.numbers)]
    if not len(numbers) or numbers.min() < 0:
        return None
    outcome = Outcome(f, "regression", f.name, "a quantity that is named like an outcome")
    if suggests(f.column, "outcome") and (suggests(f.column, "measure") or len(tokens(f.column)) == 1):
        return outcome
    happened = outcome.happened & ~f.missing
    for other in found:
        if other.kind == "binary" and other.happened.mean() < 0.7 and happened.sum() >= 30:
            if (happened & other.possible).sum() >= NESTED * happened.sum():
                outcome.why = f"{_elsewhere(f, other)} wherever not {other.condition}"
                return outcome
    return None


def _elsewhere(f: Field, parent: Outcome) -> str:
    return "missing" if f.missing[~parent.possible].mean() > 0.5 else "0"


def _parent(outcome: Outcome, others: list[Outcome]) -> None:
    """The narrowest condition under which it happens."""
    known = ~outcome.field.missing
    happened = outcome.happened & known
    fitting = []
    for other in others:
        if other.parent is outcome or other.happened.mean() > 0.9:
            continue
        absent_elsewhere = known.mean() < 0.98 and (known & other.possible).sum() >= NESTED * known.sum()
        whole = outcome.kind == "regression" and happened.sum() >= 30
        inside = (happened & other.possible).sum() >= NESTED * max(1, happened.sum())
        if absent_elsewhere or nested(happened, other.possible) or (whole and inside):
            fitting.append(other)
    if fitting:
        outcome.parent = min(fitting, key=lambda o: o.happened.sum())


def as_tasks(outcomes: list[Outcome], test_share: float, total: int, rows: int, most: int = 6) -> None:
    """Names tasks, chooses their losses, and refuses those with too little to learn or to judge by."""
    names: set[str] = set(RESERVED)
    accepted = 0
    for o in sorted(outcomes, key=lambda o: o.kind == "regression"):
        plain = o.field.name[3:] if o.field.name.startswith("is_") else o.field.name
        o.name = recipe_name(plain, names)
        names.add(o.name)
        known = ~o.field.missing
        o.positives = int((o.happened & known).sum())
        expected = o.positives / rows * total * test_share
        if o.kind == "regression":
            _regression(o, known)
        share = o.positives / max(1, known.sum())
        if expected < FEW:
            o.refused = f"about {expected:.0f} rows of test would have it: too few to judge a model by"
        elif o.kind == "regression" and o.parent is None and share < 0.05:
            o.refused = f"0 in {1 - share:.1%} of rows, and no column says when not"
        elif o.kind == "binary" and share > 0.999:
            o.refused = "nearly always 1"
        elif accepted >= most:
            o.refused = f"{most} tasks are enough to begin with"
        else:
            accepted += 1


def _regression(o: Outcome, known: np.ndarray) -> None:
    rows = known & (o.parent.happened if o.parent else True)
    values = o.field.numbers[rows]
    values = values[~np.isnan(values)]
    o.loss = "mse"
    if len(values) < 100:
        return
    high, middle = np.quantile(values, 0.99), np.median(values[values > 0]) if (values > 0).any() else 0
    if high > 0 and values.max() > 3 * high:
        limit = float(f"{high:.2g}")
        limit = int(limit) if limit >= 10 else limit
        o.label = f"clip({o.field.name}, 0, {limit})"
        o.notes.append(f"1 % of values are above {limit:,}, the greatest is {values.max():,.0f}: cut there")
    if middle and high > 5 * middle:
        o.loss = "huber"
        o.notes.append("a long tail: huber")

"""What a column may know that it should not: outcomes, or sums of outcomes over the log's own rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from pipeline.evaluation.auc import auc
from pipeline.starter.columns import Field
from pipeline.starter.features import DAY_MS
from pipeline.starter.joins import CatalogJoin
from pipeline.starter.outcomes import NESTED, Outcome, nested
from pipeline.starter.tables import Table

TOO_GOOD = 0.9  # AUC of one column alone; features of real logs stay below
KEY_ROWS = 5  # a key's mean needs so many rows
KEYS = 30
SAME = 0.9  # share of keys whose value equals the aggregate


@dataclass
class Leak:
    """A column that is written as `known: after`.

    Attributes:
      source: the log's or a catalog's name.
      field: the column.
      why: with the number that was measured.
    """

    source: str
    field: Field
    why: str


def column_auc(f: Field, happened: np.ndarray) -> float:
    """AUC of one column for a label, in the direction that fits: of its values, or, of texts and ids, of the
    label's mean by value in the other half of the rows. 0.5 where it says nothing."""
    known = ~f.missing
    if known.sum() < 100 or not 20 <= happened[known].sum() <= known.sum() - 20:
        return 0.5
    if f.numeric or f.type in ("time", "date"):
        found = auc(happened[known].astype(float), f.numbers[known])
        return max(found, 1 - found)
    half = np.arange(len(happened)) % 2 == 0
    score = np.zeros(len(happened))
    codes = f.codes + 1
    for fit, apply in ((half, ~half), (~half, half)):
        count = np.bincount(codes[fit], minlength=f.distinct + 1)
        total = np.bincount(codes[fit], happened[fit].astype(float), minlength=f.distinct + 1)
        score[apply] = ((total + happened[fit].mean()) / (count + 1))[codes[apply]]
    return auc(happened.astype(float), score)


def log_leaks(log: Table, outcomes: list[Outcome], skip: set[str]) -> list[Leak]:
    """Columns of the log that say what followed."""
    found = []
    binary = [o for o in outcomes if o.kind == "binary"]
    for f in log.fields.values():
        if f.name in skip or not f.single or f.constant:
            continue
        if (why := _says_outcome(f, binary)) is not None:
            found.append(Leak(log.name, f, why))
    return found


def _says_outcome(f: Field, binary: list[Outcome]) -> str | None:
    known = ~f.missing
    for o in binary:
        base = o.happened.mean()
        if 0.02 < f.missing.mean() and known.sum() >= 30 and base < 0.9:
            if (known & o.possible).sum() >= NESTED * known.sum():
                return f"has a value only where {o.condition}"
        if f.numeric and nested(np.nan_to_num(f.numbers) != 0, o.possible):
            return f"is not 0 only where {o.condition}"
    best = max(((column_auc(f, o.happened), o) for o in binary), key=lambda pair: pair[0], default=None)
    if best is not None and best[0] >= TOO_GOOD:
        return f"alone tells {best[1].field.name} with an AUC of {best[0]:.3f}: too good to be known before"
    return None


def catalog_leaks(log: Table, join: CatalogJoin, outcomes: list[Outcome]) -> list[Leak]:
    """Numbers of a catalog that are means, sums or counts of the log's own rows.

    The mean of a label over a key's rows is a true rate and noise. Its reliability r follows from how the
    means of two halves of the rows correlate (Spearman 1910, Brown 1910); a number from other rows, however
    good, correlates with it by no more than √r. What correlates more has seen the rows themselves.
    """
    if join.time is not None:
        return []
    key = join.on
    where = _rows_in(join.key, key)
    sums = [
        (o.field.name, o, np.nan_to_num(_amount(o)) * ~o.field.missing, ~o.field.missing) for o in outcomes
    ]
    every = np.ones(log.rows, bool)
    found = []
    for f in join.table.fields.values():
        if f is join.key or not f.numeric or f.distinct < 5:
            continue
        values = np.where(where >= 0, f.numbers[where], np.nan)
        why = _counted(values, key, every, log)
        for name, _, amounts, known in sums:
            why = why or _aggregate(values, key, name, amounts, known)
        if why is not None:
            found.append(Leak(join.table.name, f, why))
    return found


def _amount(o: Outcome) -> np.ndarray:
    return o.happened.astype(float) if o.kind == "binary" else o.field.numbers


def _rows_in(catalog: Field, log: Field) -> np.ndarray:
    """Int64, for each distinct key of the log: its row in the catalog, -1 where there is none."""
    distinct = log.array.dictionary_encode().dictionary
    return pc.index_in(distinct, value_set=catalog.array).fill_null(-1).to_numpy(zero_copy_only=False)


def _by_key(key: Field, weights: np.ndarray) -> np.ndarray:
    rows = key.codes >= 0
    return np.bincount(key.codes[rows], weights[rows].astype(float), minlength=key.distinct)


def _counted(values: np.ndarray, key: Field, every: np.ndarray, log: Table) -> str | None:
    counts = _by_key(key, every)
    use = ~np.isnan(values) & (counts >= 1)
    if log.fraction == 1 and use.sum() >= KEYS and len(np.unique(counts[use])) >= 5:
        if np.mean(values[use] == counts[use]) >= SAME:
            return "is the number of the log's own rows"
    return None


def _aggregate(
    values: np.ndarray, key: Field, name: str, amounts: np.ndarray, known: np.ndarray
) -> str | None:
    counts, totals = _by_key(key, known), _by_key(key, amounts)
    use = ~np.isnan(values) & (counts >= KEY_ROWS)
    if use.sum() < KEYS or np.ptp(values[use]) == 0:
        return None
    means = np.divide(totals, counts, out=np.zeros_like(totals), where=counts > 0)
    for what, of in (("mean", means), ("sum", totals)):
        some = use & (of != 0)
        if some.sum() >= KEYS and np.mean(np.isclose(values[some], of[some], rtol=2e-3)) >= SAME:
            return f"is the {what} of {name} over the log's own rows"
    half = np.random.default_rng(0).random(len(known)) < 0.5
    one, two = _by_key(key, known & half), _by_key(key, known & ~half)
    use &= (one > 0) & (two > 0)
    if use.sum() < KEYS:
        return None
    halves = np.corrcoef(
        _by_key(key, amounts * half)[use] / one[use], _by_key(key, amounts * ~half)[use] / two[use]
    )[0, 1]
    reliability = max(0.0, 2 * halves / (1 + halves)) if np.isfinite(halves) else 0.0
    correlation = abs(np.corrcoef(values[use], means[use])[0, 1])
    most = np.sqrt(reliability)
    # by Fisher's z: three standard errors above what numbers from other rows could reach
    error = 3 / np.sqrt(use.sum() - 3)
    if correlation >= 0.5 and np.arctanh(min(correlation, 0.999999)) > np.arctanh(min(most, 0.999)) + error:
        return (
            f"correlates {correlation:.2f} with the mean of {name} over the log's own rows, and a number "
            f"from other rows could by at most {most:.2f}"
        )
    return None


def later_than(log: Table, time: Field, joins: list[CatalogJoin]) -> list[Leak]:
    """Times and dates that lie after the impression: what they stand beside was written then."""
    found = []
    columns = [
        (log.name, f, f.numbers) for f in log.fields.values() if f is not time and f.type in ("time", "date")
    ]
    for join in joins:
        where = _rows_in(join.key, join.on)
        rows = np.where(join.on.codes >= 0, where[join.on.codes], -1)
        for f in join.table.fields.values():
            if f.type in ("time", "date"):
                columns.append((join.table.name, f, np.where(rows >= 0, f.numbers[rows], np.nan)))
    for source, f, values in columns:
        unit = DAY_MS if f.type == "date" else 1
        late = np.mean((values * unit > time.numbers)[~np.isnan(values)]) if (~np.isnan(values)).any() else 0
        if late > 0.01:
            found.append(Leak(source, f, f"lies after the impression in {late:.0%} of rows"))
    return found

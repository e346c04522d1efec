"""Drift gates: each distance of a span against its bound, in a sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.drift.distances import Dataset, Distance, distances
from pipeline.evaluation.gates import Verdict
from pipeline.recipe.drift import Drift
from pipeline.spans.statistics import merge

if TYPE_CHECKING:
    from pipeline.drift.served import Served
    from pipeline.drift.vectors import Vectors

# What a learned bound is at least, so that the first days have one and quiet columns are left alone.
LEAST = {
    "values": 0.15,
    "new_values": 0.3,
    "missing": 0.05,
    "label": 0.3,
    "vectors": 0.25,
    "length": 0.2,
    "dead": 0.05,
}
_SHARES = ("values", "new_values", "missing", "dead")  # no distance is above 1
_GATE = "drift"


@dataclass(frozen=True)
class Spans:
    """What is compared.

    Attributes:
      statistics: span → its, in order; the one that is judged is the last.
      columns, labels, user: see `distances`.
      vectors: span → its, where features are vectors.
      drifted: spans that were refused themselves: nothing is learned from them, and none is the one before.
      grown: columns of which only the shares of values are compared: more of them are there the longer the log is.
      served: the vectors of what serves, where the model holds any by key.
      labelled: see `distances`.
      late: task of `labels` → the span whose labels are compared, where it is not the last: the newest one that
        they have come for.
    """

    statistics: Mapping[str, Dataset]
    columns: list[str]
    labels: Mapping[str, str]
    user: str | None
    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    drifted: Collection[str] = ()
    grown: Collection[str] = ()
    served: Served | None = None
    labelled: Collection[str] = ()
    late: Mapping[str, str] = field(default_factory=dict)

    def between(self, new: str, old: Sequence[str]) -> Iterator[Distance]:
        """The distances of a span to all of some others together."""
        before = merge([self.statistics[name] for name in old])
        ours = self.statistics[new]
        for found in distances(ours, before, self.columns, self.labels, self.user, labelled=self.labelled):
            if found.name not in self.grown or found.measure == "values":
                yield found
        if self.vectors:
            from pipeline.drift.vectors import together, vector_distances

            yield from vector_distances(self.vectors[new], together([self.vectors[name] for name in old]))

    def by_label(self) -> Iterator[Spans]:
        """These spans without the labels that come late, and for each span with such labels those up to it with
        them alone."""
        yield replace(self, labels={task: of for task, of in self.labels.items() if task not in self.late})
        names = list(self.statistics)
        for at in sorted(set(self.late.values())):
            labels = {task: of for task, of in self.labels.items() if self.late.get(task) == at}
            upto = names[: names.index(at) + 1]
            # what drifted in a label was refused by the run that saw it, which came as much later
            seen = dict(zip(names, names[len(names) - len(upto) :], strict=False))
            drifted = [name for name in upto[:-1] if seen[name] in self.drifted]
            if upto[:-1] and labels:
                of = {name: self.statistics[name] for name in upto}
                yield Spans(of, [], labels, self.user, drifted=drifted)


def judge(spans: Spans, drift: Drift) -> list[Verdict]:
    """What of a span differs too much from the span before it, from all of its window, and in its vectors by
    key from what serves.

    Args:
      spans: of which the last is judged.
      drift: the recipe's bounds; what it leaves out is learned from how much the earlier spans differ.

    Returns:
      A verdict for each distance beyond its bound: failed, or skipped where drift only warns. Where there is none,
      one that passed, with the distance that came nearest to its bound. Before them one for each feature whose
      vectors another encoder makes than those of what serves.
    """
    others = spans.served.verdicts(drift) if spans.served else []
    own, *late = [_compared(of, drift) for of in spans.by_label()]
    told = [*own.told, *(one for of in late for one in of.told)]
    beyond_bound = [beyond(_GATE, said, drift.then) for share, said in told if share > 1]
    if beyond_bound or not told:
        return [*others, *beyond_bound]
    evaluated, (_, nearest) = list(spans.statistics)[-1], max(told)
    said = f"drift: {evaluated} is like {' and '.join(own.others)}; the nearest to its bound is {nearest[7:]}"
    return [*others, Verdict("passed", said, gate=_GATE)]


@dataclass(frozen=True)
class _Compared:
    """What a span was compared with, and each distance over its bound, in a sentence."""

    others: list[str]
    told: list[tuple[float, str]]


def _compared(spans: Spans, drift: Drift) -> _Compared:
    *earlier, evaluated = spans.statistics
    like = [name for name in earlier if name not in spans.drifted] or earlier
    before = {like[-1]: like[-1:]}
    if len(earlier) > 1:
        before[f"{earlier[0]} to {earlier[-1]}"] = earlier
    history = _history(spans, like)
    compared = {who: spans.between(evaluated, old) for who, old in before.items()}
    if spans.served and spans.served.kept:
        compared[spans.served.name] = spans.served.distances(spans.vectors[evaluated])
    told = []
    for who, apart in compared.items():
        for distance in apart:
            bound, why = _bound(distance, drift, history, len(like))
            told.append((distance.value / bound, sentence(_GATE, distance, evaluated, who, bound, why)))
    return _Compared(list(compared), told)


def beyond(gate: str, said: str, then: str) -> Verdict:
    """A distance beyond its bound: failed, or skipped where the recipe only warns."""
    if then == "stop":
        return Verdict("failed", said, gate=gate)
    return Verdict("skipped", f"{said}; the recipe says to warn alone", gate=gate)


def _history(spans: Spans, earlier: Sequence[str]) -> dict[tuple[str, str], float]:
    """(measure, column or task) → the largest distance of an earlier span to the one before it, and to all
    before it."""
    found: dict[tuple[str, str], float] = {}
    for place in range(1, len(earlier)):
        for old in (earlier[place - 1 : place], earlier[:place]):
            for distance in spans.between(earlier[place], old):
                key = (distance.measure, distance.name)
                found[key] = max(distance.value, found.get(key, 0.0))
    return found


def _bound(
    distance: Distance, drift: Drift, history: Mapping[tuple[str, str], float], spans: int
) -> tuple[float, str]:
    given = getattr(drift, distance.measure)
    if distance.measure == "values":
        given = drift.columns.get(distance.name, given)
    if given is not None:
        return given, "by the recipe"
    most = history.get((distance.measure, distance.name), 0.0)
    # half as far again as ever; of a share that was near 1, half of the way that is left
    learned = min(1.5 * most, (1 + most) / 2) if distance.measure in _SHARES else 1.5 * most
    least = least_bound(distance)
    if learned > least:
        return learned, f"learned from {spans} earlier spans"
    return least, "by default, for so many rows"


def least_bound(distance: Distance) -> float:
    """What is let pass anyway, and what chance does besides."""
    return float(np.hypot(LEAST[distance.measure], distance.noise))


def sentence(gate: str, distance: Distance, new: str, old: str, bound: float, why: str) -> str:
    """What was measured, and which bound it is held against."""
    moved = f": {distance.moved}" if distance.moved else ""
    return (
        f"{gate}: {distance.name}: {new} against {old}: {distance.what} is {distance.value:.3f}, and "
        f"{bound:.3f} is allowed {why}{moved}"
    )

"""The vectors in a span's rows, and how far those of two spans are apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import vectors
from pipeline.drift.distances import Distance, missing, spread_of_shares
from pipeline.ingest.span_rows import HEAD, TAIL
from pipeline.recipe import Recipe
from pipeline.watch.measure import Measure
from pipeline.watch.moments import Moments, shift
from pipeline.watch.rows import KeyRows, Sample, read_rows
from pipeline.watch.watch import measured


@dataclass(frozen=True)
class SpanVectors:
    """The vectors of one feature in some rows.

    Attributes:
      rows, absent: of them, and how many have no vector.
      halves: moments of the vectors of two halves of the items.
    """

    rows: int
    absent: int
    halves: tuple[Moments, Moments]

    @property
    def all(self) -> Moments:
        """Moments of both halves."""
        return _merged(self.halves)


Vectors = Mapping[str, SpanVectors]  # by feature


class HeldVectors:
    """The vectors that the model holds, of which rows have keys.

    Args:
      folder: of `pipeline.vectors.write_vectors`.
      names: of features.
    """

    def __init__(self, folder: Path, names: Sequence[str]):
        self._folder = folder
        self._matrices = vectors.read_matrices(folder, list(names))
        self._keys = {
            name: pa.array(vectors.keys_file(folder, name).read_bytes().split(b"\n")[:-1], pa.large_binary())
            for name in names
        }

    def measured(self, name: str, counted: KeyRows) -> Measure:
        """A feature's vectors in rows with these keys."""
        matrix, draw = self._matrices[name], np.random.default_rng(0)
        half = draw.random(len(matrix)) < 0.5
        return measured(name, self._folder, matrix, self._keys[name], counted, half, draw)[0]


def span_vectors(recipe: Recipe, examples: str, held: HeldVectors | None) -> dict[str, SpanVectors]:
    """Reads a span's examples once, as far as its vectors go.

    Args:
      recipe: names features.
      examples: folder of the span's.
      held: the vectors that the model holds, if it does.

    Returns:
      Feature → its vectors in the span's rows.
    """
    found: dict[str, list[SpanVectors]] = {name: [] for name in recipe.vectors}
    samples = {n: Sample() for n, f in recipe.features.items() if f.kind == "vector"}
    for part in (HEAD, TAIL):
        keys, given = read_rows(recipe, examples, part, samples)
        for name in recipe.keyed_vectors:
            given[name] = held.measured(name, keys[recipe.column_of(name)])
        for name, of in given.items():
            found[name].append(SpanVectors(of.rows, sum(of.reasons.values()), of.halves))
    return {name: _together(parts) for name, parts in found.items()}


def together(spans: Sequence[Vectors]) -> dict[str, SpanVectors]:
    """The vectors in the rows of all of some spans."""
    return {name: _together([of[name] for of in spans]) for name in spans[0]}


def _together(parts: Sequence[SpanVectors]) -> SpanVectors:
    halves = tuple(_merged([p.halves[half] for p in parts]) for half in (0, 1))
    return SpanVectors(sum(p.rows for p in parts), sum(p.absent for p in parts), halves)


def _merged(of: Sequence[Moments]) -> Moments:
    found = Moments.none(len(of[0].mean))
    for one in of:
        found.merge(one)
    return found


def vector_distances(new: Vectors, old: Vectors) -> Iterator[Distance]:
    """The distances of features that are vectors to what they were: what `moved` gives, and the changes of the
    shares of dead numbers and of rows without a vector.
    """
    for name, of in new.items():
        before = old[name]
        rows, others = of.rows, before.rows
        noise = spread_of_shares(rows, others)
        yield missing(name, of.absent / max(rows, 1), before.absent / max(others, 1), noise, "vector")
        found = list(moved(name, of, before.all, (of, before)))
        if not found:
            continue
        yield from found
        dead = [int(x.all.dead.sum()) for x in (of, before)]
        long = len(of.all.mean)
        yield Distance(
            "dead",
            name,
            abs(dead[0] - dead[1]) / long,
            max(abs(int(a.dead.sum()) - int(b.dead.sum())) / long for a, b in (of.halves, before.halves)),
            "the change of the share of dead numbers",
            f"{dead[0]:,} of {long:,} are the same in all rows, and {dead[1]:,} were",
        )


def moved(name: str, of: SpanVectors, before: Moments, halved: Sequence[SpanVectors]) -> Iterator[Distance]:
    """The shift of `pipeline.watch.moments`, and the relative change of the vectors' length (as a root of the
    mean square); nothing where one side has no vectors. By chance they differ by no more than the two halves
    of the items do of those in `halved`, as most items are on both sides."""
    shifted, chance = shift(of.all, before), [shift(*x.halves) for x in halved]
    if shifted is None:
        return
    lengths = [_length(x) for x in (of.all, before)]
    yield Distance(
        "vectors",
        name,
        shifted.total,
        max((c.total for c in chance if c), default=0.0),
        "the shift of the vectors (Fréchet distance over the total variance)",
        f"the mean's move is {shifted.mean:,.3f} of it, the covariance's {shifted.covariance:,.3f}; length "
        f"{lengths[0]:,.4g}, was {lengths[1]:,.4g}",
    )
    if lengths[1]:
        yield Distance(
            "length",
            name,
            abs(lengths[0] / lengths[1] - 1),
            max(_apart(x) for x in halved),
            "the relative change of the vectors' length",
            f"{lengths[0]:,.4g}, was {lengths[1]:,.4g}",
        )


def _length(of: Moments) -> float:
    return float(np.sqrt(np.square(of.mean).sum() + of.variances.sum())) if of.weight else 0.0


def _apart(of: SpanVectors) -> float:
    one, two = (_length(half) for half in of.halves)
    return abs(one - two) / max(one, two) if one and two else 0.0

"""Which items are near one another: neighbours of some, and a map of more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.watch.rows import batches

ASKED, NEAR = 6, 5  # items whose neighbours are told, and how many of them
MAPPED = 200  # items on the map
AMONG = 100_000  # of more items, neighbours are looked for among so many, drawn at random


def neighbours(vectors: np.ndarray, chosen: np.ndarray, among: np.ndarray) -> list[list[tuple[int, float]]]:
    """The items nearest to each of some, by cosine.

    Args:
      vectors: `[rows, D]`, also as a memory map: read a part at a time.
      chosen: rows `[n]` whose neighbours are looked for.
      among: rows that may be neighbours.

    Returns:
      Of each of `chosen`, up to `NEAR` (row, cosine), the nearest first. A vector of zeros is near nothing.
    """
    asked = _unit(vectors[chosen])
    best: list[list[tuple[float, int]]] = [[] for _ in chosen]
    for rows in batches(among):
        cosines = asked @ _unit(vectors[rows]).T
        cosines[chosen[:, None] == rows[None, :]] = -np.inf
        top = np.argsort(-cosines, axis=1)[:, :NEAR]
        for i, places in enumerate(top):
            found = [(float(cosines[i, p]), int(rows[p])) for p in places if cosines[i, p] > -np.inf]
            best[i] = sorted([*best[i], *found], key=lambda pair: (-pair[0], pair[1]))[:NEAR]
    return [[(row, cosine) for cosine, row in of] for of in best]


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)


def flat_map(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Principal components of a few vectors `[n, D]`, through the singular value decomposition.

    Returns:
      Places `[n, 2]`, the first component across, each turned so that its largest place is positive; and the
      share of the variance that these two have, 0 where there is none.
    """
    off = np.asarray(vectors, np.float64)
    off = off - off.mean(0)
    left, sizes, _ = np.linalg.svd(off, full_matrices=False)
    places = np.zeros((len(off), 2))
    places[:, : len(sizes)] = (left * sizes)[:, :2]
    sign = np.sign(places[np.abs(places).argmax(0), [0, 1]])
    total = float(np.square(sizes).sum())
    return places * np.where(sign == 0, 1, sign), float(np.square(sizes[:2]).sum()) / total if total else 0.0


def choose(rows: np.ndarray, most: int, draw: np.random.Generator) -> np.ndarray:
    """At most so many of some rows, at random, ascending."""
    return rows if len(rows) <= most else np.sort(draw.choice(rows, most, replace=False))


def likeness(
    vectors: np.ndarray,
    key_of: Callable[[int], str],
    trained: np.ndarray,
    shown: np.ndarray,
    draw: np.random.Generator,
) -> dict[str, Any]:
    """As the keys `neighbours` and `map` of `pipeline.report.form.VectorFeature`.

    Args:
      vectors: `[n, D]`.
      key_of: the key that a row of them is of.
      trained, shown: rows of the log that each was in, in training and among those evaluated: `[n]`.
      draw: chooses items.
    """
    among = choose(np.flatnonzero(trained + shown), AMONG, draw)
    asked = choose(np.intersect1d(np.flatnonzero(shown), among), ASKED, draw)
    mapped = choose(among, MAPPED, draw)
    places, variance = flat_map(vectors[mapped]) if len(mapped) else (np.empty((0, 2)), 0.0)
    return {
        "neighbours": [
            {
                "key": key_of(row),
                "text": None,
                "near": [{"key": key_of(r), "text": None, "cosine": round(c, 4)} for r, c in near],
            }
            for row, near in zip(asked, neighbours(vectors, asked, among), strict=True)
        ],
        "map": {
            "variance": round(variance, 4),
            "items": [
                {
                    "key": key_of(row),
                    "x": round(x, 4) + 0.0,
                    "y": round(y, 4) + 0.0,
                    "trained": int(trained[row]),
                    "shown": int(shown[row]),
                }
                for row, (x, y) in zip(mapped, places.tolist(), strict=True)
            ],
        },
    }

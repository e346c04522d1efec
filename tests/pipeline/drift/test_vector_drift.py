"""Vectors of another space, length or with dead numbers are told, and the items of another day are let pass."""

import numpy as np
import pytest

from pipeline.drift.judge import least_bound
from pipeline.drift.vectors import SpanVectors, together, vector_distances
from pipeline.watch.moments import Moments

ITEMS, DIMENSION = 400, 8


def vectors(change=lambda v: v):
    draw = np.random.default_rng(0)
    spread = draw.normal(size=(DIMENSION, DIMENSION)) * np.linspace(0.2, 2, DIMENSION)
    return change(draw.normal(size=DIMENSION) + draw.normal(size=(ITEMS, DIMENSION)) @ spread).astype("f4")


def day(number, change=lambda v: v, absent=0.02):
    """A day's rows of the same items, shown as often as on no other day."""
    draw = np.random.default_rng((1, number))
    weights = draw.poisson(draw.lognormal(1, 0.5, ITEMS)).astype(float)
    halves = Moments.none(DIMENSION), Moments.none(DIMENSION)
    for half, moments in enumerate(halves):
        moments.add(vectors(change)[half::2], weights[half::2])
    rows = int(weights.sum() / (1 - absent))
    return {"look": SpanVectors(rows, round(rows * absent), halves)}


def beyond(new, old):
    found = {d.measure: d for d in vector_distances(new, old)}
    assert all(d.name == "look" for d in found.values())
    return {m: d for m, d in found.items() if d.value > least_bound(d)}


def test_the_same_encoder_on_other_days_is_let_pass():
    days = [day(number) for number in range(8)]
    for number in range(1, 8):
        assert not beyond(days[number], days[number - 1])
        assert not beyond(days[number], together(days[:number]))


def turned(found):
    basis, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(DIMENSION, DIMENSION)))
    return found @ basis


@pytest.mark.parametrize(
    ("change", "measure", "moved"),
    [
        (turned, "vectors", "the mean's move is "),
        (lambda v: v * 2, "length", ", was "),
        (lambda v: v * (np.arange(DIMENSION) > 1), "dead", "2 of 8 are the same in all rows, and 0 were"),
    ],
)
def test_another_encoder_is_told(change, measure, moved):
    found = beyond(day(7, change), together([day(number) for number in range(7)]))
    assert measure in found and moved in found[measure].moved
    assert found.keys() <= {measure, "vectors", "length"}


def test_absent_vectors_are_told():
    [(measure, distance)] = beyond(day(1, absent=0.4), day(0)).items()
    assert measure == "missing" and distance.moved.startswith(
        "40.0% of the rows have no vector, and 2.0% had"
    )


def test_no_vector_at_all_is_told_as_missing():
    none = {"look": SpanVectors(100, 100, (Moments.none(DIMENSION), Moments.none(DIMENSION)))}
    assert beyond(none, day(0)).keys() == {"missing"}

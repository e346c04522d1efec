"""Vectors of another space, length or with dead numbers are told, and the items of another day are let pass."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.drift.judge import Spans, judge, least_bound
from pipeline.drift.served import Served
from pipeline.drift.vectors import SpanVectors, together, vector_distances
from pipeline.recipe import loads
from pipeline.recipe.drift import Drift
from pipeline.vectors import Table, write_vectors
from pipeline.watch.kept import Kept, encoder_facts, write_kept
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


RECIPE = """
version: 1
name: shop
sources:
  log: {files: log.csv, columns: {item: string, at: time, clicked: {type: int, known: after}}}
  catalogs: {items: {files: items.csv, key: item, columns: {item: string, file: string}}}
roles: {item: item, time: at}
encoders: {clip: {uri: nowhere, dimension: 8}}
features: {look: {kind: vision, catalog: items, columns: file, encoder: clip}}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
spans: {by: day}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""
ONE, TWO = "2024-03-04", "2024-03-05"


@pytest.fixture
def served(tmp_path):
    """What version 7, of encoder clip 1, kept, held against the vectors of now."""
    recipe = loads(RECIPE)
    version = tmp_path / "7"
    (version / "assets.extra").mkdir(parents=True)
    facts = encoder_facts(recipe, "look", "0123456789abcdef", "1") | {"dimension": DIMENSION, "shown": {}}
    write_kept(version / "assets.extra", {"look": Kept(facts, day(0)["look"].all)})
    vector = pa.array([[1.0] * DIMENSION], pa.list_(pa.float32()))
    pq.write_table(pa.table({"key": ["a"], "vector": vector}), tmp_path / "t.parquet")

    def _served(digest="0123456789abcdef", told="1"):
        table = Table([str(tmp_path / "t.parquet")], "d", encoder=digest, encoder_version=told)
        write_vectors({"look": table}, tmp_path / "held")
        return Served.of(recipe, tmp_path / "held", version)

    return _served


def said(served, drift=None, change=lambda v: v):
    """What the gate says where the model holds the vectors by key, so that both days' are the same table's."""
    nothing = statistics_pb2.DatasetFeatureStatistics(num_examples=100)
    days = {ONE: day(1, change), TWO: day(2, change)}
    spans = Spans(dict.fromkeys(days, nothing), [], {}, None, days, served=served)
    return [(v.status, v.sentence, v.gate) for v in judge(spans, drift or Drift())]


def test_another_encoder_than_made_what_serves_is_stopped_by_name(served):
    failed, passed = said(served("fedcba9876543210", "2"))
    assert failed == (
        "failed",
        "encoder: look: encoder clip (2, digest fedcba98, 8 numbers) makes its vectors, and encoder clip (1, "
        "digest 01234567, 8 numbers) made those of version 7, which serves; if it was meant, let one run pass "
        "by spans.drift.encoder=warn",
        "encoder",
    )
    assert passed[0] == "passed" and passed[1].startswith(f"drift: {TWO} is like {ONE}; ")
    for warned in (Drift(encoder="warn"), Drift(then="warn")):
        assert said(served("fedcba9876543210", "2"), warned)[0][0] == "skipped"
    assert said(served("fedcba9876543210", "2"), Drift(then="warn", encoder="stop"))[0][0] == "failed"


def test_vectors_by_key_are_held_against_those_of_what_serves(served):
    [passed] = said(served())
    assert passed[:1] == ("passed",)
    assert passed[1].startswith(f"drift: {TWO} is like {ONE} and version 7, which serves; ")
    shifted, longer = said(served(), change=lambda v: v * 3)
    assert (shifted[0], longer[0]) == ("failed", "failed")
    start = f"drift: look: {TWO} against version 7, which serves: the "
    assert shifted[1].startswith(
        f"{start}shift of the vectors (Fréchet distance over the total variance) is "
    )
    assert longer[1].startswith(f"{start}relative change of the vectors' length is ")

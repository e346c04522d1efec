"""A day whose vectors are another encoder's, whose declared encoder is another, and one feature of whose requests
is not what was trained on."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.demo import Drift, generate
from pipeline.demo.encoders import write_encoders
from pipeline.spans.store import SpanStore
from serving.server.request_log import RequestLog

pytestmark = pytest.mark.slow

RECIPE = """
version: 1
name: drifting
sources:
  log:
    files: impressions/*/*.parquet
    columns:
      impression_id: {type: int, required: true}
      user_id: string
      item_id: string
      timestamp: {type: time, required: true}
      device: string
      surface: string
      click: {type: int, known: after}
  catalogs:
    looks: {files: vectors.parquet, key: item_id, columns: {item_id: string, look: vector}}
    items: {files: items.csv, key: item_id, columns: {item_id: string}}
encoders: {words: {uri: encoders/words, dimension: 32}}
roles: {user: user_id, item: item_id, time: timestamp}
history: {clicked: {kind: last, by: user_id, of: item_id, n: 3, where: click == 1, window: 2d}}
features:
  item_id: {kind: categorical}
  device: {kind: categorical}
  surface: {kind: categorical}
  clicked: {kind: categorical}
  look: {kind: vector, dimension: 16}
  title: {kind: text, catalog: items, columns: [title], encoder: words}
  held: {kind: precomputed, files: vectors.parquet, key: item_id, on: item_id, column: look}
tasks: {click: {kind: binary, label: click}}
splits: {by: time, validation_from: 2024-03-12, test_from: 2024-03-13}
spans: {by: day, window: 7}
skew: {requests: "requests/requests-*.parquet"}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates:
  - {task: click, metric: auc, lower: 0.1}
"""
ONE, TWO, THREE = "2024-03-04", "2024-03-05", "2024-03-06"


def serve(data, day, change):
    """Writes a log of requests for a day's impressions, as the server does, served on that day."""
    before = set((data / "requests").glob("*"))
    log = RequestLog(data / "requests", 1.0)
    shown = pq.read_table(data / "impressions" / day)
    columns = {n: np.array(change(n, shown[n].to_pylist()), object) for n in ("item_id", "device", "surface")}
    columns = {n: np.array([v.encode() for v in values], object) for n, values in columns.items()}
    columns["clicked"] = np.full((len(shown), 3), b"", object)
    for start in range(0, len(shown), 10):
        inputs = {name: values[start : start + 10] for name, values in columns.items()}
        outputs = {"click": np.zeros(len(inputs["device"]), np.float32)}
        log.offer("serving_default", "", 1, inputs, outputs, 100)
    log.close()
    for path in (
        set((data / "requests").glob("*")) - before
    ):  # it was served now, and should have been that day
        table = pq.read_table(path)
        at = pa.array(np.full(len(table), shown["timestamp"][0].as_py()))
        pq.write_table(table.set_column(table.column_names.index("served_at"), "served_at", at), path)


@pytest.fixture(scope="module")
def days(tmp_path_factory, go):
    folder = tmp_path_factory.mktemp("drifting")
    data = folder / "data"
    generate(data, 30_000, 3)
    write_encoders(data / "encoders")
    generate(folder / "other", 30_000, 3, drift=Drift("encoder", 2))
    (folder / "recipe.yaml").write_text(RECIPE)

    def span(name):
        return go(folder / "recipe.yaml", data, folder / "output", "evaluation.replicates=0", span=name)

    seen = {"one": span(ONE)}
    serve(data, TWO, lambda name, values: values)
    seen["two"] = span(TWO)
    shutil.copy(folder / "other" / "vectors.parquet", data)
    declared = data / "encoders/words/encoder.yaml"
    declared.write_text(declared.read_text().replace("demo 1", "demo 2") + "normalize: true\n")
    serve(data, THREE, lambda name, values: [v.upper() if name == "device" else v for v in values])
    seen["three"] = span(THREE)
    return seen


def said(outcome, gate):
    return [(g["status"], g["sentence"]) for g in outcome.metrics["gates"] if g["gate"] == gate]


def test_a_day_like_the_one_before_is_pushed(days):
    assert days["one"].metrics["status"] == "ingested"
    assert (days["two"].code, days["two"].metrics["status"]) == (0, "pushed"), days["two"].metrics["gates"]
    [(status, sentence)] = said(days["two"], "drift")
    assert status == "passed" and sentence.startswith(f"drift: {TWO} is like {ONE}; ")
    [(status, sentence)] = said(days["two"], "skew")
    assert status == "passed" and f"requests of {TWO} are like what was trained on" in sentence


def test_another_encoder_and_skewed_requests_are_refused(days):
    assert (days["three"].code, days["three"].metrics["status"]) == (3, "refused")
    store = SpanStore(days["three"].folder.parents[1])
    assert [store.drifted(day) for day in (ONE, TWO, THREE)] == [False, False, True]
    drift = said(days["three"], "drift")
    assert {status for status, _ in drift} == {"failed"}
    # vectors that the model holds by key are the same table's for all days, and not for what serves
    assert {sentence.split(": ")[1] for _, sentence in drift} == {"look", "held"}
    assert {"version 1, which serves"} == {
        against.split(": ")[0].removeprefix(f"{THREE} against ")
        for _, sentence in drift
        for name, _, against in [sentence.removeprefix("drift: ").partition(": ")]
        if name == "held"
    }
    start = (
        f"drift: look: {THREE} against {TWO}: the shift of the vectors (Fréchet distance over the total var"
    )
    assert any(sentence.startswith(start) for _, sentence in drift)
    [(status, encoder)] = said(days["three"], "encoder")
    assert status == "failed" and encoder.startswith("encoder: title: encoder words (demo 2, digest ")
    assert "32 numbers) makes its vectors, and encoder words (demo 1, digest " in encoder
    assert "made those of version 1, which serves; if it was meant, let one run pass by " in encoder
    skew = said(days["three"], "skew")
    assert {status for status, _ in skew} == {"failed"}
    assert {sentence.split(": ")[1] for _, sentence in skew} == {"device"}
    assert any("values that were never there is 1.000" in sentence for _, sentence in skew)

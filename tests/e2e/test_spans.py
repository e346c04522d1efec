"""Days as spans: ingested once, anew where rows come late, trained on by the days that follow."""

import pandas as pd
import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.cli import mtl
from pipeline.demo import generate
from pipeline.ingest.schema import schema_proto
from pipeline.recipe import load
from pipeline.report.history import recommenders
from pipeline.report.index import render_index
from pipeline.runs.gc import unneeded
from pipeline.spans.store import SpanStore
from serving import versions
from tests.e2e.impressions import BEGIN

# as scheduled: nothing says that all orders are there, so that the newest days' windows are open
RECIPE = (
    "\nversion: 1\nname: daily"
    + BEGIN
    + """\
      device: string
      hour: {type: int, min: 0, max: 23}
      click: {type: int, known: after}
  events:
    orders:
      files: orders/*.parquet
      keys: [request_id, item_id]
      time: timestamp
      columns: {request_id: int, item_id: string, event: string, timestamp: {type: time, required: true}}
roles: {user: user_id, item: item_id, request: request_id, time: timestamp}
history: {clicks: {kind: count, by: user_id, where: click == 1, window: 1d}}
features:
  item_id: {kind: categorical}
  device: {kind: categorical}
  clicks: {kind: numeric}
tasks:
  click: {kind: binary, label: click}
  purchase: {kind: binary, events: {source: orders, where: event == 'purchase', window: 24h}}
splits: {by: time, validation_from: 2024-03-12, test_from: 2024-03-13}
spans: {by: day, window: 7}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates:
  - {task: click, metric: auc, lower: 0.1}
  - {task: purchase, metric: auc, lower: 0.1}
"""
)
ONE, TWO = "2024-03-04", "2024-03-05"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spans")
    generate(folder / "all", 6_000, 2)
    (folder / "recipe.yaml").write_text(RECIPE)
    schema = schema_proto(load(folder / "recipe.yaml"))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    return folder


def arrive(place, day):
    """A day's impressions and the orders of that day."""
    for log, pattern in (("impressions", f"{day}/*"), ("orders", f"{day}.*")):
        for path in (place / "all" / log).glob(pattern):
            to = place / "data" / path.relative_to(place / "all")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())


@pytest.fixture(scope="module")
def days(place, go):
    data, output = place / "data", place / "output"

    def span(name):
        return go(place / "recipe.yaml", data, output, "evaluation.replicates=0", span=name)

    seen = {}
    arrive(place, ONE)
    seen["one"] = span(ONE)
    seen["one_again"] = span(ONE)
    # rows of the first day come late, in a file of the second
    [path] = (data / "impressions" / ONE).iterdir()
    first = pd.read_parquet(path)
    late = first.head(40)
    late = late.assign(impression_id=late["impression_id"] + 10**9)
    arrive(place, TWO)
    [path] = (data / "impressions" / TWO).iterdir()
    second = pd.read_parquet(path)
    pd.concat([late, second]).to_parquet(path)
    seen["rows"] = len(first), len(late), len(second)
    seen["two"] = span(TWO)
    seen["two_again"] = span(TWO)
    seen["online"] = (output / "daily/online/user_id.parquet").read_bytes()
    [path] = (data / "impressions" / ONE).iterdir()
    first.iloc[1:].to_parquet(path)  # a row was taken back
    seen["one_after_two"] = span(ONE)
    return seen


def test_the_first_day_only_ingests(days):
    one = days["one"]
    assert (one.code, one.metrics["status"], one.metrics["pushed"]) == (0, "ingested", None)
    assert one.ran == {
        f"{s}.{ONE}" for s in ("Ingest", "StatisticsGen", "ImportSchemaGen", "ExampleValidator", "DataGate")
    }
    assert "none of the 7 spans before 2024-03-04 has been ingested" in one.metrics["reason"]
    [span] = one.metrics["span"]["spans"]
    assert (span["name"], span["version"], span["rows"]) == (ONE, 1, days["rows"][0])
    assert span["known"]["click"] == span["rows"] and span["known"]["purchase"] == 0  # all windows are open


def test_a_span_again_changes_nothing(days):
    for name in ("one_again", "two_again"):
        again = days[name]
        assert (again.code, again.metrics["status"], again.ran) == (0, "unchanged", set())
        assert again.metrics["reason"].startswith("nothing to do: ")


def test_the_second_day_trains_on_the_newest_version_of_the_first_and_tests_on_itself(days):
    two, (first, late, second) = days["two"], days["rows"]
    assert (two.code, two.metrics["status"]) == (0, "pushed")
    spans = two.metrics["span"]["spans"]
    assert [(s["name"], s["version"], s["ingested"]) for s in spans] == [(ONE, 2, True), (TWO, 1, True)]
    rows = two.metrics["rows"]
    assert rows["train"] + rows["validation"] == first + late and rows["test"] == second
    assert 0 < rows["validation"] < rows["train"]
    assert two.metrics["tasks"]["click"]["examples"] == second


def test_labels_come_when_their_windows_close_and_are_not_judged_before(days):
    two = days["two"]
    one, own = two.metrics["span"]["spans"]
    assert one["known"]["purchase"] > 0 and own["known"]["purchase"] == 0
    said = {gate["task"]: (gate["status"], gate["sentence"]) for gate in two.metrics["gates"]}
    assert said["click"][0] == "passed"
    assert said["click"][1].endswith(f" examples of {TWO})")
    assert said["purchase"] == (
        "skipped",
        f"purchase: auc is not judged: {ONE} is the first with labels, and is trained on; the run of "
        f"2024-03-06 is the first that can judge it",
    )


def test_the_second_day_is_held_against_the_first(days):
    [drift] = [gate for gate in days["two"].metrics["gates"] if gate["gate"] == "drift"]
    assert drift["status"] == "passed"
    assert drift["sentence"].startswith(f"drift: {TWO} is like {ONE}; the nearest to its bound is ")


def test_statistics_of_the_window_are_those_of_its_spans(days, place):
    [folder] = (place / "output/daily/artifacts/Window/statistics").iterdir()
    rows = days["two"].metrics["rows"]
    for split in ("train", "validation", "test"):
        proto = statistics_pb2.DatasetFeatureStatisticsList.FromString(
            (folder / f"Split-{split}" / "FeatureStats.pb").read_bytes()
        )
        assert proto.datasets[0].num_examples == rows[split]


def test_an_older_span_is_ingested_and_replaces_nothing(days, place):
    after = days["one_after_two"]
    assert (after.code, after.metrics["status"]) == (0, "ingested")
    assert [(s["version"], s["rows"]) for s in after.metrics["span"]["spans"]] == [
        (3, days["rows"][0] + days["rows"][1] - 1)
    ]
    # nor are its counts the newest ones
    assert (place / "output/daily/online/user_id.parquet").read_bytes() == days["online"]
    assert f"version 1, which serves, is of the later span {TWO}" in after.metrics["reason"]
    serving = place / "output/daily/serving"
    assert versions.versions(serving) == [1] and versions.record(serving / "1")["span"] == TWO


def test_the_history_tells_spans(days, place):
    page = render_index(place / "output", recommenders(place / "output"))
    assert "<th>Span</th>" in page and f"{TWO}<br>" in page
    assert f"trained on {ONE}, anew: {ONE}" in page
    report = (days["two"].folder / "report" / "index.html").read_text()
    assert f"Span {TWO}, tested on; trained on 1 before it." in report
    listed = CliRunner().invoke(mtl, ["runs", "list", str(place / "output")]).output.splitlines()
    assert "span" in listed[1] and [line.split()[1] for line in listed[2:]] == [ONE, ONE, TWO, TWO, ONE]


def test_gc_keeps_the_versions_that_the_next_run_trains_on(days, place):
    home = place / "output/daily"
    gone = {artifact.path for artifact in unneeded(home, 1).artifacts}
    store = SpanStore(home)
    kept = [home / folder for name in (ONE, TWO) for folder in folders(store.newest(name))]
    assert len(kept) == 4 and not gone & set(kept)
    first = days["one"].metrics["span"]["spans"][0]
    assert first["version"] == 1 and any(path.parts[-3] == f"Ingest.{ONE}" for path in gone)


def folders(version):
    return version.examples, version.statistics

"""Days of a task whose labels come a day late: it is judged on the day before, which no model was taught."""

import json

import pytest
from google.protobuf import text_format

from pipeline.demo import generate
from pipeline.ingest.schema import schema_proto
from pipeline.recipe import load
from serving import releases, versions
from tests.e2e.impressions import BEGIN

pytestmark = pytest.mark.slow

RECIPE = (
    "\nversion: 1\nname: late"
    + BEGIN
    + """\
      click: {type: int, known: after}
  events:
    orders:
      files: orders/*.parquet
      keys: [request_id, item_id]
      time: timestamp
      columns: {request_id: int, item_id: string, event: string, timestamp: {type: time, required: true}}
roles: {user: user_id, item: item_id, request: request_id, time: timestamp}
features: {item_id: {kind: categorical}}
tasks:
  click: {kind: binary, label: click}
  purchase:
    {kind: binary, events: {source: orders, where: event == 'purchase', window: 24h}, calibration: platt}
splits: {by: time, validation_from: 2024-03-12, test_from: 2024-03-13}
spans: {by: day, window: 7, drift: null}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates:
  - {task: click, metric: auc, lower: 0.1}
  - {task: purchase, metric: logloss, upper: 2, max_drop: 1}
"""
)
DAYS = [f"2024-03-0{n}" for n in (4, 5, 6, 7)]


@pytest.fixture(scope="module")
def days(tmp_path_factory, go):
    folder = tmp_path_factory.mktemp("late")
    generate(folder / "all", 8_000, 4)
    (folder / "recipe.yaml").write_text(RECIPE)
    schema = schema_proto(load(folder / "recipe.yaml"))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    found = {"serving": folder / "output/late/serving"}
    for day in DAYS:
        for log, pattern in (("impressions", f"{day}/*"), ("orders", f"{day}.*")):
            for path in (folder / "all" / log).glob(pattern):
                to = folder / "data" / path.relative_to(folder / "all")
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(path.read_bytes())
        found[day] = go(
            folder / "recipe.yaml", folder / "data", folder / "output", "evaluation.replicates=0", span=day
        )
    return found


@pytest.fixture
def again(days, go):
    """Runs a day again."""
    folder = days["serving"].parents[2]

    def _again(day):
        given = folder / "recipe.yaml", folder / "data", folder / "output", "evaluation.replicates=0"
        return go(*given, span=day)

    return _again


def said(outcome):
    return [(g["status"], g["sentence"]) for g in outcome.metrics["gates"] if g["task"] == "purchase"]


def test_it_is_judged_on_the_day_before_once_there_is_another_to_train_on(days):
    [skipped] = said(days[DAYS[1]])
    assert skipped[0] == "skipped" and f"the run of {DAYS[2]} is the first that can judge it" in skipped[1]
    three = days[DAYS[2]].metrics
    assert (three["tasks"]["click"]["span"], three["tasks"]["purchase"]["span"]) == (DAYS[2], DAYS[1])
    bound, comparison = said(days[DAYS[2]])
    assert bound[0] == "passed" and bound[1].endswith(f" examples of {DAYS[1]})")
    assert "other labels of these rows were trained on, which flatters it" in bound[1]
    # the model of the day before was trained on all labels before its own day, and on no click of it
    assert comparison[0] in ("skipped", "failed") and f"of {DAYS[1]})" in comparison[1]
    assert comparison[0] == "failed" or "that is no pass, as this model was trained on other" in comparison[1]
    known = {s["name"]: s["known"]["purchase"] for s in three["span"]["spans"]}
    assert three["tasks"]["purchase"]["examples"] == known[DAYS[1]]
    page = (days[DAYS[2]].folder / "report/index.html").read_text()
    assert f"purchase is judged on {DAYS[1]}, the newest with labels" in page


def test_its_labels_of_that_day_are_not_trained_on_and_it_is_calibrated(days):
    folder = days[DAYS[2]].folder
    counts = json.loads((folder / "examples/counts.json").read_text())
    spans = {s["name"]: s["known"]["purchase"] for s in days[DAYS[2]].metrics["span"]["spans"]}
    known = counts["known"]["purchase"]
    assert known["train"] + known["validation"] == spans[DAYS[0]] and known["test"] == 0
    history = json.loads((folder / "model_run/history.json").read_text())
    assert history["calibration"]["purchase"]["rows"] == known["validation"] > 0


def test_the_next_day_compares_two_models_that_have_not_seen_the_labels(days):
    assert versions.record(days["serving"] / "2")["unseen"] == {"click": DAYS[2], "purchase": DAYS[1]}
    four = days[DAYS[3]].metrics
    assert four["serving_model"] == "version 2" and four["tasks"]["purchase"]["span"] == DAYS[2]
    assert four["tasks"]["purchase"]["baseline"]["logloss"] > 0
    assert said(days[DAYS[3]])[0][0] == "passed"


def test_what_age_costs_it_is_told_on_the_day_that_it_is_judged_on(days):
    four = days[DAYS[3]].metrics
    own, late = four["staleness"]["tasks"], four["staleness"]["late"]
    assert [(e["age"], e["version"]) for e in own["click"]] == [(0, ""), (1, "2"), (2, "1")]
    assert list(own) == ["click"]
    [at] = late
    assert (at["span"], list(at["tasks"])) == (DAYS[2], ["purchase"])
    assert at["rows"] == next(s["rows"] for s in four["span"]["spans"] if s["name"] == DAYS[2])
    # the model of the day that it is judged on, which serves, and the one before it
    told = [(e["age"], e["span"], e["version"]) for e in at["tasks"]["purchase"]]
    assert told == [(0, DAYS[2], "2"), (1, DAYS[1], "1")]
    serves = four["tasks"]["purchase"]["baseline"]["auc"]
    assert at["tasks"]["purchase"][0]["auc"] == pytest.approx(serves)
    page = (days[DAYS[3]].folder / "report/index.html").read_text()
    assert f"rows of {DAYS[2]}, the newest with labels of purchase" in page
    assert days[DAYS[2]].metrics["staleness"]["late"] == []  # no two models of that day and before


def test_a_span_whose_model_was_rolled_back_from_says_what_serves(days, again):
    releases.rollback(days["serving"], "clicks fell")
    said = again(DAYS[3]).metrics["reason"]
    assert "and ended: pushed; what it pushed serves no more: version " in said

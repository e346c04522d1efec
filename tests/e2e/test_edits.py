"""Edits between runs: each makes anew what depends on it and nothing else, and no model is pushed twice."""

import csv
import shutil

import pytest
from click.testing import CliRunner
from google.protobuf import text_format

from pipeline.cli import mtl
from pipeline.demo import generate
from pipeline.ingest.schema import schema_proto
from pipeline.recipe import load
from pipeline.report.form import Metrics
from serving import versions
from tests.e2e.impressions import BEGIN

ALL = {
    "ImportSchemaGen",
    "Ingest",
    "StatisticsGen",
    "ExampleValidator",
    "DataGate",
    "BuildVocabularies",
    "Transform",
    "Trainer",
    "Evaluate",
    "ServingCheck",
    "Gate",
    "Push",
}


RECIPE = (
    "\nversion: 1\nname: shop"
    + BEGIN
    + """\
      device: string
      position: int
      click: {type: int, known: after}
      like: {type: int, known: after}
  catalogs:
    users:
      files: users.csv
      key: user_id
      columns: {user_id: string, age: {type: int, min: 0, max: 120}}
roles: {user: user_id, item: item_id, request: request_id, time: timestamp}
features:
  item_id: {kind: categorical}
  device: {kind: categorical}
  position: {kind: categorical}
  age: {kind: numeric}
tasks:
  click: {kind: binary, label: click}
  like: {kind: binary, label: like}
splits: {by: time, validation_from: 2024-03-11, test_from: 2024-03-12}
model: {architecture: {name: mmoe, experts: 2, units: [8]}, tower_units: [8]}
weighting: {name: equal}
training:
  optimizer:
    dense: {name: adam, learning_rate: 0.002}
    embedding: {name: adagrad, learning_rate: 0.1}
gates:
  - {task: click, metric: auc, lower: 0.1, max_drop: 0.9}
  - {task: like, metric: logloss, max_drop: 9, interval: any}
  - {task: click, metric: auc, slice: device=phone, max_drop: 0.9, min_examples: 10}
  - {task: click, metric: rank_correlation, lower: -1}
evaluation: {slices: [device]}
"""
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")
    generate(folder / "data", 5_000, 5)
    (folder / "recipe.yaml").write_text(RECIPE)
    schema = schema_proto(load(folder / "recipe.yaml"))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    return folder


@pytest.fixture(scope="module")
def again(place, go):
    """Runs the recipe on its data, with these settings, after whatever ran before."""

    def _again(*settings):
        return go(place / "recipe.yaml", place / "data", place / "output", *settings)

    return _again


@pytest.fixture(scope="module")
def edits(place, again, root, tmp_path_factory):
    """Runs in this order, each after one edit more."""
    serving = place / "output" / "shop" / "serving"
    seen = {"first": again(), "unchanged": again(), "gate": again("gates.0.lower=0.11")}
    seen["pushed_unchanged"] = versions.versions(serving)

    schema = place / "schema.pbtxt"
    schema.write_text(schema.read_text().replace("max: 120", "max: 121"))
    seen["schema"] = again()

    copy = tmp_path_factory.mktemp("code")
    for package in ("pipeline", "mtl_models", "serving"):
        shutil.copytree(root / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "requirements.lock", copy)
    with (copy / "mtl_models/architectures/mmoe.py").open("a") as file:
        file.write("# one more line\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.digests._ROOT", copy)
        seen["code"] = again()

    users = place / "data" / "users.csv"
    with users.open(newline="") as file:
        table = list(csv.DictReader(file))
    row = next(r for r in table if r["age"])
    row["age"] = str(int(row["age"]) + 1)
    with users.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    seen["catalog"] = again()
    return seen


def test_the_first_run_does_every_step(edits):
    first = edits["first"]
    assert (first.code, first.metrics["status"], first.ran) == (0, "pushed", ALL)


def test_an_unchanged_run_does_nothing_and_says_so(edits):
    assert edits["unchanged"].code == 0
    assert edits["unchanged"].metrics["status"] == "unchanged"
    assert "nothing to do" in edits["unchanged"].metrics["reason"]
    Metrics.model_validate(edits["unchanged"].metrics)


def test_an_edited_gate_is_judged_anew_and_the_same_model_is_not_pushed_again(edits):
    edited = edits["gate"]
    # Evaluate runs too: there is a serving model to compare with now
    assert edited.ran == {"Evaluate", "Gate", "Push"}
    assert (edited.code, edited.metrics["status"]) == (0, "unchanged")
    assert edits["pushed_unchanged"] == [1]
    click = edited.metrics["tasks"]["click"]
    assert click["baseline"]["auc"] == click["metrics"]["auc"]


def test_an_edited_schema_field_reruns_what_reads_the_schema(edits):
    assert edits["schema"].ran == ALL - {"Ingest", "StatisticsGen"}


def test_an_edited_line_of_code_reruns_the_step_that_uses_it_and_those_after(edits):
    assert edits["code"].ran == {"Trainer", "Evaluate", "ServingCheck", "Gate", "Push"}


def test_an_edited_catalog_row_reruns_what_saw_it(edits):
    # the schema is cached; it comes from the recipe and not from the data
    assert edits["catalog"].ran == ALL - {"ImportSchemaGen"}


def test_a_serving_model_that_cannot_be_loaded_is_refused_comparison(place, edits, again):
    serving = place / "output" / "shop" / "serving"
    before = versions.versions(serving)
    [data] = (versions.current(serving) / "variables").glob("variables.data*")
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    try:
        found = again("gates.0.lower=0.12")
    finally:
        data.write_bytes(whole)
    assert (found.code, found.metrics["status"], found.metrics["pushed"]) == (3, "refused", None)
    assert found.ran == {"Evaluate", "Gate", "Push"} and versions.versions(serving) == before
    failed = [g["sentence"] for g in found.metrics["gates"] if g["status"] == "failed"]
    assert len(failed) == 4  # three drops and the rankings; the bound is kept
    could_not = "could not be compared, so its gate cannot pass: the serving model could not be loaded"
    assert all(could_not in sentence for sentence in failed)


def test_the_best_trial_of_a_search_is_what_is_trained_and_told(place, edits, again):
    rates = "training.optimizer.dense.learning_rate", "training.optimizer.embedding.learning_rate"
    settings = [f"{rates[0]}=0.5"]  # the recipe as it is overshoots
    space = (
        "{%s: {min: 0.001, max: 0.003, log: true}, %s: [0.1, 0.05], model.tower_units: [[16], [8, 8]]}"
        % rates
    )
    settings += [f"tune={{trials: 2, space: {space}}}", "gates.0.lower=0.999"]  # refused, whatever it finds
    found = again(*settings)
    assert found.code == 3 and found.ran >= {"Tuner", "Trainer"}
    tuning, training = found.metrics["tuning"], found.metrics["training"]
    gains = [trial["gain"] for trial in tuning["trials"]]
    assert len(gains) == 2 and gains == sorted(gains, reverse=True)
    best, worst = tuning["trials"][0], tuning["trials"][-1]
    assert (worst["trial"], worst["values"][rates[0]]) == (0, 0.5)
    assert 0.001 <= best["values"][rates[0]] <= 0.003 and best["values"]["model.tower_units"] in (
        [16],
        [8, 8],
    )
    # trained with the winner's settings, and the same seed
    kept = training["epochs"][training["best_epoch"] - 1]
    assert kept["objective"] == pytest.approx(best["gain"], abs=1e-6)
    assert f"number {best['trial']} won with a mean gain on validation of " in tuning["sentence"]
    assert "over the recipe as it is: " in (found.folder / "report/index.html").read_text()
    patched = load(place / "recipe.yaml", [f"@{found.folder / 'tune.yaml'}"])
    assert patched.training.optimizer.dense.learning_rate == best["values"][rates[0]] and patched.tune is None
    assert list(patched.model.tower_units) == best["values"]["model.tower_units"]


def test_a_rolled_back_model_is_not_pushed_again(place, edits, again):
    """The pointer goes back one version, and the same data comes again."""
    serving = place / "output" / "shop" / "serving"
    newest = versions.current(serving)
    older = next(v for v in reversed(versions.versions(serving)) if v < int(newest.name))
    versions.point(serving, older)
    try:
        found = again()
    finally:
        versions.point(serving, int(newest.name))
    assert (found.code, found.metrics["status"]) == (3, "refused")
    assert f"is version {newest.name}, which was rolled back from" in found.metrics["reason"]
    assert found.ran == {"Push"}  # this model was compared with that version before


def test_what_gc_leaves_is_what_the_next_run_takes_from_the_cache(place, edits, again):
    again("gates.0.lower=0.13")
    found = CliRunner().invoke(mtl, ["runs", "gc", str(place / "output"), "--keep", "1"])
    assert found.exit_code == 0 and "Trainer" in found.output
    found = again("gates.0.lower=0.14")
    assert found.code == 0 and found.ran <= {"Gate", "Push"}
    kept = [path.name for path in (place / "output/shop/runs").iterdir()]
    assert versions.record(versions.current(place / "output/shop/serving"))["run"] in kept
    shown = CliRunner().invoke(mtl, ["runs", "show", str(place / "output/shop/latest")]).output
    assert f"{place / 'output/shop/artifacts/Trainer/model'}" in shown and "deleted" not in shown

"""A recommender's first days: pushed, unchanged, edited, a day later, and a day that went wrong.

The runs happen in this order, each on what the one before left, as they would in production.
"""

import asyncio
import csv
import html
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from google.protobuf import text_format

from pipeline.cli import mtl
from pipeline.demo import generate
from pipeline.digests import text_digest
from pipeline.evaluate import evaluate
from pipeline.ingest.schema import schema_proto
from pipeline.metric_names import OF_RANKINGS
from pipeline.recipe import RecipeError, load
from pipeline.report.form import Metrics
from serving import audit, versions

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
NINE_DAYS = ("splits.validation_from=2024-03-11", "splits.test_from=2024-03-12")
GATES = """gates:
  - {task: click, metric: auc, lower: 0.52, max_drop: 0.1}
  - {task: like, metric: auc, lower: 0.55, max_drop: 0.1}
  - {task: purchase, metric: logloss, upper: 2}
  - {task: depth, metric: quadratic_kappa, lower: -1}
  - {task: click, metric: auc, slice: device=tablet, max_drop: 0.06, min_examples: 100}
  - {task: purchase, metric: logloss, max_drop: 1, interval: any}
  - {task: click, metric: rank_correlation, lower: 0.1}
"""
# what the demo itself does without
MORE = """history:
  recent_items: {kind: last, by: user_id, of: item_id, n: 3, where: click == 1, delay: 1m}
  item_rate: {kind: rate, by: item_id, of: click == 1, window: 3d}

downsampling: {task: like, keep: 0.5, correction: logit}

features:
  recent_items: {kind: categorical}
  item_rate: {kind: numeric}
"""
TASKS = """tasks:
  reaction:
    kind: multiclass
    label: "'like' if like == 1 else ('click' if click == 1 else 'none')"
    classes: [none, click, like]
  depth: {kind: ordinal, label: "floor(minimum(watch_seconds / 20, 3))", where: click == 1, classes: 4}
  seconds: {kind: regression, label: watch_seconds, where: click == 1, loss: log_mse, loss_weight: 0.1}
"""
OUTPUTS = {"click", "like", "watch_time", "purchase", "reaction", "depth", "seconds", "score", "absent"}


@pytest.fixture(scope="module")
def place(tmp_path_factory, root):
    """A recipe with gates that so small a world can keep, and nine of its ten days."""
    folder = tmp_path_factory.mktemp("days")
    generate(folder / "all", 24_000, 5)
    shutil.copytree(folder / "all", folder / "data")
    for log in ("impressions", "propensities"):
        shutil.rmtree(folder / "data" / log / "2024-03-13")
    text = (root / "data/demo/recipe.yaml").read_text()
    start, end = text.index("gates:\n"), text.index("evaluation:\n")
    text = text[:start] + GATES + text[end:]
    text = text.replace("spans: {by: day, window: 7}\n", "")  # which cannot go with downsampling
    text = text.replace("features:\n", MORE).replace("tasks:\n", TASKS)
    for label, method in (("click", "isotonic"), ("like", "platt")):
        text = text.replace(f"binary, label: {label}}}", f"binary, label: {label}, calibration: {method}}}")
    (folder / "recipe.yaml").write_text(text)
    schema = schema_proto(load(folder / "recipe.yaml"))
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    return folder


@pytest.fixture(scope="module")
def days(place, go, root, tmp_path_factory):
    recipe, data, output = place / "recipe.yaml", place / "data", place / "output"
    serving = output / "demo" / "serving"
    seen = {"first": go(recipe, data, output, *NINE_DAYS)}
    seen["pushed_first"] = versions.versions(serving)
    seen["unchanged"] = go(recipe, data, output, *NINE_DAYS)
    seen["gate_edited"] = go(recipe, data, output, *NINE_DAYS, "gates.0.lower=0.51")
    seen["pushed_unchanged"] = versions.versions(serving)

    schema = recipe.with_name("schema.pbtxt")
    schema.write_text(schema.read_text().replace("max: 120", "max: 121"))
    seen["schema_edited"] = go(recipe, data, output, *NINE_DAYS)

    copy = tmp_path_factory.mktemp("code")
    for package in ("pipeline", "mtl_models", "serving"):
        shutil.copytree(root / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "requirements.lock", copy)
    with (copy / "mtl_models/architectures/mmoe.py").open("a") as file:
        file.write("# one more line\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.digests._ROOT", copy)
        seen["code_edited"] = go(recipe, data, output, *NINE_DAYS)

    users = data / "users.csv"
    with users.open(newline="") as file:
        table = list(csv.DictReader(file))
    row = next(r for r in table if r["age"])
    row["age"] = str(int(row["age"]) + 1)
    with users.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    seen["catalog_edited"] = go(recipe, data, output, *NINE_DAYS)

    for log in ("impressions", "propensities"):
        shutil.copytree(place / "all" / log / "2024-03-13", data / log / "2024-03-13")
    before = versions.current(serving)
    seen["next_day"] = go(recipe, data, output)
    seen["before_next_day"], seen["after_next_day"] = before, versions.current(serving)

    shuffled = place / "shuffled"
    shutil.copytree(data, shuffled)
    draw = np.random.default_rng(0)
    for path in sorted(shuffled.glob("impressions/*/*.parquet")):
        table = pq.read_table(path)
        like = pa.array(draw.permutation(table["like"].to_numpy()))
        table = table.set_column(table.column_names.index("like"), "like", like)
        if path.parent.name < "2024-03-13":  # the test day's clicks stay what they are
            click, on_tablet = table["click"].to_numpy(), np.array(table["device"]) == "tablet"
            flipped = pa.array(np.where(on_tablet, 1 - click, click), table.schema.field("click").type)
            table = table.set_column(table.column_names.index("click"), "click", flipped)
        pq.write_table(table, path)
    seen["shuffled"] = go(recipe, shuffled, output)
    seen["after_shuffled"] = versions.current(serving)
    return seen


def test_the_first_run_is_pushed(days):
    first = days["first"]
    assert (first.code, first.metrics["status"], first.metrics["blessed"]) == (0, "pushed", True)
    assert days["pushed_first"] == [1]
    assert first.ran == ALL
    rows = first.metrics["rows"]
    assert rows["read"] == rows["train"] + rows["validation"] + rows["test"] + rows["dropped"] + rows["dead"]
    assert rows["read"] > 20_000
    assert all(task["baseline"] is None for task in first.metrics["tasks"].values())
    said = [g["sentence"] for g in first.metrics["gates"]]
    assert any("there is no serving model yet" in s for s in said)
    assert any("answered over gRPC and REST, by a process without this project" in s for s in said)


def test_pushes_by_runs_are_in_the_audit_log_and_listed(days):
    serving = days["first"].folder.parents[1] / "serving"
    lines, unreadable = audit.entries(serving)
    pushes = [(e["what"], e["from"], e["to"]) for e in lines]
    there = versions.versions(serving)
    assert pushes == [("push", one, two) for one, two in zip([None, *there], there, strict=False)]
    assert lines[0]["why"] == f"run {days['first'].folder.name} was blessed" and not unreadable
    record = versions.record(serving / "1")
    assert record["recipe"] == text_digest((days["first"].folder / "recipe.yaml").read_text())
    shown = CliRunner().invoke(mtl, ["models", "list", str(serving.parents[1])])
    value = days["first"].metrics["tasks"]["click"]["metrics"]["auc"]
    assert shown.exit_code == 0 and f"click auc {value:.4f}" in shown.output


def test_what_earlier_rows_tell_is_published_for_an_online_store(days):
    online = days["first"].folder.parents[1] / "online"
    assert sorted(p.name for p in online.iterdir()) == ["item_id.parquet", "user_id.parquet"]
    # of the newest ingestion
    users = pq.read_table(online / "user_id.parquet")
    assert len(users) > 30 and max(len(items) for items in users["recent_items"].to_pylist()) == 3
    rates = pq.read_table(online / "item_id.parquet")["item_rate"].to_numpy()
    assert ((rates >= 0) & (rates <= 1)).all() and rates.std() > 0


def test_negatives_left_out_are_counted_and_corrected(days):
    metrics = days["first"].metrics
    dropped = metrics["rows"]["dropped_reasons"]
    assert dropped["downsampled"] > 0.4 * metrics["rows"]["train"]
    # sampled as they were, likes would be predicted about twice as often as they happen
    assert 0.5 < metrics["tasks"]["like"]["metrics"]["calibration"] < 1.5


def test_events_are_all_accounted_for(days):
    rows = days["first"].metrics["rows"]
    assert rows["events"]["purchase"]["matched"] > 50 and "events" in rows


def test_every_metrics_json_is_of_the_documented_form(days):
    found = [day.folder / "report" / "metrics.json" for day in days.values() if hasattr(day, "folder")]
    read = [Metrics.model_validate_json(path.read_text()) for path in found]
    assert {one.status for one in read} == {"pushed", "unchanged", "refused"}
    first = read[0]
    assert set(first.memory) == set(first.seconds) - {"total"} and min(first.memory.values()) > 1e8
    assert {row.task for row in first.reliability} == {"click", "like", "purchase", "reaction", "depth"}
    assert {row.score for row in first.reliability} == {"prediction"}


def test_a_model_evaluated_by_itself_measures_as_its_run_did(place, days, tmp_path, small):
    """The examples of a run, and logs."""
    serving = place / "output" / "demo" / "serving"
    cases = [
        (days["first"], serving / "1", days["first"].folder / "examples", (*small, *NINE_DAYS)),
        (days["next_day"], days["after_next_day"], place / "data", small),
    ]
    for day, model, source, settings in cases:
        code = evaluate(place / "recipe.yaml", model, source, tmp_path, settings)
        [folder] = (tmp_path / "demo" / "evaluations").iterdir()
        found = Metrics.model_validate_json((folder / "report" / "metrics.json").read_text())
        assert (code, found.status, found.serving_model) == (0, "evaluated", None)
        assert {n: t.metrics for n, t in found.tasks.items()} == {
            n: {m: v for m, v in t["metrics"].items() if m not in OF_RANKINGS}
            for n, t in day.metrics["tasks"].items()
        }
        assert {g.sentence for g in found.gates} & {g["sentence"] for g in day.metrics["gates"]}
        assert (found.rows is not None) == (source == place / "data")
        assert (folder / "report" / "index.html").is_file()
        shutil.rmtree(folder)


def test_metrics_json_has_what_was_promised(days):
    metrics = days["first"].metrics
    assert {"recipe", "run", "blessed", "pushed", "rows", "tasks", "seconds", "versions"} <= set(metrics)
    click = metrics["tasks"]["click"]
    assert {"auc", "gauc", "logloss", "calibration"} <= set(click["metrics"])
    assert click["intervals"]["auc"][0] < click["metrics"]["auc"] < click["intervals"]["auc"][1]
    assert {"mae", "rmse"} <= set(metrics["tasks"]["watch_time"]["metrics"])
    assert {"accuracy", "macro_f1", "logloss"} <= set(metrics["tasks"]["reaction"]["metrics"])
    assert 0 <= metrics["tasks"]["depth"]["metrics"]["mae"] < 3
    assert 0.5 < metrics["tasks"]["seconds"]["metrics"]["calibration"] < 1.5
    assert metrics["tasks"]["purchase"]["examples"] < click["examples"]  # known only where clicked
    assert metrics["references"]["click"]["ceiling"]["auc"] > click["metrics"]["auc"]
    slices = {s["slice"].split("=")[0] for s in metrics["slices"]}
    assert slices == {"surface", "device", "new_user", "new_item"}
    assert metrics["training"]["epochs"][0]["gate_use"]
    counts = Counter(gate["status"] for gate in metrics["gates"])
    assert f"({counts['passed']} passed, {counts['skipped']} skipped)" in metrics["reason"]
    page = (days["first"].folder / "report" / "index.html").read_text()
    assert f"{counts['passed']} passed, 0 failed, {counts['skipped']} skipped" in page


def test_the_run_folder_holds_everything(days):
    folder = days["first"].folder
    for name in (
        "report/index.html",
        "report/metrics.json",
        "report/gates.xml",
        "report/summary.md",
        "recipe.yaml",
        "log.txt",
        "requests.jsonl",
        "tensorboard",
    ):
        assert (folder / name).exists(), name
    page = (folder / "report/index.html").read_text()
    assert 'src="http' not in page and 'href="http' not in page


def test_an_unchanged_run_does_nothing_and_says_so(days):
    assert days["unchanged"].code == 0
    assert days["unchanged"].metrics["status"] == "unchanged"
    assert "nothing to do" in days["unchanged"].metrics["reason"]


def test_an_edited_gate_is_judged_anew_and_the_same_model_is_not_pushed_again(days):
    edited = days["gate_edited"]
    # Evaluate runs too: there is a serving model to compare with now
    assert edited.ran == {"Evaluate", "Gate", "Push"}
    assert (edited.code, edited.metrics["status"]) == (0, "unchanged")
    assert days["pushed_unchanged"] == [1]
    click = edited.metrics["tasks"]["click"]
    assert click["baseline"]["auc"] == click["metrics"]["auc"]


def test_an_edited_schema_field_reruns_what_reads_the_schema(days):
    assert days["schema_edited"].ran == ALL - {"Ingest", "StatisticsGen"}


def test_an_edited_line_of_code_reruns_the_step_that_uses_it_and_those_after(days):
    assert days["code_edited"].ran == {"Trainer", "Evaluate", "ServingCheck", "Gate", "Push"}


def test_an_edited_catalog_row_reruns_what_saw_it(days):
    # the schema is cached; it comes from the recipe and not from the data
    assert days["catalog_edited"].ran == ALL - {"ImportSchemaGen"}


def test_one_more_day_is_compared_and_pushed(days):
    metrics = days["next_day"].metrics
    assert (days["next_day"].code, metrics["status"]) == (0, "pushed")
    assert metrics["tasks"]["click"]["baseline"]["auc"] > 0.5
    assert int(days["after_next_day"].name) > int(days["before_next_day"].name)
    assert metrics["pushed"] == str(days["after_next_day"])


def gates_of(outcome, task):
    """slice -> what each gate of a task said of it."""
    found = {}
    for gate in outcome.metrics["gates"]:
        if gate["task"] == task:
            found.setdefault(gate["slice"], []).append((gate["status"], gate["sentence"]))
    return found


def test_the_first_run_compares_nothing_and_the_next_day_all(days):
    first, later = (gates_of(days[run], "click")["overall"] for run in ("first", "next_day"))
    assert [status for status, _ in first] == ["passed", "skipped", "skipped"]
    assert "rank_correlation is not compared: there is no serving model yet" in first[2][1]
    assert [status for status, _ in later] == ["passed", "passed", "passed"]
    assert "rank_correlation 0." in later[2][1] and "above the lower bound 0.100" in later[2][1]
    [_, (status, said)] = gates_of(days["next_day"], "purchase")["overall"]
    assert status == "passed" and "the serving model's" in said and "the difference's 95 % interval" in said


def test_shuffled_labels_of_one_task_are_refused(days):
    refused = days["shuffled"]
    metrics = refused.metrics
    assert (refused.code, metrics["status"], metrics["pushed"]) == (3, "refused", None)
    assert "like: auc" in metrics["reason"] and "below" in metrics["reason"]
    assert "purchase" not in metrics["reason"] and "depth" not in metrics["reason"]
    assert {n: t["gate"] for n, t in metrics["tasks"].items()} == {
        "reaction": "none",
        "depth": "pass",
        "seconds": "none",
        "click": "fail",
        "like": "fail",
        "watch_time": "none",
        "purchase": "pass",
    }
    assert days["after_shuffled"] == days["after_next_day"]


def test_labels_flipped_on_one_segment_are_refused_by_its_slice_alone(days):
    click = gates_of(days["shuffled"], "click")
    assert [status for status, _ in click["overall"][:2]] == ["passed", "passed"]
    assert "above the lower bound 0.520" in click["overall"][0][1]
    [(status, said)] = click["device=tablet"]
    assert status == "failed" and said.startswith("click: auc 0.") and "(slice device=tablet, " in said
    assert "is below the serving model's 0." in said and "more than the 0.060 allowed" in said
    assert said in days["shuffled"].metrics["reason"]
    assert said in html.unescape((days["shuffled"].folder / "report" / "index.html").read_text())
    [(status, _)] = gates_of(days["next_day"], "click")["device=tablet"]
    assert status == "passed"


def test_a_serving_model_that_cannot_be_loaded_is_refused_comparison(place, days, go):
    serving = place / "output" / "demo" / "serving"
    before = versions.versions(serving)
    [data] = (versions.current(serving) / "variables").glob("variables.data*")
    whole = data.read_bytes()
    data.write_bytes(whole[:1000])
    try:
        found = go(place / "recipe.yaml", place / "data", place / "output", "gates.0.lower=0.515")
    finally:
        data.write_bytes(whole)
    assert (found.code, found.metrics["status"], found.metrics["pushed"]) == (3, "refused", None)
    assert found.ran == {"Evaluate", "Gate", "Push"} and versions.versions(serving) == before
    failed = [g["sentence"] for g in found.metrics["gates"] if g["status"] == "failed"]
    assert len(failed) == 5  # four drops and the rankings; bounds are kept
    could_not = "could not be compared, so its gate cannot pass: the serving model could not be loaded"
    assert all(could_not in sentence for sentence in failed)


@pytest.fixture(scope="module")
def serving_check(place, days, tmp_path_factory):
    """Calls the step as TFX does: on a model's folder with settings, gives the verdict and the blessing."""
    from tfx.types import standard_artifacts

    from pipeline.components.artifacts import Verdict
    from pipeline.components.serving_check import ServingCheck
    from pipeline.components.verdicts import read_verdicts

    def checked(model_folder, *settings):
        folder = tmp_path_factory.mktemp("check")
        model, examples, verdict = standard_artifacts.Model(), standard_artifacts.Examples(), Verdict()
        infra = standard_artifacts.InfraBlessing()
        (folder / "model").mkdir()
        (folder / "model" / "Format-Serving").symlink_to(model_folder)
        model.uri, verdict.uri, infra.uri = (str(folder / n) for n in ("model", "verdict", "infra"))
        examples.uri = str(days["next_day"].folder / "examples")
        recipe = load(place / "recipe.yaml", settings).model_dump_json()
        check = ServingCheck.EXECUTOR_SPEC.executor_class._FUNCTION  # what TFX calls in the pipeline
        check(examples=examples, model=model, recipe=recipe, code="", verdict=verdict, infra_blessing=infra)
        [found] = read_verdicts(verdict.uri)
        assert found.gate == "serving"
        return found, infra

    return checked


def pushes(infra):
    """Whether TFX's own Pusher would."""
    from tfx.components.pusher.executor import Executor

    return Executor().CheckBlessing({"infra_blessing": [infra]})


def test_a_model_that_cannot_be_loaded_fails_the_serving_check(serving_check, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    found, infra = serving_check(tmp_path)
    assert found.status == "failed"
    assert found.sentence.startswith("serving check: the model could not be loaded (")
    assert not pushes(infra)


def test_bounds_on_time_memory_and_size_stop_a_push(days, serving_check):
    model = days["first"].folder.parents[1] / "serving" / "1"
    names = ("max_latency_ms=0.001", "max_memory_mb=1", "max_size_mb=0.001")
    found, infra = serving_check(model, *(f"serving.check.{n}" for n in names))
    assert found.status == "failed" and not pushes(infra)
    for said in (
        "ms (20, median), and serving.check.max_latency_ms allows 0.001; ",
        "MiB of memory, and serving.check.max_memory_mb allows 1; ",
        "MiB, and serving.check.max_size_mb allows 0.001",
    ):
        assert said in found.sentence, found.sentence
    found, infra = serving_check(model, "serving.check.max_latency_ms=1e6", "serving.check.max_size_mb=1e3")
    assert found.status == "passed" and pushes(infra)


def test_predict_gives_what_the_run_served(days, tmp_path):
    from serving.predict import predict

    target = tmp_path / "scores.jsonl"
    rows = predict(
        days["first"].folder.parents[1] / "serving", days["first"].folder / "requests.jsonl", str(target)
    )
    scores = [json.loads(line) for line in target.read_text().splitlines()]
    assert len(scores) == rows > 100
    assert set(scores[0]) == OUTPUTS
    assert all(0 < s["click"] < 1 for s in scores)


@pytest.fixture(scope="module")
def pushed(days):
    """The first pushed version, as TensorFlow loads it."""
    import tensorflow as tf

    folder = days["first"].folder.parents[1] / "serving" / "1"
    return folder, tf.saved_model.load(str(folder))


def test_signatures_name_their_inputs_and_outputs(pushed):
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    folder, _ = pushed
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    default = signatures["serving_default"]
    assert set(default.outputs) == OUTPUTS == set(signatures["serve_examples"].outputs)
    assert (
        set(default.inputs)
        == set(default.defaults)
        == {
            "user_id",
            "segment",
            "country",
            "primary_device",
            "interests",
            "item_id",
            "category",
            "subcategory",
            "brand",
            "device",
            "surface",
            "hour",
            "position",
            "age",
            "price",
            "duration_s",
            "recent_items",
            "item_rate",
        }
    )
    assert set(signatures["transform_features"].outputs) == {"ids", "numbers"}
    rank = signatures["rank"]
    assert set(rank.outputs) == OUTPUTS and set(rank.inputs) == set(rank.defaults) == set(default.inputs)
    per_item = {name for name, tensor in rank.inputs.items() if tensor.tensor_shape.dim[0].size == -1}
    assert per_item == {
        "item_id",
        "category",
        "subcategory",
        "brand",
        "price",
        "duration_s",
        "position",
        "item_rate",
    }
    card = json.loads((folder / "assets.extra" / "model_card.json").read_text())
    assert len(card["recipe_sha256"]) == 64 and set(card["signatures"]) == set(signatures) - {
        "__saved_model_init_op"
    }
    for name, told in card["signatures"].items():
        for part in ("inputs", "outputs"):
            assert told[part] == {
                n: {
                    "dtype": tf.dtypes.as_dtype(t.dtype).name,
                    "shape": tf.TensorShape(t.tensor_shape).as_list(),
                }
                for n, t in getattr(signatures[name], part).items()
            }, name


def test_warm_up_requests_are_answered_and_rank_is_rows_of_serving_default(pushed):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    from serving import warmup
    from serving.server.servable import Servable

    folder, _ = pushed
    served = Servable(folder, 1)
    asked = []
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra" / warmup.FILE)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {n: tf.make_ndarray(t) for n, t in request.inputs.items()}
        answer = served.call(request.model_spec.signature_name, inputs, [], rows=1000, seconds=60)
        asked.append((request.model_spec.signature_name, len(next(iter(answer.values())))))
    signatures = ("serving_default", "serve_examples", "transform_features", "rank")
    assert sorted(asked) == sorted((name, size) for name in signatures for size in warmup.SIZES)

    user = {
        "user_id": np.array([b"u00003"], object),
        "interests": np.array([[b"sports", b"never seen"]], object),
        "hour": np.array([4]),
    }
    items = {
        "item_id": np.array([b"i%05d" % i for i in range(40)] + [b"", b"never seen"], object),
        "price": np.linspace(0, 90, 42, dtype=np.float32),
    }
    ranked = served.call("rank", user | items, [], rows=1000, seconds=60)
    rows = {n: np.repeat(x, 42, axis=0) for n, x in user.items()} | items
    alone = served.call("", rows, [], rows=1000, seconds=60)
    for name in alone:
        np.testing.assert_allclose(ranked[name], alone[name], rtol=1e-5, atol=1e-5, err_msg=name)
    # an item without an id and one whose id is unknown both count one more than one that is known
    least = ranked["absent"].min()
    assert ranked["absent"][-1] == ranked["absent"][-2] == least + 1
    assert least > len(served.signature("rank").inputs) - 5  # all that was not sent, and the unknown interest


def test_what_is_pushed_is_calibrated(days, pushed):
    import keras
    import tensorflow as tf
    from scipy.special import expit, logit

    from pipeline.examples import serialized_batches

    folder, served = pushed
    run = days["first"].folder
    model = keras.models.load_model(run / "model_run" / "model.keras")
    platt, isotonic = model.calibrators["like"], model.calibrators["click"]
    model.set_calibrators({})
    examples = tf.constant(next(iter(serialized_batches(run / "examples", "test")))[:500])
    packed = served.signatures["transform_features"](examples=examples)
    plain = {n: p.astype(float) for n, p in model.predict(packed, verbose=0).items()}
    answers = served.signatures["serve_examples"](examples=examples)
    like = expit(platt.slope * logit(plain["like"]) + platt.intercept)
    np.testing.assert_allclose(answers["like"], like, rtol=1e-4)
    z = logit(plain["click"])
    beyond = np.minimum(z - isotonic.logits[0], 0) + np.maximum(z - isotonic.logits[-1], 0)
    click = expit(np.interp(z, isotonic.logits, isotonic.calibrated) + beyond)
    np.testing.assert_allclose(answers["click"], click, rtol=1e-4)
    assert np.abs(click - plain["click"]).max() > 0.005
    np.testing.assert_allclose(answers["purchase"], plain["purchase"], rtol=1e-4)  # it has none
    # the score is of what is calibrated
    np.testing.assert_allclose(
        answers["score"], answers["click"] + 2 * answers["like"] + 5 * answers["purchase"], rtol=1e-5
    )
    card = json.loads((folder / "assets.extra" / "model_card.json").read_text())
    assert card["calibration"]["like"] == {"method": "platt", **platt.parameters}
    of = days["first"].metrics["training"]["calibration"]
    assert of["like"]["parameters"] == platt.parameters and of["click"]["validation"]["after"]["ece"] < 0.05


def test_raw_rows_and_examples_answer_alike_whatever_is_missing(pushed):
    import tensorflow as tf

    folder, model = pushed
    draw = np.random.default_rng(3)
    specs = model.signatures["serving_default"].structured_input_signature[1]
    kinds = {n: (s.dtype, s.shape.rank) for n, s in specs.items()}
    words = ["u00001", "i00007", "never seen", "caf\u00e9 \U0001f600", "mobile", "home"]
    examples, columns = [], {n: [] for n in kinds}
    for _ in range(300):
        feature = {}
        for name, (dtype, rank) in kinds.items():
            count = 0 if draw.random() < 0.3 else 1 if rank == 1 else int(draw.integers(0, 7))
            if dtype == tf.string:
                values = [words[i].encode() for i in draw.integers(0, len(words), count)]
                feature[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
            elif dtype == tf.int64:
                values = draw.integers(-5, 30, count).tolist()
                feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
            else:
                values = draw.normal(20, 30, count).astype(np.float32).tolist()
                feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
            missing = {tf.string: b"", tf.int64: tf.int64.min, tf.float32: np.nan}[dtype]
            columns[name].append((values + [missing] * 7)[: 7 if rank == 2 else 1])
        examples.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    raw = {
        n: tf.constant(columns[n] if rank == 2 else [v[0] for v in columns[n]], dtype)
        for n, (dtype, rank) in kinds.items()
    }
    one = model.signatures["serving_default"](**raw)
    other = model.signatures["serve_examples"](examples=tf.constant(examples))
    served = asyncio.run(answers_of_a_server(folder, {n: x.numpy() for n, x in raw.items()}))
    for name in one:
        assert np.isfinite(one[name].numpy()).all()
        for answer in (other, *served):
            np.testing.assert_allclose(one[name], answer[name], atol=1e-5, rtol=1e-5)


async def answers_of_a_server(folder: Path, inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Over REST and gRPC."""
    from serving.client import AsyncClient
    from serving.server.limits import Limits
    from serving.server.manager import Manager
    from serving.server.server import Server

    version = int(folder.name)
    server = Server(Manager(folder.parent, "demo", {"first": version}, False), Limits(), "127.0.0.1", 0, 0)
    await server.start()
    try:
        answers = []
        for address in (f"http://127.0.0.1:{server.rest_port}", f"127.0.0.1:{server.grpc_port}"):
            async with AsyncClient(address, model="demo", version=version) as client:
                answers.append(await client.predict(inputs, timeout=60))
        return answers
    finally:
        await server.stop()


def test_one_user_and_many_items_in_one_request(pushed):
    import tensorflow as tf

    _, model = pushed
    signature = model.signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    missing = {tf.string: "", tf.int64: tf.int64.min, tf.float32: np.nan}
    one = {n: tf.fill([1] * s.shape.rank, tf.constant(missing[s.dtype], s.dtype)) for n, s in specs.items()}
    one |= {"user_id": tf.constant(["u00003"]), "interests": tf.constant([["sports", "books"]])}
    items = tf.constant(["i00001", "i00002", "i00003"])
    shared = signature(**(one | {"item_id": items}))
    alone = [signature(**(one | {"item_id": items[i : i + 1]})) for i in range(3)]
    for name in shared:
        np.testing.assert_allclose(shared[name], [a[name].numpy()[0] for a in alone], atol=1e-6)
    assert signature(**one)["click"].shape == (1,)  # everything left out


def test_weights_found_for_the_score_are_those_of_a_model_exported_with_them(days, tmp_path):
    import keras
    import tensorflow as tf
    import tensorflow_transform as tft
    import yaml
    from click.testing import CliRunner

    from pipeline.cli import mtl
    from pipeline.examples import serialized_batches
    from serving.export import export

    run = days["first"].folder
    wanted = tmp_path / "wanted.yaml"
    wanted.write_text(
        "fuse: {maximize: {click: 1, purchase: 2}, unknown_as_zero: [purchase], candidates: 60}\n"
        "serving: {score: {depth: 1, seconds: 0.01}}\n"
    )
    assert CliRunner().invoke(mtl, ["fuse", str(run), "--set", f"@{wanted}"]).exit_code == 0
    scores = pq.read_table(run / "fuse/validation.parquet")
    assert len(scores) == days["first"].metrics["rows"]["validation"]
    # as a run with the patch exports it
    patched = load(run / "recipe.yaml", [f"@{wanted}", f"@{run / 'fuse/patch.yaml'}"])
    found = yaml.safe_load((run / "fuse/patch.yaml").read_text())["serving"]["score"]
    assert list(found) == ["click", "like", "purchase", "depth", "seconds"] and found == patched.score_weights
    layer = tft.TFTransformOutput(str(run / "transform_graph")).transform_features_layer()
    export(keras.models.load_model(run / "model_run/model.keras"), layer, patched, tmp_path / "model")
    model = tf.saved_model.load(str(tmp_path / "model"))
    served = [
        model.signatures["serve_examples"](examples=batch)["score"].numpy()
        for batch in serialized_batches(run / "examples", "validation")
    ]
    score = sum(w * numbers(scores[f"{task}/prediction"]) for task, w in found.items())
    np.testing.assert_allclose(np.concatenate(served), score, rtol=2e-6)


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Of classes' probabilities the expected class."""
    values = np.array(column.to_pylist())
    return values if values.ndim == 1 else values @ np.arange(values.shape[1])


def test_the_best_trial_of_a_search_is_what_is_trained_and_told(place, days, go):
    rates = "training.optimizer.dense.learning_rate", "training.optimizer.embedding.learning_rate"
    settings = [f"{rate}=1.0e-9" for rate in rates]  # the recipe as it is learns nothing
    space = (
        "{%s: {min: 0.001, max: 0.003, log: true}, %s: [0.1, 0.05], model.tower_units: [[16], [8, 8]]}"
        % rates
    )
    settings += [f"tune={{trials: 2, space: {space}}}", "gates.0.lower=0.999"]  # refused, whatever it finds
    found = go(place / "recipe.yaml", place / "data", place / "output", *settings)
    assert found.code == 3 and found.ran >= {"Tuner", "Trainer"}
    tuning, training = found.metrics["tuning"], found.metrics["training"]
    gains = [trial["gain"] for trial in tuning["trials"]]
    assert len(gains) == 2 and gains == sorted(gains, reverse=True)
    best, worst = tuning["trials"][0], tuning["trials"][-1]
    assert (worst["trial"], worst["values"][rates[0]]) == (0, 1e-9)
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


def test_a_rolled_back_model_is_not_pushed_again(place, days, go):
    """Last of the days: the pointer goes back one version, and the same data comes again."""
    serving = place / "output" / "demo" / "serving"
    newest = versions.current(serving)
    older = next(v for v in reversed(versions.versions(serving)) if v < int(newest.name))
    versions.point(serving, older)
    try:
        found = go(place / "recipe.yaml", place / "data", place / "output")
    finally:
        versions.point(serving, int(newest.name))
    assert (found.code, found.metrics["status"]) == (3, "refused")
    assert f"is version {newest.name}, which was rolled back from" in found.metrics["reason"]
    assert found.ran == {"Push"}  # this model was compared with that version before


def rewritten(place: Path, tmp_path: Path, change) -> Path:
    """The day's data with one Parquet file of the log changed."""
    data = tmp_path / "data"
    shutil.copytree(place / "data", data)
    path = sorted(data.glob("impressions/*/*.parquet"))[3]
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    return data


def test_a_missing_column(place, days, go, tmp_path):
    data = rewritten(
        place,
        tmp_path,
        lambda t: t.rename_columns(
            ["device" if n == "surface" else "surfaze" if n == "device" else n for n in t.column_names]
        ),
    )
    found = go(place / "recipe.yaml", data, tmp_path / "out")
    assert (found.code, found.metrics["status"], found.metrics["failure"]["step"]) == (4, "failed", "Ingest")
    assert (
        "surface" in found.metrics["failure"]["message"] and "surfaze" in found.metrics["failure"]["message"]
    )
    assert "Push" in found.metrics["not_reached"]


def test_a_column_of_another_type(place, days, go, tmp_path):
    def change(table):
        texts = pa.array([f"no {i}" for i in range(table.num_rows)])
        return table.set_column(table.column_names.index("position"), "position", texts)

    found = go(place / "recipe.yaml", rewritten(place, tmp_path, change), tmp_path / "out")
    assert found.code == 4
    assert "position" in found.metrics["failure"]["message"] and "int" in found.metrics["failure"]["message"]


def test_no_rows(place, days, go, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(place / "data", data)
    for path in data.glob("impressions/*/*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    found = go(place / "recipe.yaml", data, tmp_path / "out")
    assert found.code == 4 and "no rows" in found.metrics["failure"]["message"]


def test_a_task_without_any_label(place, days, go, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(place / "data", data)
    for path in data.glob("impressions/*/*.parquet"):
        table = pq.read_table(path)
        nothing = pa.nulls(table.num_rows, table["like"].type)
        pq.write_table(table.set_column(table.column_names.index("like"), "like", nothing), path)
    found = go(place / "recipe.yaml", data, tmp_path / "out")
    assert (
        found.code == 4 and "tasks.like: no row of train has a label" in found.metrics["failure"]["message"]
    )


def test_a_task_whose_windows_are_all_open(place, days, go, tmp_path):
    setting = "sources.events.orders.complete_until=2024-03-05"
    found = go(place / "recipe.yaml", place / "data", tmp_path / "out", setting)
    message = found.metrics["failure"]["message"]
    assert found.code == 4 and "tasks.purchase: no row of train" in message and "complete_until" in message


def test_a_recipe_for_other_data(place, days, go, tmp_path, root):
    data = tmp_path / "data"
    data.mkdir()
    (data / "census-income.data.bz2").write_bytes(b"")
    found = go(place / "recipe.yaml", data, tmp_path / "out")
    assert found.code == 4 and "impressions/*/*.parquet" in found.metrics["failure"]["message"]


def test_values_that_break_the_schema(place, days, go, tmp_path):
    def change(table):
        return table.set_column(
            table.column_names.index("position"), "position", pa.array(table["position"].to_numpy() * 100)
        )

    found = go(place / "recipe.yaml", rewritten(place, tmp_path, change), tmp_path / "out")
    assert (found.code, found.metrics["failure"]["step"]) == (4, "DataGate")
    assert "position" in found.metrics["failure"]["message"]
    assert "Trainer" in found.metrics["not_reached"]


def test_a_wrong_recipe_starts_nothing(place, go, tmp_path):
    with pytest.raises(RecipeError, match="training.epochz"):
        go(place / "recipe.yaml", place / "data", tmp_path / "out", "training.epochz=1")
    assert not (tmp_path / "out").exists()


def test_what_gc_leaves_is_what_the_next_run_takes_from_the_cache(place, days, go):
    go(place / "recipe.yaml", place / "data", place / "output", "gates.0.lower=0.5")
    found = CliRunner().invoke(mtl, ["runs", "gc", str(place / "output"), "--keep", "1"])
    assert found.exit_code == 0 and "Trainer" in found.output
    again = go(place / "recipe.yaml", place / "data", place / "output", "gates.0.lower=0.49")
    assert again.code == 0 and again.ran <= {"Gate", "Push"}
    kept = [path.name for path in (place / "output/demo/runs").iterdir()]
    assert versions.record(versions.current(place / "output/demo/serving"))["run"] in kept
    shown = CliRunner().invoke(mtl, ["runs", "show", str(place / "output/demo/latest")]).output
    assert f"{place / 'output/demo/artifacts/Trainer/model'}" in shown and "deleted" not in shown

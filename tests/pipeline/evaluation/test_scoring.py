"""What models do wrong while they are scored, told in words: real SavedModels on real examples."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.evaluate import CannotEvaluate, evaluate
from pipeline.evaluation.evaluate import evaluate_scores
from pipeline.evaluation.evaluate_model import Elsewhere, evaluate_model
from pipeline.evaluation.files import METRICS
from pipeline.evaluation.gates import Gate, judge, judge_all
from pipeline.evaluation.records import ScoreFiles
from pipeline.evaluation.scoring import write_scores
from pipeline.evaluation.table import MetricsTable, NoBaseline
from pipeline.recipe import loads
from serving.inputs import parse_examples

RECIPE = """
version: 1
name: shop
sources:
  log:
    files: logs/*.parquet
    columns:
      user: int
      query: int
      price: float
      clicked: {type: int, known: after}
roles: {user: user, request: query}
features:
  user: {kind: categorical}
  price: {kind: numeric}
tasks:
  click: {kind: binary, label: clicked}
  like: {kind: binary, label: clicked}
splits: {by: hash, of: user, validation: 0.2, test: 0.2}
model:
  architecture: {name: single_task}
weighting: {name: equal}
gates: none
evaluation: {replicates: 20, slices: [user]}
"""
ROWS = 60
COMPARING = (
    Gate("click", "auc", lower=0.5, max_drop=0.5),
    Gate("click", "auc", better=True),
    Gate("click", "rank_correlation", lower=0.1),
)


class Shop(tf.Module):
    """Scores a row by its price; `weights` is a variable, so that there is a file that can be cut off."""

    def __init__(self, recipe, tasks=("click", "like"), fails=False, answer=None, form=None):
        super().__init__()
        self.weights = tf.Variable(tf.random.stateless_uniform([4000], [1, 2]))
        specs = {
            name: tf.TensorSpec([None], {"int": tf.int64, "float": tf.float32}[c.type], name=name)
            for name, c in recipe.input_columns.items()
        }

        def scores(price):
            if fails:
                tf.debugging.assert_less(price, 0.5, message="a price that I do not know")
            p = (
                tf.sigmoid(price + 0.0 * self.weights[0])
                if answer is None
                else tf.fill(tf.shape(price), answer)
            )
            return dict.fromkeys(tasks, form(p) if form else p)

        self.default = tf.function(lambda columns: scores(tf.cast(columns["price"], tf.float32)), [specs])
        self.examples = tf.function(
            lambda examples: scores(tf.cast(parse_examples(examples, recipe)["price"], tf.float32)),
            [tf.TensorSpec([None], tf.string, name="examples")],
        )


def save(folder, recipe, card=None, **settings):
    model = Shop(recipe, **settings)
    signatures = {"serving_default": model.default, "serve_examples": model.examples}
    tf.saved_model.save(model, str(folder), signatures)
    if card is not None:
        (folder / "assets.extra").mkdir()
        (folder / "assets.extra/model_card.json").write_text(json.dumps({"tasks": card}))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Examples, and a model of the recipe."""
    folder = tmp_path_factory.mktemp("scoring")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        (folder / "examples" / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "examples" / f"Split-{split}" / "0.gz"), "GZIP") as writer:
            for i in range(ROWS):
                price = rng.random()
                floats = {"price": price, "click/label": float(rng.random() < price), "click/mask": 1.0}
                floats |= {"like/label": 0.0, "like/mask": 1.0, "click/weight": 1.0, "like/weight": 1.0}
                feature = {
                    n: tf.train.Feature(float_list=tf.train.FloatList(value=[v])) for n, v in floats.items()
                }
                for name, value in (("user", i % 2), ("query", i // 6)):
                    feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
    save(folder / "model", loads(RECIPE))
    return folder


@pytest.fixture
def evaluated(place, tmp_path):
    """Scores and evaluates a candidate beside a serving model; the table as the gate reads it."""

    def _evaluated(baseline, candidate=None) -> MetricsTable:
        recipe = loads(RECIPE)
        model, theirs = str(candidate or place / "model"), str(baseline) if baseline else None
        write_scores(recipe, str(place / "examples"), model, theirs, tmp_path / "scores.parquet")
        evaluate_scores(
            tmp_path / "scores.parquet",
            [(n, t.kind) for n, t in recipe.tasks.items()],
            recipe.slices,
            tmp_path / "tfma",
            roles=list(recipe.roles.named()),
            max_slice_values=9,
            replicates=20,
            k=3,
            quantile=0.5,
        ).table.write(tmp_path / "metrics.parquet")
        return MetricsTable.read(tmp_path / "metrics.parquet")

    return _evaluated


def test_a_task_that_is_judged_elsewhere_is_measured_there(place, tmp_path):
    shutil.copytree(place / "examples", tmp_path / "examples")
    shutil.copytree(place / "examples/Split-train", tmp_path / "examples/Split-closed-3")
    examples, model = str(tmp_path / "examples"), str(place / "model")
    away = Elsewhere("closed-3", "2024-03-01", ["click"], {"click": "it has seen these rows"})
    settings = (tmp_path / "out", (), PipelineOptions([]), "2024-03-05", [away])
    evaluate_model(loads(RECIPE), examples, model, model, *settings)
    table = MetricsTable.read(tmp_path / "out" / METRICS)
    assert table.tasks == ["click", "like"]
    labels = {}
    for split in ("closed-3", "test"):
        records = tf.data.TFRecordDataset(f"{examples}/Split-{split}/0.gz", "GZIP")
        features = [tf.train.Example.FromString(r.numpy()).features.feature for r in records]
        labels[split] = np.mean([of["click/label"].float_list.value[0] for of in features])
    assert table.get("click", "mean_label").value == pytest.approx(labels["closed-3"]) != labels["test"]
    [verdict] = judge(Gate("click", "auc", max_drop=0.1), table)
    assert (verdict.status, verdict.sentence) == (
        "skipped",
        "click: auc is not compared: it has seen these rows (slice overall, 60 examples of 2024-03-01)",
    )
    [verdict] = judge(Gate("like", "logloss", max_drop=0.1), table)
    assert verdict.status == "passed" and "60 examples of 2024-03-05)" in verdict.sentence


def test_what_the_command_cannot_evaluate_it_names(place, tmp_path):
    (tmp_path / "shop.yaml").write_text(RECIPE)
    examples = tmp_path / "examples"
    shutil.copytree(place / "examples", examples)
    shard = examples / "Split-test" / "0.gz"
    whole = shard.read_bytes()
    with tf.io.TFRecordWriter(str(tmp_path / "other.gz"), "GZIP") as writer:
        writer.write(b"\xff\xff no example")
    for content, wrong in (
        (whole[:300], "0.gz is truncated or corrupted"),
        (b"", "has no rows in Split-test"),
        ((tmp_path / "other.gz").read_bytes(), "holds what is no tf.Example"),
    ):
        shard.write_bytes(content)
        with pytest.raises(CannotEvaluate, match=f"--input: .*{wrong}"):
            evaluate(tmp_path / "shop.yaml", place / "model", examples, tmp_path / "out")
        assert not list(tmp_path.glob("out/shop/evaluations/*")), "nothing that looks like an evaluation"


def said(table, gates=COMPARING):
    return [(v.status, v.sentence) for v in judge_all(gates, table)]


def whole(word):
    """What the comparing gates say where there is no comparison: the bound passes, the others do not."""
    return ["passed", word, word, word]


def test_the_same_model_is_as_good_and_keeps_every_order(place, evaluated):
    table = evaluated(place / "model")
    bound, drop, better, order = said(table)
    assert (bound[0], drop[0], better[0], order[0]) == ("passed", "passed", "failed", "passed")
    assert "is as good as the serving model's" in drop[1] and "not significantly better" in better[1]
    assert "rank_correlation 1.000 is above the lower bound 0.100 by 0.900 (slice overall, 60" in order[1]
    assert table.get("click", "top_k_overlap").value == 1.0
    # labels of one class
    [undefined] = judge(Gate("like", "auc", max_drop=0.1), table)
    assert undefined.status == "failed"
    assert (
        "auc is undefined, so its gate cannot pass: it needs examples of both classes" in undefined.sentence
    )
    # a slice too small
    [few] = judge(Gate("click", "auc", slice="user=1", max_drop=0.1, min_examples=31), table)
    assert (few.status, few.sentence) == (
        "skipped",
        "click: auc is not judged: fewer than the 31 examples asked for (slice user=1, 30 examples)",
    )


def test_the_first_run(evaluated):
    table = evaluated(None)
    assert [s for s, _ in said(table)] == whole("skipped")
    assert all("is not compared: there is no serving model yet (slice " in s for _, s in said(table)[1:])


@pytest.fixture
def why(place, tmp_path):
    """Why click is not compared with a serving model, as the scores' file says it."""

    def _why(baseline) -> NoBaseline:
        scores = tmp_path / "scores.parquet"
        model = str(place / "model")
        found = write_scores(loads(RECIPE), str(place / "examples"), model, str(baseline), scores)
        assert found == ScoreFiles(scores).faults and found.candidate is None
        return found.no_baseline["click"]

    return _why


def test_a_renamed_task_and_one_of_another_kind_have_nothing_to_compare_with(why, tmp_path):
    renamed = save(tmp_path / "renamed", loads(RECIPE), tasks=("click_v1", "like"))
    assert why(renamed) == NoBaseline("the serving model has no task click; it has click_v1, like")
    other = save(tmp_path / "other", loads(RECIPE), card={"click": "regression"})
    assert why(other) == NoBaseline("the serving model's click is regression, and here it is binary")


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("variables/variables.data-00000-of-00001", lambda path: path.write_bytes(path.read_bytes()[:100])),
        ("saved_model.pb", lambda path: path.write_bytes(b"no model")),
        ("variables/variables.index", lambda path: path.unlink()),
        ("saved_model.pb", lambda path: path.unlink()),
    ],
)
def test_files_that_are_cut_off_or_gone(place, why, tmp_path, name, harm):
    model = shutil.copytree(place / "model", tmp_path / "model")
    harm(model / name)
    said = why(model)
    assert said.fault and said.reason.startswith("the serving model could not be loaded (")
    assert len(said.reason) < 250 and "\n" not in said.reason


def test_inputs_that_the_examples_do_not_have_or_have_otherwise(why, tmp_path):
    more = RECIPE.replace("price: float", "price: float\n      brand: int").replace(
        "features:", "features:\n  brand: {kind: categorical}"
    )
    said = why(save(tmp_path / "more", loads(more)))
    assert said == NoBaseline("the serving model reads brand, which the examples do not have", fault=True)
    said = why(save(tmp_path / "other", loads(RECIPE.replace("price: float", "price: int"))))
    assert said.fault and said.reason.endswith("reads price as int64, which the examples have as float32")


def test_a_serving_model_without_our_signatures(why, tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    said = why(tmp_path / "bare")
    assert said.fault and "ValueError: it has no signature serve_examples or serving_default" in said.reason


def test_a_serving_model_that_fails_is_a_fault_of_every_comparison(evaluated, tmp_path):
    found = said(evaluated(save(tmp_path / "fails", loads(RECIPE), fails=True)))
    assert [s for s, _ in found] == whole("failed")
    could_not = "could not be compared, so its gate cannot pass: the serving model failed on test rows ("
    assert all(could_not in s for _, s in found[1:])


def test_a_serving_model_that_answers_no_numbers(evaluated, tmp_path):
    found = said(evaluated(save(tmp_path / "nan", loads(RECIPE), answer=np.nan)))
    assert [s for s, _ in found] == whole("failed")
    assert all("60 of 60 predictions of the serving model are not finite" in s for _, s in found[1:])


def test_a_candidate_that_cannot_be_asked_fails_every_gate(place, evaluated, tmp_path):
    harmed = shutil.copytree(place / "model", tmp_path / "harmed")
    (harmed / "saved_model.pb").write_bytes(b"no model")
    fails = save(tmp_path / "fails", loads(RECIPE), fails=True)
    for candidate, why in ((harmed, "could not be loaded"), (fails, "failed on test rows")):
        found = said(evaluated(place / "model", candidate))
        assert {s for s, _ in found} == {"failed"}
        assert all(f"is undefined, so its gate cannot pass: the model {why} (" in s for _, s in found)
    assert np.isnan(pq.read_table(tmp_path / "scores.parquet")["click/prediction"]).all()


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (tf.reduce_mean, "of 60 rows its output click has shape []"),
        (lambda p: p[:1], "of 60 rows its output click has shape [1]"),
        (tf.strings.as_string, "its output click is text"),
    ],
)
def test_answers_that_are_no_prediction_a_row(place, evaluated, tmp_path, form, why):
    odd = save(tmp_path / "odd", loads(RECIPE), form=form)
    of_candidate, of_serving = said(evaluated(place / "model", odd)), said(evaluated(odd))
    assert {s for s, _ in of_candidate} == {"failed"} and [s for s, _ in of_serving] == whole("failed")
    for _, sentence in (*of_candidate, *of_serving[1:]):
        assert f"gave what is no prediction a row: {why}" in sentence


@pytest.mark.parametrize("form", [lambda p: p[:, None], lambda p: tf.cast(p, tf.bfloat16)])
def test_numbers_in_another_form(place, evaluated, tmp_path, form):
    table = evaluated(place / "model", save(tmp_path / "other", loads(RECIPE), form=form))
    row = table.get("click", "auc")
    assert row.value == pytest.approx(row.baseline, abs=0.02) and row.diff_low is not None

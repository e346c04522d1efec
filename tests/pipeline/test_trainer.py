"""Training and export with negatives left out: calibrated on the full log, by weight and by logit."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from pipeline.ingest.downsampling import Downsampler
from pipeline.recipe import loads

KEEP = 0.1
ROWS = 800_000
SHOP = """
version: 1
name: shop
sources:
  log:
    files: log.csv
    columns:
      x: float
      clicked: {type: int, known: after}
      liked: {type: int, known: after}
      seconds: {type: float, known: after}
roles: {}
features:
  x: {kind: numeric}
tasks:
  click: {kind: binary, label: clicked}
  like: {kind: binary, label: liked}
  watch: {kind: regression, label: seconds}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing, units: [16]}, tower_units: []}
weighting: {name: equal}
training:
  batch_size: 256
  epochs: 1
  optimizer: {dense: {name: adam, learning_rate: 0.01}}
  schedule: {name: cosine}
gates: none
"""


def world(rows, seed):
    """x, and of three tasks that depend on it: what is expected, and what was seen. Clicks are rare; likes
    and seconds are far from alike for clicks and others. Of the negatives that are kept enough are liked: of
    few that stand for ten each, chance alone moves the share."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    click = 1 / (1 + np.exp(3.5 - x))
    clicked = rng.random(rows) < click
    like = 0.2 + 0.7 * click
    liked = rng.random(rows) < np.where(clicked, 0.9, 0.2)
    seconds = 2 + x + 30 * clicked + rng.normal(size=rows)
    truth = {"click": click, "like": like, "watch": 2 + x + 30 * click}
    return x, truth, {"click": clicked * 1.0, "like": liked * 1.0, "watch": seconds}


def recipe_with(correction):
    downsampling = correction and {"task": "click", "keep": KEEP, "correction": correction}
    return loads(yaml.safe_dump(yaml.safe_load(SHOP) | {"downsampling": downsampling}))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The layout and the analysed transform of x, whose scaling training and export share."""
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from pipeline.preprocessing import preprocessing_fn
    from pipeline.vocabulary import read_layout, write_vocabularies

    folder = tmp_path_factory.mktemp("shop")
    recipe = recipe_with(None)
    write_vocabularies(recipe, folder, folder / "vocabularies")
    parts = [f"{task}/{part}" for task in recipe.tasks for part in ("label", "mask", "weight")]
    spec = {name: tf.io.VarLenFeature(tf.float32) for name in ["x", *parts]}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [{"x": [value]} | {name: [0.0] for name in parts} for value in (-1.0, 1.0)]  # mean 0, deviation 1
    config = {"recipe": recipe.model_dump_json(), "vocabularies": str(folder / "vocabularies")}
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        function = (rows, metadata) | tft_beam.AnalyzeDataset(lambda x: preprocessing_fn(x, config))
        function | tft_beam.WriteTransformFn(str(folder / "graph"))
    return read_layout(folder / "vocabularies"), tft.TFTransformOutput(str(folder / "graph"))


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """Correction → the model fitted on downsampled rows, and its history."""
    from pipeline.trainer import fit

    layout, _ = prepared
    x, _, labels = world(ROWS, seed=1)
    columns = {}
    for task, values in labels.items():
        columns[f"{task}/label"] = pa.array(values.astype(np.float32))
        columns[f"{task}/mask"] = columns[f"{task}/weight"] = pa.array(np.ones(ROWS, np.float32))
    ids = np.random.default_rng(2).integers(0, 2**63 - 1, ROWS)
    held = world(20_000, seed=3)
    ones = {task: np.ones(20_000, np.float32) for task in labels}
    validation = ({"numbers": held[0][:, None].astype(np.float32)}, held[2], ones, ones)

    found = {}
    for correction in ("weight", "logit"):
        recipe, rows = recipe_with(correction), dict(columns)
        kept = Downsampler(recipe.downsampling, recipe.tasks)(rows, np.zeros(ROWS, np.int8), ids)
        parts = [
            {task: rows[f"{task}/{part}"].to_numpy()[kept] for task in labels}
            for part in ("label", "weight", "mask")
        ]
        inputs = {"numbers": x[kept, None].astype(np.float32)}
        found[correction] = fit(recipe, layout, (inputs, *parts), validation, tmp_path_factory.mktemp("logs"))
    return found


def ratios(model):
    """Task → the mean prediction over the mean of the truth, on all rows and on either half of x."""
    x, truth, _ = world(50_000, seed=4)
    predicted = model.predict({"numbers": x[:, None].astype(np.float32)}, batch_size=8192, verbose=0)
    halves = (np.ones(len(x), bool), x < 0, x >= 0)
    return {
        task: np.array([predicted[task][h].mean() / truth[task][h].mean() for h in halves]) for task in truth
    }


def test_outputs_start_from_weighted_constants():
    from mtl_models import Layout
    from pipeline.recipe import Recipe
    from pipeline.trainer import build

    # as the Trainer gets it
    recipe = recipe_with("logit").part("features", "derived", "tasks", "model", "weighting", "training")
    recipe = Recipe.model_validate_json(recipe.model_dump_json())
    recipe.tasks["watch"] = recipe.tasks["watch"].model_copy(update={"loss": "mae"})
    heavy = np.array([1, 10, 1, 10], np.float32)  # of a click and of negatives in turn
    labels = {"click": [1, 0, 1, 0], "like": [1, 1, 1, 0], "watch": [1, 2, 3, 100]}
    weights = {"click": np.ones(4, np.float32), "like": heavy, "watch": np.array([1, 10, 1, 1], np.float32)}
    model = build(recipe, Layout((), ("x",), ()), {n: np.array(v) for n, v in labels.items()}, weights)
    click, like, watch = model.tasks
    assert (click.offset, click.negatives_kept) == (0.5, KEEP)  # as sampled, corrected in predictions
    assert (like.offset, like.negatives_kept) == (pytest.approx(12 / 22), None)
    assert watch.offset == 2  # the median by weight; that of the rows is 2.5


@pytest.mark.parametrize("correction", ["weight", "logit"])
def test_calibrated_on_the_full_log(trained, correction):
    model, history = trained[correction]
    for task, found in ratios(model).items():
        # over seeds of rows and training the standard deviation is 0.022 or less, and 0.066 on a half; without
        # the correction the ratios are 6 for clicks, 1.7 for likes and 3 for seconds
        assert abs(found[0] - 1) < 0.15, (task, found)
        np.testing.assert_allclose(found, 1, atol=0.35, err_msg=task)
    # also what is measured on validation, which holds every row
    best = history["epochs"][history["best_epoch"] - 1]
    x, truth, labels = world(20_000, seed=3)
    best_possible = -np.mean(
        labels["click"] * np.log(truth["click"]) + (1 - labels["click"]) * np.log1p(-truth["click"])
    )
    assert best["validation"]["click"]["logloss"] == pytest.approx(best_possible, rel=0.03)


def as_sampled(model):
    """The same model, without the correction of its predictions."""
    config = model.get_config()
    for task in config["tasks"]:
        task["negatives_kept"] = None
    found = type(model).from_config(config)
    found.set_weights(model.get_weights())
    return found


def test_far_off_without_the_correction(trained):
    assert ratios(as_sampled(trained["logit"][0]))["click"][0] > 4


def test_every_exported_form_is_corrected(prepared, trained, tmp_path):
    import keras
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    from serving.export import CARD, export
    from serving.server.servable import Servable

    model, recipe = trained["logit"][0], recipe_with("logit")
    export(model, prepared[1].transform_features_layer(), recipe, tmp_path / "served")

    x = np.r_[np.linspace(-4, 4, 41), -1e4, 1e4, np.nan].astype(np.float32)
    feature = [tf.train.Feature(float_list=tf.train.FloatList(value=[] if np.isnan(v) else [v])) for v in x]
    rows = tf.constant(
        [tf.train.Example(features=tf.train.Features(feature={"x": f})).SerializeToString() for f in feature]
    )
    signatures = tf.saved_model.load(str(tmp_path / "served")).signatures
    packed = signatures["transform_features"](examples=rows)
    plain = {n: v.numpy().astype(float) for n, v in as_sampled(model)(packed).items()}
    want = plain | {"click": plain["click"] / (plain["click"] + (1 - plain["click"]) / KEEP)}
    want["score"] = want["click"] + want["like"] + want["watch"]
    want["absent"] = np.isnan(x).astype(np.int32)
    for served in (
        signatures["serving_default"](x=tf.constant(x)),
        signatures["serve_examples"](examples=rows),
    ):
        assert set(served) == set(want)
        for name, values in want.items():
            np.testing.assert_allclose(served[name].numpy(), values, rtol=1e-5, atol=1e-12, err_msg=name)
    # and as TensorFlow Serving restores it: by the graph's own restore operation, into a session
    served = Servable(tmp_path / "served", 1).call("", {"x": x}, [], rows=len(x), seconds=60)
    for name, values in want.items():
        np.testing.assert_allclose(served[name], values, rtol=1e-5, atol=1e-12, err_msg=name)
    # what the signatures have in common is saved once
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "served/saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    used = Counter(node.op for function in functions for node in function.node_def)
    alone = tf.function(model).get_concrete_function(dict(packed)).graph.get_operations()
    products = sum(op.type == "MatMul" for op in alone)
    assert products and (used["ParseExampleV2"], used["MatMul"]) == (1, products)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(packed)["click"], want["click"], rtol=1e-5, atol=1e-12)
    card = json.loads(Path(tmp_path, "served", "assets.extra", CARD).read_text())
    assert card["downsampling"] == {"task": "click", "keep": KEEP, "correction": "logit"}


def test_without_a_gpu_training_is_in_float32():
    import tensorflow as tf

    from pipeline.trainer import precision

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    recipe = loads(SHOP.replace("batch_size: 256", "batch_size: 256\n  precision: mixed_float16"))
    assert recipe.training.precision == "mixed_float16" and precision(recipe) == "float32"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_what_is_served_after_mixed_precision_computes_in_float32(policy, tmp_path):
    import keras

    from mtl_models import HardSharing, Layout, MultiTaskModel, Task
    from pipeline.trainer import _in_float32

    x = {"numbers": np.linspace(-1, 1, 8, dtype=np.float32)[:, None]}
    y = {"click": np.tile([0.0, 1.0], 4)}
    rough = MultiTaskModel(
        Layout((), ("x",), ()), [Task("click", "binary")], HardSharing(units=(8,)), dtype=policy
    )
    rough.compile("adam", clip_norm=1.0)
    rough.fit(x, y, batch_size=8, epochs=2, verbose=0)
    exact = _in_float32(rough)
    assert exact.compute_dtype == exact.towers.compute_dtype == "float32"
    assert exact.architecture.bottom.compute_dtype == "float32"
    found, near = exact(x)["click"].numpy(), rough(x)["click"].numpy()
    np.testing.assert_allclose(found, near, atol=0.01)
    assert (found != near).any()
    exact.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x)["click"].numpy(), found)

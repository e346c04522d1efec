"""What the first run pushed, as TensorFlow serves it: its signatures, and all ways of asking answer alike."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.recipe import load

OUTPUTS = {"click", "like", "watch_time", "purchase", "reaction", "depth", "seconds", "score", "absent"}


@pytest.fixture(scope="module")
def pushed(days):
    """The first pushed version, as TensorFlow loads it."""
    import tensorflow as tf

    folder = days["first"].folder.parents[1] / "serving" / "1"
    return folder, tf.saved_model.load(str(folder))


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
            "interests",
            "item_id",
            "category",
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
        np.testing.assert_allclose(shared[name], [a[name].numpy()[0] for a in alone], rtol=1e-5, atol=1e-5)
    assert signature(**one)["click"].shape == (1,)  # everything left out


def test_weights_found_for_the_score_are_those_of_a_model_exported_with_them(days, tmp_path):
    import keras
    import tensorflow as tf
    import tensorflow_transform as tft

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

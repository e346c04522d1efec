"""Pictures, titles and a catalog through the whole pipeline: held by the model, asked of it by key; a vector
that comes with the request; and every way of asking the pushed model answers alike."""

import base64
import csv
import json
import shutil
import urllib.request

import grpc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from pipeline import Run
from pipeline.demo import generate
from pipeline.recipe import load
from pipeline.vectors import keys_file, read_matrices
from serving.client import Client
from tests.e2e import alike

BARE, DAMAGED, GONE = "i00001", "i00002", "nowhere"  # without content, with a damaged picture, no item at all


@pytest.fixture(scope="module")
def place(tmp_path_factory, root):
    """A world with content, and the content recipe with few features: what differs between items is their
    vectors alone."""
    folder = tmp_path_factory.mktemp("content")
    generate(folder / "data", 6_000, 3, content_effect=2.0, new_items=0.2)
    items = pd.read_csv(folder / "data/items.csv", dtype=str, keep_default_na=False)
    items.loc[items["item_id"] == BARE, ["picture", "title"]] = ""
    items.to_csv(folder / "data/items.csv", index=False, quoting=csv.QUOTE_MINIMAL)
    (folder / "data/pictures" / f"{DAMAGED}.png").write_bytes(b"\x89PNG, once")
    own = [[float(i), 1.0, -1.0] if i % 3 else None for i in range(len(items))]
    table = {"item_id": items["item_id"].tolist(), "own": pa.array(own, pa.list_(pa.float32()))}
    pq.write_table(pa.table(table), folder / "data/own.parquet")
    recipe = yaml.safe_load((root / "data/demo_content/recipe.yaml").read_text())
    recipe["sources"]["catalogs"]["own"] = {
        "files": "own.parquet",
        "key": "item_id",
        "columns": {"item_id": "string", "own": "vector"},
    }
    recipe["sources"]["catalogs"]["users"]["serving"] = "in_model"
    recipe["history"] = {
        "recent": {"kind": "last", "by": "user_id", "of": "item_id", "n": 3, "where": "click == 1"}
    }
    kept = ("user_id", "picture", "title", "position", "segment", "interests", "age", "category", "price")
    recipe["features"] = {name: recipe["features"][name] for name in kept}
    recipe["features"]["recent"] = {"kind": "categorical"}
    recipe["features"]["own"] = {"kind": "vector", "dimension": 3}
    recipe["model"]["interactions"] = [["user_id", "picture"], ["user_id", "title"]]
    recipe["tasks"] = {name: recipe["tasks"][name] for name in ("click", "like")}
    recipe["serving"] = {"score": {"click": 1, "like": 2}}
    recipe["evaluation"] = {"slices": ["device"]}
    del recipe["sources"]["events"], recipe["sources"]["catalogs"]["truth"]
    recipe["content"] = {"max_failed_share": 0.5}
    recipe["gates"] = [
        {"vectors": "title", "metric": "shift", "against": "serving", "upper": 0.1},
        {"vectors": "picture", "metric": "shift", "against": "serving", "upper": 0.1},
        {"vectors": "picture", "metric": "absent", "upper": 0.2},
    ]
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def outcome(place, go):
    return go(place / "recipe.yaml", place / "data", place / "output", "training.epochs=1")


def missing_rows(signature, rows):
    """Every input of a loaded signature, without a value."""
    fill = {tf.string: "", tf.int64: tf.int64.min, tf.float32: np.nan}
    specs = signature.structured_input_signature[1]
    return {
        n: tf.fill([rows] + [1] * (s.shape.rank - 1), tf.constant(fill[s.dtype], s.dtype))
        for n, s in specs.items()
    }


@pytest.fixture(scope="module")
def ask(place, outcome):
    model = tf.saved_model.load(str(place / "output/demo_content/serving/1"))
    signature = model.signatures["serving_default"]

    def answer(items, own=None):
        """Click probabilities of one user for some items."""
        rows = len(items)
        own = np.full((rows, 3), np.nan, "float32") if own is None else np.array(own, "float32")
        sent = {
            "user_id": tf.constant(["u00001"] * rows),
            "item_id": tf.constant(items),
            "position": tf.constant([1] * rows, tf.int64),
            "own": tf.constant(own),
        }
        found = signature(**missing_rows(signature, rows) | sent)
        return found["click"].numpy()

    return answer


def test_it_is_served_and_answers_alone_as_offline(outcome):
    assert outcome.code == 0 and outcome.metrics["pushed"]
    assert "HoldVectors" in outcome.ran


def test_an_item_without_content_and_an_unknown_one_have_the_absent_vector(ask):
    bare, gone, some, other = ask([BARE, GONE, "i00005", "i00007"])
    assert bare == gone
    assert len({bare, some, other}) == 3


def test_an_item_with_a_damaged_picture_still_has_its_title(ask, place):
    damaged, gone = ask([DAMAGED, GONE])
    assert damaged != gone
    held = json.loads(next((place / "output").glob("*/latest/transform_graph/vectors.json")).read_text())
    items = pd.read_csv(place / "data/items.csv", dtype=str, keep_default_na=False)
    assert held["picture"]["absent"] == 1 + (items["picture"] == "").sum()  # the damaged one
    assert sum(held["picture"]["reasons"].values()) == held["picture"]["absent"]
    assert held["title"]["absent"] == (items["title"] == "").sum()


def test_an_item_that_training_never_saw_has_its_vectors(ask, place):
    items = pd.read_csv(place / "data/items.csv", dtype=str, keep_default_na=False)
    shown = pq.read_table(place / "data/impressions").to_pandas()
    before = set(shown[shown["timestamp"] < pd.Timestamp("2024-03-12").value // 10**6]["item_id"])
    new = [i for i, p in zip(items["item_id"], items["picture"], strict=True) if i not in before and p]
    answers = ask([*new[:4], GONE])
    assert len(new) >= 4 and len(set(answers)) == 5


def test_a_vector_on_the_request_counts_for_an_item_that_is_unknown(ask):
    given, absent = ask([GONE, GONE], [[4, 1, -1], [np.nan] * 3])
    assert given != absent
    assert absent == ask([GONE])[0]


def test_vectors_are_watched_and_the_first_run_has_nothing_to_compare_with(outcome):
    gates = [gate["status"] for gate in outcome.metrics["gates"]]
    assert gates[-4:] == ["skipped", "skipped", "passed", "passed"]
    run = Run.load(outcome.folder)
    shown = run.vectors.set_index(["feature", "where"])
    assert {*shown.index.get_level_values("feature")} == {"picture", "title", "own"}
    test = outcome.metrics["rows"]["test"]
    assert (shown.loc[(["picture", "title", "own"], "shown"), "rows"] == test).all()
    assert 0 < shown.loc[("own", "shown"), "absent"] / test < 0.6
    page = (outcome.folder / "report/index.html").read_text()
    assert page.count("data:image/jpeg;base64,") > 20 and "Items of picture" in page
    assert "Encode" in run.steps["step"].tolist()


def test_the_same_content_is_not_a_reason_to_run_again(place, go, outcome):
    again = go(place / "recipe.yaml", place / "data", place / "output", "training.epochs=1")
    assert again.metrics["status"] == "unchanged"


@pytest.fixture(scope="module")
def pushed(place, outcome, tmp_path_factory):
    """The pushed model as versions 1 and 2 of a folder, the label canary of the first."""
    folder = tmp_path_factory.mktemp("versions")
    for version in ("1", "2"):
        shutil.copytree(place / "output/demo_content/serving/1", folder / version)
    (folder / "CURRENT").write_text("2")
    return folder


@pytest.fixture(scope="module")
def server(pushed):
    with alike.served(pushed, "content", {"canary": 1}) as server:
        yield server


@pytest.fixture(scope="module")
def loaded(pushed):
    return tf.saved_model.load(str(pushed / "1"))


@pytest.fixture(scope="module")
def offline(loaded):
    """Asks a signature in this process."""

    def ask(signature, **inputs):
        return {n: x.numpy() for n, x in loaded.signatures[signature](**inputs).items()}

    return ask


def test_ten_thousand_rows_are_answered_alike_in_every_way(place, pushed, server, offline, tmp_path):
    recipe = load(place / "recipe.yaml")
    table = alike.random_rows(recipe, 10_000, seed=3)
    rows = alike.dense(table, recipe)
    assert set(rows) == {"user_id", "item_id", "position", "category", "price", "own", "recent"}
    expected = offline("serving_default", **rows)
    assert len(np.unique(expected["click"])) > 5_000 and len(np.unique(expected["absent"])) > 5
    alike.assert_alike(expected, offline("serve_examples", examples=alike.examples(table)), "serve_examples")
    for address in (f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}"):
        with Client(address, "content") as client:
            alike.assert_alike(expected, client.predict(rows, timeout=120).outputs, address)
    scored = alike.batch(table, place / "recipe.yaml", pushed, tmp_path)
    alike.assert_alike(expected, scored, "batch")


TEXTS = st.sampled_from(["", "u00003", "i00004", "garden"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8
)
FLOATS = st.just(float("nan")) | st.floats(-(2.0**20), 2.0**20, width=32, allow_subnormal=False)


@st.composite
def requests(draw):
    """Columns of some rows; any may be left out, or have one row for all."""
    count = draw(st.integers(1, 4))

    def of(values, width=None):
        one = values if width is None else st.lists(values, min_size=width, max_size=width)
        return st.lists(one, min_size=count, max_size=count) | st.lists(one, min_size=1, max_size=1)

    possible = {
        "user_id": (of(TEXTS), object),
        "item_id": (of(TEXTS), object),
        "position": (of(st.integers(-(2**63), 2**63 - 1)), np.int64),
        "category": (of(TEXTS), object),
        "price": (of(FLOATS), np.float32),
        "own": (of(FLOATS, 3), np.float32),
        "recent": (of(TEXTS, draw(st.integers(1, 5))), object),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(possible)), min_size=1))
    found = {n: np.array(draw(possible[n][0]), possible[n][1]) for n in sorted(chosen)}
    encode = np.vectorize(str.encode, otypes=[object])
    return {n: encode(x) if x.dtype == object else x for n, x in found.items()}


def test_any_request_is_answered_alike_over_grpc_and_rest(server, loaded, offline):
    """What is left out takes the defaults in the SignatureDef, and one row is shared by all."""
    missing = missing_rows(loaded.signatures["serving_default"], 1)

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(requests())
    def answered_alike(request):
        filled = {n: tf.constant(request[n], x.dtype) if n in request else x for n, x in missing.items()}
        expected = offline("serving_default", **filled)
        for client in clients:
            alike.assert_alike(expected, client.predict(request, timeout=60).outputs, str(request))

    addresses = (f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}")
    with Client(addresses[0], "content") as one, Client(addresses[1], "content") as other:
        clients = (one, other)
        answered_alike()


@pytest.fixture(scope="module")
def asked(place, outcome):
    """Each signature's inputs as a generic client has them: numpy arrays."""
    recipe = load(place / "recipe.yaml")
    table = alike.random_rows(recipe, 7, seed=5)
    rows, serialized = alike.dense(table, recipe), alike.examples(table).numpy()
    shared = ("user_id", "recent")
    return {
        "serving_default": rows,
        "rank": {n: x[:1] if n in shared else x for n, x in rows.items()},
        "serve_examples": {"examples": serialized},
        "transform_features": {"examples": serialized},
    }


WHERE = {"": 2, "/versions/1": 1, "/versions/2": 2, "/labels/stable": 2, "/labels/canary": 1}


@pytest.mark.parametrize("signature", ["serving_default", "rank", "serve_examples", "transform_features"])
def test_a_generic_client_is_answered_by_every_version_and_label(server, offline, asked, signature):
    """The stubs of tensorflow-serving-api and plain HTTP, which know nothing of this project."""
    inputs = asked[signature]
    expected = offline(signature, **{n: tf.constant(x) for n, x in inputs.items()})
    if signature == "rank":  # one user's columns for all items, looked up or sent
        rows = offline("serving_default", **{n: tf.constant(x) for n, x in inputs.items()})
        assert_equal(expected, rows, "rows of serving_default")
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for path, version in WHERE.items():
            request = predict_pb2.PredictRequest()
            spec = request.model_spec
            spec.name, spec.signature_name = "content", signature
            kind, _, named = path.removeprefix("/").partition("/")
            if kind == "versions":
                spec.version.value = int(named)
            elif kind == "labels":
                spec.version_label = named
            for name, values in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
            response = stub.Predict(request, timeout=60)
            assert response.model_spec.version.value == version, path
            found = {n: tf.make_ndarray(x) for n, x in response.outputs.items()}
            assert_equal(found, expected, path)

            body = {"signature_name": signature, "inputs": {n: plain(x, n) for n, x in inputs.items()}}
            url = f"http://127.0.0.1:{server.rest_port}/v1/models/content{path}:predict"
            with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as answer:
                found = json.load(answer)["outputs"]
            assert_equal({n: np.array(x) for n, x in found.items()}, expected, path)


def plain(values, name):
    """As JSON has it: bytes that are no text in base 64, NaN as the JSON of Python writes it."""
    if name == "examples":
        return [{"b64": base64.b64encode(x).decode()} for x in values]
    if values.dtype == object:
        values = np.vectorize(bytes.decode, otypes=[object])(values)
    return values.tolist()


def assert_equal(found, expected, what):
    assert set(found) == set(expected), what
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5, err_msg=f"{what}: {name}")


def test_a_user_is_looked_up_inside_the_model(place, pushed, loaded, offline):
    users = pd.read_csv(place / "data/users.csv", dtype=str, keep_default_na=False)
    card = json.loads((pushed / "1/assets.extra/model_card.json").read_text())
    assert card["catalogs"] == {
        "users": {"key": "user_id", "columns": ["age", "segment", "interests"], "rows": len(users)}
    }
    assert "user_id" in card["inputs"] and not {"age", "segment", "interests"} & set(card["inputs"])
    whole = users[(users[["age", "segment", "interests"]] != "").all(axis=1)]["user_id"].iloc[0]
    rows = missing_rows(loaded.signatures["serving_default"], 3)
    found = offline("serving_default", **rows | {"user_id": tf.constant([whole, "nobody", ""])})
    known, unknown, missing = found["absent"].tolist()
    assert unknown == missing == known + 4  # the id, and three columns of it that nothing is known of
    assert found["click"][0] != found["click"][1]


def test_what_changed_is_found_by_the_next_run(place, go, outcome):
    """A row of a catalog in the model, a picture, and an encoder."""
    (place / "data/pictures/i00005.png").write_bytes((place / "data/pictures/i00007.png").read_bytes())
    declared = place / "data/encoders/words/encoder.yaml"
    declared.write_text(declared.read_text() + "normalize: true\n")
    path = place / "data/users.csv"
    users = pd.read_csv(path, dtype=str, keep_default_na=False)
    known = users[(users["age"] != "") & (users["segment"] != "")]["user_id"].iloc[0]
    users.loc[users["user_id"] == known, ["age", "segment"]] = ""
    users.to_csv(path, index=False)
    serving = place / "output/demo_content/serving"
    before = (serving / "CURRENT").read_text()
    changed = go(place / "recipe.yaml", place / "data", place / "output", "training.epochs=1")
    assert {
        "Ingest",
        "HoldVectors",
        "WatchVectors",
        "BuildVocabularies",
        "Transform",
        "Trainer",
        "ServingCheck",
    } <= changed.ran
    absent = []
    for version in (before, (serving / "CURRENT").read_text()):
        signature = tf.saved_model.load(str(serving / version)).signatures["serving_default"]
        sent = missing_rows(signature, 1) | {"user_id": tf.constant([known])}
        absent.append(int(signature(**sent)["absent"][0]))
    assert absent[1] == absent[0] + 2
    [matrix] = read_matrices(changed.folder / "transform_graph", ["picture"]).values()
    keys = keys_file(changed.folder / "transform_graph", "picture").read_text().splitlines()
    assert (matrix[1 + keys.index("i00005")] == matrix[1 + keys.index("i00007")]).all()
    title, picture, _ = [g for g in changed.metrics["gates"] if g["gate"] == "vectors"]
    assert (
        title["status"] == "skipped"
        and "vectors of two encoders say nothing of each other" in title["sentence"]
    )
    assert picture["status"] == "passed"
    assert "picture (encoder colours): shift from version 1's vectors 0.0" in picture["sentence"]

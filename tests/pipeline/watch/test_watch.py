"""What is found of vectors in rows, beside training's and those of the version that serves; and the gates."""

import base64
import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.recipe import loads
from pipeline.report.form import VectorFeature
from pipeline.vectors import Table, write_vectors
from pipeline.watch import rows
from pipeline.watch.gates import VectorGate, judge_vectors
from pipeline.watch.kept import read_kept
from pipeline.watch.watch import NO_KEY, UNKNOWN, read_pictures, watch
from serving.versions import KEPT

RECIPE = """
version: 1
name: shop
sources:
  log:
    files: log.csv
    columns: {user: int, item: string, own: vector, clicked: {type: int, known: after}}
  catalogs: {items: {files: items.csv, key: item, columns: {item: string}}}
roles: {user: user, item: item}
encoders: {any: {uri: nowhere, dimension: 4}}
features:
  picture: {kind: vision, catalog: items, columns: file, encoder: any}
  title: {kind: text, catalog: items, columns: name, encoder: any}
  own: {kind: vector, dimension: 3}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""
DRAW = np.random.default_rng(2)
ITEMS = [f"i{n}" for n in range(40)]
VECTORS = (DRAW.normal(size=(40, 4)) * [1, 2, 3, 0] + 5).astype(np.float32)
# item 1 has no content; 35 and later are in no row of training
TRAIN = [ITEMS[n] for n in DRAW.integers(0, 35, 300)]
TEST = [*(ITEMS[n] for n in DRAW.integers(2, 40, 97)), ITEMS[1], "unheard of", None]


def write_rows(folder, split, items, own):
    (folder / f"Split-{split}").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "0.gz"), "GZIP") as writer:
        for item, vector in zip(items, own, strict=True):
            feature = {"own": tf.train.Feature(float_list=tf.train.FloatList(value=vector))}
            if item is not None:
                feature["item"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[item.encode()]))
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
            )


def hold(folder, vectors, encoder="one"):
    """The vectors of both features, as the model holds them."""
    given = [None if item == ITEMS[1] else v for item, v in zip(ITEMS, vectors.tolist(), strict=True)]
    why = ["no content" if v is None else None for v in given]
    table = pa.table({"key": ITEMS, "vector": pa.array(given, pa.list_(pa.float32())), "reason": why})
    pq.write_table(table, folder.with_suffix(".parquet"))
    of = Table([str(folder.with_suffix(".parquet"))], "digest", reason="reason", encoder=encoder)
    write_vectors({"picture": of, "title": of}, folder)
    return str(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watch")
    own = DRAW.normal(size=(300, 3))
    write_rows(folder / "examples", "train", TRAIN, own.tolist())
    write_rows(folder / "examples", "test", TEST, [*own[:99].tolist(), []])
    for n, item in enumerate(ITEMS):
        Image.new("RGB", (9, 5), (n * 5, 0, 200)).save(folder / f"{item}.png")
    lines = [f"{item},{item}.png,A   word of {item}" for item in ITEMS]
    (folder / "items.csv").write_text("\n".join(["item,file,name", *lines]))
    hold(folder / "held", VECTORS)
    return folder


@pytest.fixture(scope="module")
def look(place, tmp_path_factory):
    def _look(held="held", baseline=None, recipe=RECIPE):
        folder = tmp_path_factory.mktemp("found")
        examples, before = str(place / "examples"), baseline and str(baseline)
        found = watch(loads(recipe), examples, str(place / held), before, place, folder)
        for told in json.loads(json.dumps(found, allow_nan=False)).values():
            VectorFeature.model_validate(told)
        return found, folder

    return _look


@pytest.fixture(scope="module")
def first(look):
    return look()


@pytest.fixture(scope="module")
def serving(first, tmp_path_factory):
    """A version that has what the first run kept."""
    version = tmp_path_factory.mktemp("serving") / "7"
    (version / "assets.extra").mkdir(parents=True)
    shutil.copy(first[1] / KEPT, version / "assets.extra")
    return version


def frechet(one, two):
    """Over rows, by scipy, as FID is usually computed."""
    import scipy.linalg

    first, second = np.cov(one.T, ddof=0), np.cov(two.T, ddof=0)
    spread = np.trace(first + second - 2 * scipy.linalg.sqrtm(first @ second).real)
    return (np.square(one.mean(0) - two.mean(0)).sum() + spread) / np.trace(second)


def test_rows_count_as_often_as_they_are(first):
    of = first[0]["picture"]
    by_key = dict(zip(ITEMS, VECTORS.astype(float), strict=True)) | {ITEMS[1]: None}
    train, test = (
        np.array([by_key[i] for i in split if by_key.get(i) is not None]) for split in (TRAIN, TEST)
    )
    assert (of["shown"]["rows"], of["training"]["rows"], of["shown"]["items"]) == (100, 300, len({*TEST}) - 1)
    assert of["shown"]["reasons"] == {"no content": 1, UNKNOWN: 1, NO_KEY: 1} and of["shown"]["absent"] == 3
    assert of["training"]["reasons"] == {"no content": TRAIN.count(ITEMS[1])}
    assert of["table"] == {"keys": 39, "absent": 1, "reasons": {"no content": 1}}
    norms = np.linalg.norm(test, axis=1)
    assert of["shown"]["norm"]["min"] == pytest.approx(norms.min())
    assert of["shown"]["norm"]["median"] == pytest.approx(np.sort(norms)[48])
    assert of["shown"]["dead"] == of["training"]["dead"] == 1
    assert of["shift"]["training"] == pytest.approx(frechet(test[:, :3], train[:, :3]), rel=1e-4)
    assert 0 < of["shift"]["chance"] < 2
    assert (of["shift"]["serving"], of["notes"]["serving"]) == (None, "there is no serving model yet")


def test_vectors_of_rows_themselves(first):
    of = first[0]["own"]
    assert (of["shown"]["rows"], of["shown"]["absent"], of["shown"]["items"]) == (100, 1, None)
    assert of["shift"]["training"] < 0.2 and of["table"] is None
    assert {near["key"] for near in of["neighbours"]} <= {*TEST}, "an item's vector is known by its key"


def test_a_sample_of_items_is_the_same_in_any_order(monkeypatch):
    monkeypatch.setattr(rows, "SAMPLE", 5)
    keys, hashes = pa.array([k.encode() for k in ITEMS], pa.large_binary()), np.arange(7, 47).astype(np.uint64)
    found = []
    for order in (np.arange(40), DRAW.permutation(40)):
        sample = rows.Sample()
        for at in (*order, *order[::-1]):
            one = slice(at, at + 1)
            sample.add("train", keys[one], hashes[one], VECTORS[one])
        found.append([(sample.keys[h], sample.rows["train"][h]) for h in sorted(sample.keys)[:5]])
    assert found[0] == found[1] == [(k.encode(), 2) for k in ITEMS[:5]]


def test_neighbours_and_map_are_of_items_that_were_shown(first, place):
    of = first[0]["title"]
    asked = of["neighbours"][0]
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    cosines = unit @ unit[ITEMS.index(asked["key"])]
    cosines[[1, ITEMS.index(asked["key"])]] = -1
    assert [n["key"] for n in asked["near"]] == [ITEMS[n] for n in np.argsort(-cosines)[:5]]
    assert asked["near"][0]["cosine"] == pytest.approx(cosines.max(), abs=1e-4)
    assert asked["near"][0]["text"] == f"A word of {asked['near'][0]['key']}"
    mapped = {item["key"]: item for item in of["map"]["items"]}
    assert {*mapped} == {*TRAIN, *TEST} - {ITEMS[1], "unheard of", None}
    for key, item in mapped.items():
        assert (item["trained"], item["shown"]) == (TRAIN.count(key), TEST.count(key))
    spread = np.array([[item["x"], item["y"]] for item in mapped.values()])
    assert np.cov(spread.T)[0, 1] == pytest.approx(0, abs=1e-2) and spread[:, 0].std() > spread[:, 1].std()


def test_pictures_are_small_and_of_local_files(first, place):
    pictures = read_pictures(first[1])
    assert pictures["title"] == pictures["own"] == {}
    key, uri = next(iter(pictures["picture"].items()))
    shown = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))
    assert shown.size == (48, 48)
    assert np.abs(np.array(shown.getpixel((20, 20))) - [ITEMS.index(key) * 5, 0, 200]).max() < 9


def test_what_is_private_or_not_there_is_not_shown(look, place, monkeypatch):
    private = RECIPE.replace("{item: string}}}", "{item: string, name: {type: string, private: true}}}}")
    found, folder = look(recipe=private)
    assert all(item["text"] is None for item in found["title"]["map"]["items"])
    items = (place / "items.csv").read_text()
    (place / "items.csv").write_text(items.replace("i3.png", "s3://bucket/i3.png").replace("i4.png", "i.png"))
    seen = read_pictures(look()[1])["picture"]
    (place / "items.csv").write_text(items)
    assert "i5" in seen and not {"i3", "i4"} & {*seen}


SHIFT = VectorGate("picture", "shift", 0.05, "serving")
GATES = (SHIFT, VectorGate("picture", "absent", 0.02), VectorGate("picture", "dead", 0.5))


def judged(look, *gates, version="7", **others):
    return [(v.status, v.sentence) for v in judge_vectors(gates, look(**others)[0], version)]


def test_the_first_run_is_not_compared(look):
    [shift, absent, dead] = judged(look, *GATES, version=None)
    assert shift == (
        "skipped",
        "picture: shift from the serving model's vectors is not judged: there is no serving model yet",
    )
    assert absent[0] == "failed" and absent[1].startswith(
        "picture: share of rows without a vector 0.030 is above the bound 0.020 by 0.010 (100 rows: 1 × "
    )
    assert dead == (
        "passed",
        "picture: share of dead numbers 0.250 is below the upper bound 0.500 by 0.250 (1 of 4; 97 rows with a "
        "vector)",
    )


def test_the_same_encoder_and_rows_pass(look, serving):
    [(status, sentence)] = judged(look, SHIFT, baseline=serving)
    assert status == "passed"
    assert sentence == (
        "picture: shift from version 7's vectors 0.000 is below the upper bound 0.050 by 0.050 (97 rows with a "
        "vector; the same encoder)"
    )
    assert read_kept(serving)["picture"].facts["encoder"] == "one"


def test_another_encoder_is_caught(look, place, serving):
    hold(place / "turned", VECTORS[:, [1, 0, 2, 3]], encoder="two")
    against_training = VectorGate("picture", "shift", 1.0, "training")
    found = judged(look, SHIFT, against_training, held="turned", baseline=serving)
    assert found[0][0] == "failed"
    assert found[0][1].startswith("picture: shift from version 7's vectors 0.")
    assert "is above the bound 0.050 by" in found[0][1]
    assert found[0][1].endswith("(97 rows with a vector; another encoder made those)")
    assert found[1][0] == "passed", "training's rows have the new encoder's vectors too"
    hold(place / "longer", np.c_[VECTORS, VECTORS], encoder="two")
    assert judged(look, SHIFT, held="longer", baseline=serving) == [
        (
            "failed",
            "picture: shift from version 7's vectors could not be measured, so its gate cannot pass: version 7 "
            "has vectors of 4 numbers, and these have 8; another encoder made those",
        )
    ]


def test_a_version_that_kept_nothing_and_one_whose_file_is_damaged(look, serving, tmp_path):
    assert judged(look, SHIFT, baseline=tmp_path / "7")[0] == (
        "skipped",
        "picture: shift from the serving model's vectors is not judged: version 7, which serves, kept nothing "
        "of such a feature's vectors",
    )
    shutil.copytree(serving, tmp_path / "7")
    whole = (serving / "assets.extra" / KEPT).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:400] + b"\0" * 200 + whole[600:]):
        (tmp_path / "7/assets.extra" / KEPT).write_bytes(damaged)
        status, sentence = judged(look, SHIFT, baseline=tmp_path / "7")[0]
        assert status == "failed" and "which serves, kept an assets.extra/vectors.npz that cannot be read" in sentence

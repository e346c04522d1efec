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
from pipeline.watch.found import FACTS, PICTURES, read_pictures
from pipeline.watch.gates import VectorGate, judge_vectors
from pipeline.watch.kept import read_kept
from pipeline.watch.moments import Moments, shift
from pipeline.watch.watch import NO_KEY, UNKNOWN, watch
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
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def hold(folder, vectors, encoder="one", keys=ITEMS):
    """The vectors of both features, as the model holds them."""
    given = [None if item == ITEMS[1] else v for item, v in zip(ITEMS, vectors.tolist(), strict=True)]
    why = ["no content" if v is None else None for v in given]
    table = pa.table({"key": keys, "vector": pa.array(given, pa.list_(pa.float32())), "reason": why})
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


def by_items(items):
    """Moments of the items that have vectors, each as heavy as its rows."""
    counts = np.array([items.count(item) for item in ITEMS], float)
    found, there = Moments.none(4), (counts > 0) & (np.arange(40) != 1)
    found.add(VECTORS[there], counts[there])
    return found


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
    expected = shift(by_items(TEST), by_items(TRAIN))
    assert of["shift"]["training"] == pytest.approx(expected.total, rel=1e-4)
    assert of["shift"]["means"] == {"training": pytest.approx(expected.mean, rel=1e-4)}
    np.testing.assert_allclose(by_items(TRAIN).mean, train.mean(0), rtol=1e-6)
    assert 0 < of["shift"]["chance"] < 2
    assert (of["shift"]["serving"], of["notes"]["serving"]) == (None, "there is no serving model yet")


def test_vectors_of_rows_themselves(first):
    of = first[0]["own"]
    assert (of["shown"]["rows"], of["shown"]["absent"], of["shown"]["items"]) == (100, 1, None)
    assert of["shift"]["training"] < 0.2 and of["table"] is None
    assert {near["key"] for near in of["neighbours"]} <= {*TEST}, "an item's vector is known by its key"


def test_a_sample_of_items_is_the_same_in_any_order(monkeypatch):
    monkeypatch.setattr(rows, "SAMPLE", 5)
    keys = pa.array([k.encode() for k in ITEMS], pa.large_binary())
    hashes = np.arange(7, 47).astype(np.uint64)
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


NOT_JUDGED = "picture (encoder any): shift from the serving model's vectors is not judged"
SHIFT = VectorGate("picture", "shift", 0.05, "serving")
GATES = (SHIFT, VectorGate("picture", "absent", 0.02), VectorGate("picture", "dead", 0.5))


def judged(look, *gates, version="7", **others):
    return [(v.status, v.sentence) for v in judge_vectors(gates, look(**others)[0], version)]


def test_the_first_run_is_not_compared(look):
    [shift, absent, dead] = judged(look, *GATES, version=None)
    assert shift == ("skipped", f"{NOT_JUDGED}: there is no serving model yet")
    assert absent[0] == "failed" and absent[1].startswith(
        "picture (encoder any): share of rows without a vector 0.030 is above the bound 0.020 by 0.010 (100 "
    )
    assert dead == (
        "passed",
        "picture (encoder any): share of dead numbers 0.250 is below the upper bound 0.500 by 0.250 (1 of 4; "
        "97 rows with a vector)",
    )


def test_the_same_encoder_and_rows_pass(look, serving):
    [(status, sentence)] = judged(look, SHIFT, baseline=serving)
    assert status == "passed"
    there = [VECTORS[ITEMS.index(i)] for i in TEST[:97]]
    median = f"{np.sort(np.linalg.norm(there, axis=1))[48]:.4g}"
    assert sentence == (
        "picture (encoder any): shift from version 7's vectors 0.000 is below the upper bound 0.050 by 0.050 "
        "(the mean's move is 0.000 of it, the covariance's 0.000; median length "
        f"{median}, there {median}; 97 rows with a vector)"
    )
    assert read_kept(serving)["picture"].facts["encoder"] == "one"


def test_vectors_that_moved_fail_and_the_sentence_says_what_moved(look, place, serving):
    hold(place / "moved", VECTORS + np.float32([1, 0, 0, 0]))
    against_training = VectorGate("picture", "shift", 1.0, "training")
    [(status, sentence), training] = judged(look, SHIFT, against_training, held="moved", baseline=serving)
    assert status == "failed"
    assert sentence.startswith("picture (encoder any): shift from version 7's vectors 0.")
    assert "is above the bound 0.050 by 0." in sentence
    moved = 1 / by_items(TEST).variances.sum()
    assert f"(the mean's move is {moved:.3f} of it, the covariance's 0.000; median length" in sentence
    assert training[0] == "passed", "training's rows have the moved vectors too"


def test_another_encoder_and_another_dimension_are_not_compared(look, place, serving):
    hold(place / "turned", VECTORS[:, [1, 0, 2, 3]], encoder="two")
    hold(place / "longer", np.c_[VECTORS, VECTORS], encoder="two")
    assert judged(look, SHIFT, held="turned", baseline=serving) == [
        (
            "skipped",
            f"{NOT_JUDGED}: encoder any (digest one, 4 numbers) made version 7's and encoder any (digest two, "
            "4 numbers) these, and vectors of two encoders say nothing of each other",
        )
    ]
    assert judged(look, SHIFT, held="longer", baseline=serving) == [
        ("skipped", f"{NOT_JUDGED}: version 7 has vectors of 4 numbers, and these have 8")
    ]


def test_rows_without_any_vector_have_no_shift_and_do_not_pass(look, place, serving):
    hold(place / "others", VECTORS, keys=[f"other {n}" for n in range(40)])
    against_training = VectorGate("picture", "shift", 1.0, "training")
    found = judged(look, SHIFT, against_training, *GATES[1:], held="others", baseline=serving)
    assert [status for status, _ in found] == ["failed"] * 4
    assert "could not be measured, so its gate cannot pass: there are no vectors" in found[0][1]
    assert look("others")[0]["picture"]["map"]["items"] == look("others")[0]["picture"]["neighbours"] == []


def test_the_same_run_writes_the_same_bytes(look, serving):
    one, two = (look(baseline=serving)[1] for _ in range(2))
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted([FACTS, PICTURES, KEPT])
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_a_version_that_kept_nothing_and_one_whose_file_is_damaged(look, serving, tmp_path):
    assert judged(look, SHIFT, baseline=tmp_path / "7")[0] == (
        "skipped",
        f"{NOT_JUDGED}: version 7, which serves, kept nothing of such a feature's vectors",
    )
    shutil.copytree(serving, tmp_path / "7")
    whole = (serving / "assets.extra" / KEPT).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:400] + b"\0" * 200 + whole[600:]):
        (tmp_path / "7/assets.extra" / KEPT).write_bytes(damaged)
        status, sentence = judged(look, SHIFT, baseline=tmp_path / "7")[0]
        assert status == "failed"
        assert "which serves, kept an assets.extra/vectors.npz that cannot be read" in sentence

"""Preprocessing by TensorFlow Transform against what a hand computes."""

import json
import tempfile

import numpy as np
import pytest

from pipeline.recipe import loads

RECIPE = loads("""
version: 1
name: tiny
sources:
  log:
    files: a.csv
    columns:
      id: int
      price: float
      at: time
      word: string
      tags: {type: "list[string]", separator: "|"}
      vector: vector
      clicked: {type: int, known: after}
roles: {user: id, time: at}
history:
  recent: {kind: last, by: id, of: word, n: 4}
  recent_ids: {kind: last, by: word, of: id, n: 4}
derived:
  hour: hour(at)
  pair: cross(id, word)
  flat: if_missing(price * 0 + 0.1, 0.6)
features:
  recent_ids: {kind: categorical, shares: id, max_length: 2}
  id: {kind: categorical, min_count: 2}
  word: {kind: categorical, hash_buckets: 10}
  tags: {kind: categorical, max_length: 2}
  recent: {kind: categorical, max_length: 2}
  recent_words: {kind: categorical, column: recent, shares: word}
  hour: {kind: categorical}
  pair: {kind: categorical}
  price_bucket: {kind: buckets, column: price, count: 2}
  price: {kind: numeric, scaling: minmax}
  price_standard: {kind: numeric, column: price}
  price_log: {kind: numeric, column: price, scaling: log_standard}
  price_or_9: {kind: numeric, column: price, scaling: none, missing: 9}
  flat: {kind: numeric}
  own: {kind: custom, transform: "tests_own_transform:double_price"}
  vector: {kind: vector, dimension: 2}
tasks:
  click: {kind: binary, label: clicked}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
""")
HOUR = 3_600_000
ROWS = [
    {
        "id": 7,
        "price": 1.0,
        "at": 2 * HOUR,
        "word": "a",
        "tags": ["x", "y", "z"],
        "recent": ["p", "q", "r"],
        "recent_ids": [3, 7],
        "vector": [1.0, 2.0],
        "clicked": 1,
    },
    {
        "id": 7,
        "price": 3.0,
        "at": 2 * HOUR,
        "word": "b",
        "tags": ["x"],
        "recent": ["q"],
        "recent_ids": [9_007_199_254_740_993, 9_007_199_254_740_993],
        "vector": [3.0, float("nan")],
        "clicked": 0,
    },
    {
        "id": 9_007_199_254_740_993,
        "price": 5.0,
        "at": 5 * HOUR,
        "word": "a",
        "tags": [],
        "vector": [5.0, 6.0],
        "clicked": 0,
    },
    {"tags": ["z"], "recent": ["q", "r", "p"], "recent_ids": [3], "clicked": 1},
]


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    """Vocabularies and statistics of the first three rows; all four transformed; the layer for requests."""
    import sys
    import types

    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from pipeline.preprocessing import preprocessing_fn
    from pipeline.vocabulary import read_layout, write_vocabularies

    own = types.ModuleType("tests_own_transform")
    own.double_price = lambda columns: columns["price"] * 2
    sys.modules["tests_own_transform"] = own

    folder = tmp_path_factory.mktemp("tiny")
    split = folder / "examples" / "Split-train"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "a.gz"), "GZIP") as writer:
        for row in ROWS[:3]:
            writer.write(_example(tf, row))
    write_vocabularies(RECIPE, folder / "examples", folder / "vocabularies")
    layout = read_layout(folder / "vocabularies")

    kinds = {
        "id": tf.int64,
        "at": tf.int64,
        "price": tf.float32,
        "word": tf.string,
        "tags": tf.string,
        "recent": tf.string,
        "recent_ids": tf.int64,
        "vector": tf.float32,
        "click/label": tf.float32,
        "click/mask": tf.float32,
        "click/weight": tf.float32,
    }
    spec = {n: tf.io.VarLenFeature(k) for n, k in kinds.items()}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [_instance(r) for r in ROWS]
    config = {"recipe": RECIPE.model_dump_json(), "vocabularies": str(folder / "vocabularies")}
    # training in one batch, whose mean may be off by rounding
    with tft_beam.Context(temp_dir=tempfile.mkdtemp(dir=folder), desired_batch_size=3):
        function = (rows[:3], metadata) | tft_beam.AnalyzeDataset(lambda x: preprocessing_fn(x, config))
        function | tft_beam.WriteTransformFn(str(folder / "graph"))
        (found, _) = ((rows, metadata), function) | tft_beam.TransformDataset()
    served = tft.TFTransformOutput(str(folder / "graph")).transform_features_layer()
    return layout, {n: np.stack([np.asarray(r[n]) for r in found]) for n in found[0]}, served


def _example(tf, row):
    feature = {}
    for name, value in row.items():
        values = value if isinstance(value, list) else [value]
        if name in ("id", "at", "clicked", "recent_ids"):
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        elif name in ("price", "vector"):
            feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            feature[name] = tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[v.encode() for v in values])
            )
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _instance(row):
    columns = ("id", "price", "at", "word", "tags", "recent", "recent_ids", "vector")
    found = {n: row.get(n, []) if isinstance(row.get(n, []), list) else [row[n]] for n in columns}
    return found | {"click/label": [float(row["clicked"])], "click/mask": [1.0], "click/weight": [1.0]}


def local(transformed, name):
    """A feature's ids as its own rows; -1 stays."""
    layout, columns, _ = transformed
    slots = next(f for f in layout.categorical if f.name == name)
    ids = columns["ids"][:, slots.first_slot : slots.first_slot + slots.length]
    return np.where(ids >= 0, ids - slots.first_row, ids).tolist()


def number(transformed, name):
    layout, columns, _ = transformed
    return columns["numbers"][:, layout.numbers.index(name)]


def test_vocabularies_missing_0_unknown_1(transformed):
    # 9007199254740993 is seen once and min_count is 2; its last digit would be lost in a float64
    assert local(transformed, "id") == [[2], [2], [1], [0]]
    # counts x 2, y 1; z is beyond the two values that the feature takes
    assert local(transformed, "tags") == [[2, 3], [2, -1], [-1, -1], [1, -1]]
    # of history the last two: q 2, r 1, and p was never seen
    assert local(transformed, "recent") == [[2, 3], [2, -1], [-1, -1], [3, 1]]
    assert local(transformed, "hour") == [[2], [2], [3], [0]]
    assert local(transformed, "pair") == [[2], [3], [4], [0]]


@pytest.mark.parametrize(
    ("recent", "want"),
    [
        # "" is what a client sends for no value, wherever it stands
        (
            [["p", "", "q", "r"], ["", "q", "", ""], ["", "", "", ""], ["r", "p", "", ""]],
            [[2, 3], [2, -1], [-1, -1], [3, 1]],
        ),
        ([[], [], [], []], [[-1, -1]] * 4),
        (None, [[-1, -1]] * 4),
        ([["r", "q", "q", "r", "p", "q"]], [[1, 2]] * 4),
    ],
)
def test_lists_in_requests(transformed, recent, want):
    import tensorflow as tf

    from serving import inputs

    rows = {name: inputs.default(column) for name, column in RECIPE.input_columns.items()}
    rows["tags"] = tf.constant([["x", "z", "y"], ["", "", "x"], ["y", "", "x"], ["", "", ""]])
    if recent is not None:
        rows["recent"] = tf.constant(recent, tf.string)
    sparse = inputs.as_sparse(inputs.one_batch(rows))
    layout, _, layer = transformed
    served = layer(sparse)
    assert np.isnan(served["vector_vector"].numpy()).all()  # left out by the client
    found = layout, {"ids": served["ids"].numpy()}, layer
    assert local(found, "recent") == want
    assert local(found, "tags") == [[2, 1], [2, -1], [3, 2], [-1, -1]]


def test_a_value_is_known_in_its_own_vocabulary_alone(transformed):
    import tensorflow as tf

    from serving import inputs

    rows = {name: inputs.default(column) for name, column in RECIPE.input_columns.items()}
    # tags know x, y and z, `recent` p, q and r; all vocabularies are one file, each behind a number
    rows["tags"] = tf.constant([["x", "p"], ["0:x", "1:x"], ["2:x", "q"]])
    rows["recent"] = tf.constant([["q", "x"], ["3:q", "y"], ["2:q", "4:q"]])
    layout, _, layer = transformed
    found = layout, {"ids": layer(inputs.as_sparse(inputs.one_batch(rows)))["ids"].numpy()}, layer
    assert local(found, "tags") == [[2, 1], [1, 1], [1, 1]]
    assert [row[1] for row in local(found, "recent")] == [1, 1, 1]
    assert (
        local(found, "recent")[0][0] > 1 and local(found, "recent")[1][0] == local(found, "recent")[2][0] == 1
    )


def test_shared_rows(transformed):
    layout = transformed[0]
    slots = {f.name: f for f in layout.categorical}
    for name, owner in (("recent_ids", "id"), ("recent_words", "word")):
        shared = [getattr(slots[name], f) - getattr(slots[owner], f) for f in ("first_row", "rows")]
        assert shared == [0, 0]
    assert (slots["id"].missing_row, slots["id"].unknown_row, slots["word"].unknown_row) == (0, 1, None)
    # 7 is the only id seen twice where ids are counted: in their own column; 3 is only in a history
    assert local(transformed, "recent_ids") == [[1, 2], [1, 1], [-1, -1], [1, -1]]
    words, recent = local(transformed, "word"), local(transformed, "recent_words")
    assert (
        len(recent[0]) == 4 and recent[0][0] == recent[3][2] and recent[1][0] == recent[0][1] == recent[3][0]
    )
    assert {w for row in recent for w in row if w >= 0} <= set(range(1, 11)) and words[0][0] == words[2][0]


def test_hashes_and_buckets(transformed):
    words = [r[0] for r in local(transformed, "word")]
    assert words[0] == words[2] != words[1] and all(1 <= w <= 10 for w in words[:3]) and words[3] == 0
    assert local(transformed, "price_bucket") == [[1], [2], [2], [0]]


def test_every_row_of_the_table_belongs_to_one_feature(transformed):
    layout, columns, _ = transformed
    owned = [f for f in layout.categorical if f.name not in ("recent_ids", "recent_words")]
    assert layout.table_rows == sum(f.rows for f in owned)
    assert columns["ids"].max() < layout.table_rows


def test_scalings_with_the_mean_for_missing(transformed):
    np.testing.assert_allclose(number(transformed, "price"), [0, 0.5, 1, 0.5], atol=1e-6)
    deviation = np.std([1.0, 3.0, 5.0])
    np.testing.assert_allclose(
        number(transformed, "price_standard"), [-2 / deviation, 0, 2 / deviation, 0], atol=1e-6
    )
    logs = np.log1p([1.0, 3.0, 5.0])
    want = [*((logs - logs.mean()) / logs.std()), 0]
    np.testing.assert_allclose(number(transformed, "price_log"), want, atol=1e-6)
    np.testing.assert_allclose(number(transformed, "price_or_9"), [1, 3, 5, 9])


def test_what_did_not_vary_in_training_stays_0_when_it_does(transformed):
    assert 0 < np.std([0.1, 0.1, 0.1]) < 1e-16  # what rounding makes of a constant
    np.testing.assert_array_equal(number(transformed, "flat"), [0, 0, 0, 0])


def test_a_transform_from_elsewhere(transformed):
    np.testing.assert_allclose(number(transformed, "own"), [2, 6, 10, 0])


def test_an_absent_vector_is_nan_throughout_and_a_broken_number_0(transformed):
    absent = [np.nan, np.nan]
    np.testing.assert_array_equal(transformed[1]["vector_vector"], [[1, 2], [3, 0], [5, 6], absent])


def test_layout_is_json(transformed):
    assert json.dumps(transformed[0].to_dict())


def test_what_is_exported_gives_the_same_without_what_only_training_reads(transformed):
    import tensorflow as tf

    from serving import inputs
    from serving.preprocessing import Preprocessing

    rows = {name: inputs.default(column) for name, column in RECIPE.input_columns.items()}
    rows |= {"id": tf.constant([7, 3, 99], tf.int64), "price": tf.constant([1.5, np.nan, 2.0])}
    rows |= {
        "word": tf.constant(["a", "", "never seen"]),
        "tags": tf.constant([["x", "z"], ["", ""], ["y", ""]]),
    }
    sparse = inputs.as_sparse(inputs.one_batch(rows))
    layer = transformed[2]
    cut, whole = Preprocessing(layer, sparse), layer(sparse)
    found = tf.function(cut, autograph=False)(sparse)
    # as rows of training are, a missing value is not there at all
    as_trained = layer({name: tf.sparse.retain(x, inputs._there(x.values)) for name, x in sparse.items()})
    for name in found:
        np.testing.assert_array_equal(whole[name].numpy(), as_trained[name].numpy(), err_msg=name)
    assert set(found) == {name for name in whole if "/" not in name} and "ids" in found
    for name, value in found.items():
        np.testing.assert_array_equal(value.numpy(), whole[name].numpy(), err_msg=name)

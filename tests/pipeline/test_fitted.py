"""Scalings and bucket edges of a model that training goes on from: from its graph, on other rows."""

import json
import math

import pytest

from pipeline.recipe import loads

ROWS = 400
RECIPE = """
version: 1
name: fitted
sources:
  log:
    files: log.csv
    columns: {x: float, y: {type: int, known: after}}
roles: {}
features:
  plain: {kind: numeric, column: x, scaling: none}
  standard: {kind: numeric, column: x}
  logged: {kind: numeric, column: x, scaling: log_standard}
  squeezed: {kind: numeric, column: x, scaling: minmax}
  few: {kind: buckets, column: x, count: 4}
  many: {kind: buckets, column: x, count: 300}
tasks: {y: {kind: binary, label: y}}
splits: {by: hash, of: row, validation: 0.1, test: 0.1}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""


def transformed(folder, first, statistics=None):
    """The graph of rows first, first + 1, ..., and what it makes of 7 and of nothing."""
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from pipeline.preprocessing import preprocessing_fn
    from pipeline.vocabulary import write_vocabularies

    recipe = loads(RECIPE)
    write_vocabularies(recipe, folder, folder / "vocabularies")
    spec = {n: tf.io.VarLenFeature(tf.float32) for n in ("x", "y/label", "y/mask", "y/weight")}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [{n: [float(first + i)] for n in spec} for i in range(ROWS)]
    config = {"recipe": recipe.model_dump_json(), "vocabularies": str(folder / "vocabularies")}
    config |= {"statistics": json.loads(json.dumps(statistics))} if statistics else {}
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        function = (rows, metadata) | tft_beam.AnalyzeDataset(lambda x: preprocessing_fn(x, config))
        function | tft_beam.WriteTransformFn(str(folder / "graph"))
    layer = tft.TFTransformOutput(str(folder / "graph")).transform_features_layer()
    asked = {n: tf.sparse.from_dense(tf.constant([[7.0]])) for n in spec}
    return {n: v.numpy().tolist() for n, v in layer(asked).items()}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    from pipeline.fitted import read_fitted

    folders = [tmp_path_factory.mktemp(name) for name in ("before", "after")]
    before = transformed(folders[0], 0)
    kept = read_fitted(folders[0] / "graph")
    after = transformed(folders[1], 5000, kept)
    return before, kept, after, read_fitted(folders[1] / "graph")


def test_what_was_found_is_read_from_the_graph(found):
    kept = found[1]
    middle = (ROWS - 1) / 2
    assert kept["standard.mean"] == kept["squeezed.mean"] == kept["plain.mean"] == pytest.approx(middle)
    assert kept["standard.var"] == pytest.approx((ROWS**2 - 1) / 12)
    assert kept["logged.mean"] == pytest.approx(math.fsum(map(math.log1p, range(ROWS))) / ROWS)
    assert (kept["squeezed.min"], kept["squeezed.max"]) == (0, ROWS - 1)
    assert len(kept["few.boundaries"][0]) == 3 and len(kept["many.boundaries"][0]) == 299


def test_other_rows_are_seen_by_it_and_pass_it_on(found):
    before, kept, after, passed_on = found
    assert before["numbers"][0][1] == pytest.approx((7 - kept["standard.mean"]) / kept["standard.var"] ** 0.5)
    assert after == before  # and not as the rows from 5000 on would have it
    assert passed_on == kept

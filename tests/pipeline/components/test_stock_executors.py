"""Our StatisticsGen and Transform against TFX's own executors, on examples that ingestion wrote."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf import json_format, text_format
from pyarrow import feather
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components.statistics_gen.executor import Executor as StockStatistics
from tfx.components.transform import executor as stock_transform
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import transform_pb2
from tfx.types import standard_artifacts

from pipeline.components import statistics, transform
from pipeline.components.artifacts import Vocabularies
from pipeline.demo import generate
from pipeline.ingest import plan
from pipeline.ingest.run import ingest
from pipeline.ingest.schema import schema_proto
from pipeline.recipe import load
from pipeline.shards.columns import read_columns
from pipeline.vocabulary import write_vocabularies

SPLITS = ("train", "validation", "test")
# every kind of column and of feature, some of them with missing values, and few of each: graphs are slow
RECIPE = """
version: 1
name: small
sources:
  log:
    files: impressions/*/*.parquet
    columns:
      user_id: {type: string, required: true}
      timestamp: {type: time, unit: ms, required: true}
      position: int
      click: {type: int, known: after}
      watch_seconds: {type: float, known: after}
  catalogs:
    users:
      files: users.csv
      key: user_id
      columns:
        user_id: string
        age: int
        interests: {type: "list[string]", separator: "|"}
roles: {user: user_id, time: timestamp}
features:
  user_id: {kind: categorical}
  interests: {kind: categorical, max_length: 2}
  age: {kind: numeric}
  age_bucket: {kind: buckets, column: age, count: 5}
  position: {kind: numeric, scaling: log_standard}
tasks:
  watch: {kind: regression, label: watch_seconds, where: click == 1}
splits: {by: time, validation_from: 2024-03-12, test_from: 2024-03-13}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """2,000 rows of the demo's world in several shards, a recipe, its schema and vocabularies."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "recipe.yaml").write_text(RECIPE)
    recipe = load(folder / "recipe.yaml")
    generate(folder / "data", 2000, seed=1)
    options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SHARD_ROWS", 800)
        ingest(recipe, folder / "data", folder / "examples", beam.Pipeline(options=options))
    assert len(list((folder / "examples" / "Split-train").iterdir())) > 2
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema_proto(recipe)))
    (folder / "vocabularies").mkdir()
    write_vocabularies(recipe, folder / "examples", folder / "vocabularies")
    return folder, recipe


def artifact(kind: type, path: Path):
    made = kind()
    made.uri = str(path)
    return made


def examples(folder: Path):
    made = artifact(standard_artifacts.Examples, folder / "examples")
    made.split_names = json.dumps(SPLITS)
    made.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    made.set_string_custom_property("file_format", "tfrecords_gzip")
    return made


def context(mode: str, tmp_path: Path) -> BaseBeamExecutor.Context:
    return BaseBeamExecutor.Context(
        beam_pipeline_args=[
            "--runner=DirectRunner",
            f"--direct_running_mode={mode}",
            "--direct_num_workers=2",
            "--sdk_container_image=none",
        ],
        tmp_dir=str(tmp_path),
        unique_id="test",
    )


def run_statistics(executor: type, world: tuple, out: Path, mode: str = "in_memory") -> dict[str, dict]:
    """Statistics of each split, by feature."""
    folder, recipe = world
    executor(context(mode, out)).Do(
        {"examples": [examples(folder)]},
        {"statistics": [artifact(standard_artifacts.ExampleStatistics, out)]},
        {"exclude_splits": "[]", "columns": text_format.MessageToString(schema_proto(recipe))},
    )
    found = {}
    for split in SPLITS:
        data = (out / f"Split-{split}" / "FeatureStats.pb").read_bytes()
        [dataset] = statistics_pb2.DatasetFeatureStatisticsList.FromString(data).datasets
        features = {f.path.step[0]: json_format.MessageToDict(f) for f in dataset.features}
        found[split] = {"rows": dataset.num_examples} | features
    return found


def run_transform(executor: type, world: tuple, out: Path, mode: str = "in_memory") -> Path:
    folder, recipe = world
    splits = transform_pb2.SplitsConfig(analyze=SPLITS[:1], transform=SPLITS[:2])
    executor(context(mode, out)).Do(
        {
            "examples": [examples(folder)],
            "schema": [artifact(standard_artifacts.Schema, folder / "schema")],
            "vocabularies": [artifact(Vocabularies, folder / "vocabularies")],
        },
        {
            "transform_graph": [artifact(standard_artifacts.TransformGraph, out / "graph")],
            "transformed_examples": [artifact(standard_artifacts.Examples, out / "examples")],
        },
        {
            "preprocessing_fn": "pipeline.preprocessing.preprocessing_fn",
            "disable_statistics": 1,
            "splits_config": json_format.MessageToJson(splits),
            "custom_config": json.dumps({"recipe": recipe.part("features", "derived").model_dump_json()}),
        },
    )
    return out


class _StockTransform(transform._Executor):
    """Our executor without what it replaces: only the vocabularies are passed on."""

    def Do(self, *given) -> None:
        ours = transform._Processor
        transform._Processor = stock_transform.TransformProcessor
        try:
            super().Do(*given)
        finally:
            transform._Processor = ours


def stock_rows(folder: Path, split: str) -> Counter:
    """Transformed rows as a multiset of their columns in order of names."""
    files = sorted(str(p) for p in (folder / "examples" / f"Split-{split}").iterdir())

    def key(record: bytes) -> tuple:
        features = tf.train.Example.FromString(record).features.feature
        return tuple(
            (n, tuple(getattr(features[n], features[n].WhichOneof("kind")).value)) for n in sorted(features)
        )

    return Counter(key(r) for r in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())


def our_rows(folder: Path, split: str) -> Counter:
    """The same of our files."""
    found = Counter()
    for path in sorted((folder / "examples" / f"Split-{split}").iterdir()):
        for row in feather.read_table(path).to_pylist():
            lists = {n: v if isinstance(v, list) else [v] for n, v in row.items()}
            found[tuple((n, tuple(lists[n])) for n in sorted(lists))] += 1
    return found


def digests(folder: Path) -> dict[str, str]:
    files = sorted((folder / "examples").rglob("*.arrow"))
    return {f"{p.parent.name}/{p.name}": hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def close(a, b) -> bool:
    """Equal, numbers up to the order of a sum."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return bool(np.isclose(a, b, rtol=1e-9, atol=1e-12)) if isinstance(a, float) else a == b


@pytest.fixture(scope="module")
def ours(world, tmp_path_factory) -> Path:
    return run_transform(transform._Executor, world, tmp_path_factory.mktemp("ours"))


# processes of Beam's import TensorFlow and TFX once more each
MODES = ["in_memory", pytest.param("multi_processing", marks=pytest.mark.slow)]


@pytest.mark.parametrize("mode", MODES)
def test_same_statistics(world, tmp_path, mode):
    stock = run_statistics(StockStatistics, world, tmp_path / "stock")
    assert sum(split["rows"] for split in stock.values()) == 2000
    ours = run_statistics(statistics._Executor, world, tmp_path / mode, mode)
    for split in SPLITS:
        assert stock[split].keys() == ours[split].keys()
        assert [n for n in stock[split] if not close(stock[split][n], ours[split][n])] == []


def test_same_transformed_rows_and_graph(world, ours, tmp_path):
    stock = run_transform(_StockTransform, world, tmp_path)
    for split in SPLITS[:2]:
        assert our_rows(ours, split) == stock_rows(stock, split)
    assert not (ours / "examples" / "Split-test").exists()

    def metadata(folder: Path) -> str:
        return (folder / "graph" / "transformed_metadata" / "schema.pbtxt").read_text()

    assert metadata(ours) == metadata(stock)


def test_one_file_a_shard_in_the_order_read(world, ours):
    """Labels pass through unchanged: they are those of the shard of the same number, row for row."""

    def labels(path: Path) -> list[float]:
        records = tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator()
        return [
            tf.train.Example.FromString(r).features.feature["watch/label"].float_list.value[0]
            for r in records
        ]

    for split in SPLITS[:2]:
        read = sorted((world[0] / "examples" / f"Split-{split}").iterdir())
        written = sorted((ours / "examples" / f"Split-{split}").iterdir())
        found = [read_columns([path], {"watch/label": 0})["watch/label"].tolist() for path in written]
        assert found == [labels(p) for p in read if labels(p)]


@pytest.mark.parametrize("mode", MODES)
def test_same_bytes_on_every_run_and_with_two_processes(world, ours, tmp_path, mode):
    again = run_transform(transform._Executor, world, tmp_path, mode)
    assert digests(again) == digests(ours)
    assert digests(ours)


def test_tfx_is_left_as_it_was(ours):
    assert stock_transform.TransformProcessor is not transform._Processor
    assert statistics.tfxio_utils.get_split_tfxio.__module__ == "tfx.components.util.tfxio_utils"

"""TFX's Transform with one more input, the vocabularies that our preprocessing applies; it reads and writes
shard by shard."""

import json
import shutil
from pathlib import Path
from typing import Any

import apache_beam as beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.transform import executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.proto import transform_pb2
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter
from tfx.types.standard_component_specs import TransformSpec

from pipeline.components.artifacts import Vocabularies
from pipeline.fitted import read_fitted
from pipeline.held_catalogs import link_catalogs
from pipeline.shards.columns import SUFFIX
from pipeline.shards.replaced import replaced
from pipeline.shards.tfxio import POSITION, ShardedExamples
from pipeline.shards.write import WriteShards
from pipeline.trainer_files import STATISTICS
from pipeline.vectors import link_vectors


class _NoAnalyzerCache(beam.PTransform):
    """What TFX's `_OptimizeRun` comes to without a cache, after it has traced the preprocessing function."""

    def __init__(self, input_cache: str | None, output_cache: str | None, datasets: list, *others: Any):
        super().__init__()
        self._datasets = datasets

    def expand(self, pipeline: beam.Pipeline) -> tuple[dict, None, int]:
        _ = pipeline | beam.Create([None])  # without a step of its own Beam takes this for a primitive
        return {d.dataset_key: d for d in self._datasets}, None, 0


class _Processor(executor.TransformProcessor):
    """Analyses training in one order, whatever the number of workers, and transforms all splits as one data
    set, which loads the graph once, into one file a shard."""

    _OptimizeRun = _NoAnalyzerCache

    def _CreateTFXIO(self, dataset: Any, schema: schema_pb2.Schema) -> ShardedExamples:
        return ShardedExamples.like(super()._CreateTFXIO(dataset, schema), in_order=True)

    @staticmethod
    def _GetTFXIOPassthroughKeys() -> set[str]:
        return {POSITION}

    def _RunBeamImpl(self, analyze: list, transform: list, *others: Any) -> Any:
        self._written = [
            f"{d.materialize_output_path}-{i:05d}{SUFFIX}"
            for d in transform
            for i in range(len(d.tfxio.shards()))
        ]
        together = transform[0]
        together.tfxio = ShardedExamples.like(
            together.tfxio, file_pattern=[d.file_pattern for d in transform], positions=True
        )
        return super()._RunBeamImpl(analyze, [together], *others)

    def _EncodeAndWrite(self, **given: Any) -> beam.PTransform:
        return beam.ParDo(WriteShards(self._written))


class _Executor(executor.Executor):
    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        vocabularies = input_dict["vocabularies"][0].uri
        config = json.loads(exec_properties["custom_config"]) | {"vocabularies": vocabularies}
        others = {k: v for k, v in input_dict.items() if k != "vocabularies"}
        with replaced(executor, "TransformProcessor", _Processor):
            super().Do(others, output_dict, exec_properties | {"custom_config": json.dumps(config)})
        link_vectors(vocabularies, output_dict["transform_graph"][0].uri)
        link_catalogs(vocabularies, output_dict["transform_graph"][0].uri)
        graph = Path(output_dict["transform_graph"][0].uri)
        shutil.copy(Path(vocabularies, "layout.json"), graph / "layout.json")
        if config.get("keep_statistics"):  # for the run that will begin from this one's model
            (graph / STATISTICS).write_text(json.dumps(read_fitted(graph), indent=1))


class _Spec(TransformSpec):
    INPUTS = {**TransformSpec.INPUTS, "vocabularies": ChannelParameter(type=Vocabularies)}


class Transform(base_beam_component.BaseBeamComponent):
    """Analyses training and transforms every split.

    Outputs: `transform_graph` (with `layout.json` beside the graph) and `transformed_examples`, which are
    files of columns (`pipeline/shards/columns.py`) and no tf.Examples.

    Args:
      examples: what ingestion wrote.
      schema: of those.
      vocabularies: what `BuildVocabularies` wrote.
      splits: transformed, the first one also analysed.
      preprocessing_fn: dotted path.
      custom_config: passed to the function, with the folder of vocabularies added under `vocabularies`.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(_Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel,
        vocabularies: types.BaseChannel,
        splits: tuple[str, ...],
        preprocessing_fn: str,
        custom_config: dict[str, Any],
    ):
        transformed = types.Channel(type=standard_artifacts.Examples)
        transformed.matching_channel_name = "examples"
        super().__init__(
            _Spec(
                examples=examples,
                schema=schema,
                vocabularies=vocabularies,
                preprocessing_fn=preprocessing_fn,
                force_tf_compat_v1=0,
                disable_statistics=1,
                splits_config=transform_pb2.SplitsConfig(analyze=splits[:1], transform=splits),
                custom_config=json.dumps(custom_config),
                transform_graph=types.Channel(type=standard_artifacts.TransformGraph),
                transformed_examples=transformed,
            )
        )

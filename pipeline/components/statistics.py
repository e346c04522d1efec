"""TFX's StatisticsGen over examples read shard by shard."""

from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.statistics_gen import executor
from tfx.components.util import tfxio_utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ExecutionParameter
from tfx.types.standard_component_specs import StatisticsGenSpec

from pipeline.shards.replaced import replaced
from pipeline.shards.tfxio import ShardedExamples


class _Executor(executor.Executor):
    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        stock = tfxio_utils.get_split_tfxio
        columns = text_format.Parse(exec_properties["columns"], schema_pb2.Schema())

        def sharded(*given: Any, **named: Any) -> ShardedExamples:
            return ShardedExamples.like(stock(*given, **named), types=columns)

        with replaced(tfxio_utils, "get_split_tfxio", sharded):
            super().Do(input_dict, output_dict, exec_properties)


class _Spec(StatisticsGenSpec):
    PARAMETERS = {
        **StatisticsGenSpec.PARAMETERS,
        "columns": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
    }


class StatisticsGen(base_beam_component.BaseBeamComponent):
    """Statistics of every split.

    Outputs: `statistics`, as TFX's component writes them.

    Args:
      examples: what ingestion wrote.
      columns: schema of all that it writes, of which only the types are used.
      code: digest of the code that reads, for the cache key alone.
    """

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(_Executor)

    def __init__(self, examples: types.BaseChannel, columns: schema_pb2.Schema, code: str):
        super().__init__(
            _Spec(
                examples=examples,
                columns=text_format.MessageToString(columns),
                code=code,
                exclude_splits="[]",
                statistics=types.Channel(type=standard_artifacts.ExampleStatistics),
            )
        )

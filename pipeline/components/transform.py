"""TFX's Transform with one more input: the vocabularies that our preprocessing applies."""

import json
import shutil
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.transform import executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.proto import transform_pb2
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter
from tfx.types.standard_component_specs import TransformSpec

from pipeline.components.artifacts import Vocabularies


class _Executor(executor.Executor):
    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        vocabularies = input_dict["vocabularies"][0].uri
        config = json.loads(exec_properties["custom_config"]) | {"vocabularies": vocabularies}
        others = {k: v for k, v in input_dict.items() if k != "vocabularies"}
        super().Do(others, output_dict, exec_properties | {"custom_config": json.dumps(config)})
        shutil.copy(
            Path(vocabularies, "layout.json"), Path(output_dict["transform_graph"][0].uri, "layout.json")
        )


class _Spec(TransformSpec):
    INPUTS = {**TransformSpec.INPUTS, "vocabularies": ChannelParameter(type=Vocabularies)}


class Transform(base_beam_component.BaseBeamComponent):
    """Analyses training and transforms every split.

    Outputs: `transform_graph` (with `layout.json` beside the graph) and `transformed_examples`.

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

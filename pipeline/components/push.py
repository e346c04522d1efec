"""The push: a blessed model becomes the next version that TensorFlow Serving loads."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from serving.versions import push


@component
def Push(
    model: InputArtifact[standard_artifacts.Model],
    blessing: InputArtifact[standard_artifacts.ModelBlessing],
    folder: Parameter[str],
    note: Parameter[str],
    run: Parameter[str],
    pushed: OutputArtifact[standard_artifacts.PushedModel],
) -> None:
    """Pushes only what is blessed. `run` is in the cache key: a push is never answered from the cache."""
    destination = Path(pushed.uri)
    destination.mkdir(parents=True, exist_ok=True)
    if not blessing.get_int_custom_property("blessed"):
        pushed.set_int_custom_property("pushed", 0)
        return
    version = push(path_utils.serving_model_path(model.uri), folder, {"run": run, **json.loads(note)})
    pushed.set_int_custom_property("pushed", 1)
    pushed.set_string_custom_property("pushed_destination", str(version))
    pushed.set_string_custom_property("pushed_version", version.name)

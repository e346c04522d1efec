"""The push: a blessed model becomes the next version that TensorFlow Serving loads."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from pipeline.digests import folder_digest
from serving.versions import current, push, record
from serving.versions import pushed as ledger


@component
def Push(
    model: InputArtifact[standard_artifacts.Model],
    blessing: InputArtifact[standard_artifacts.ModelBlessing],
    folder: Parameter[str],
    note: Parameter[str],
    run: Parameter[str],
    pushed: OutputArtifact[standard_artifacts.PushedModel],
) -> None:
    """Pushes what is blessed, does not serve already, and was not rolled back from. `run` is in the cache
    key: a push is never answered from the cache."""
    Path(pushed.uri).mkdir(parents=True, exist_ok=True)
    blessed = blessing.get_int_custom_property("blessed")
    pushed.set_int_custom_property("blessed", blessed)
    if not blessed:
        return
    source = path_utils.serving_model_path(model.uri)
    content, serving = folder_digest(source), current(folder)
    if serving is not None:
        if record(serving).get("model") == content:
            return
        withdrawn = [v for v, model in ledger(folder).items() if v > int(serving.name) and model == content]
        if withdrawn:
            pushed.set_string_custom_property("withdrawn", str(withdrawn[-1]))
            return
    version = push(source, folder, {"run": run, "model": content, **json.loads(note)})
    pushed.set_string_custom_property("pushed_destination", str(version))
    pushed.set_string_custom_property("pushed_version", version.name)

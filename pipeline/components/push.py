"""The push: a blessed model becomes the next version that TensorFlow Serving loads."""

import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from pipeline.components.artifacts import Watched
from serving import releases, versions


@component
def Push(
    model: InputArtifact[standard_artifacts.Model],
    blessing: InputArtifact[standard_artifacts.ModelBlessing],
    folder: Parameter[str],
    note: Parameter[str],
    run: Parameter[str],
    baseline: Parameter[str],
    pushed: OutputArtifact[standard_artifacts.PushedModel],
    watched: InputArtifact[Watched] = None,
) -> None:
    """Pushes what is blessed, does not serve already, and was not rolled back from; not where another version
    serves than `baseline`, which the gates compared with. `run` is in the cache key: a push is never answered
    from the cache. What was found of the run's vectors goes with it, for the next run to compare with."""
    Path(pushed.uri).mkdir(parents=True, exist_ok=True)
    blessed = blessing.get_int_custom_property("blessed")
    pushed.set_int_custom_property("blessed", blessed)
    if not blessed:
        return
    source = path_utils.serving_model_path(model.uri)
    kept = Path(watched.uri, versions.KEPT) if watched is not None else None
    found = releases.push(source, folder, {"run": run, **json.loads(note)}, baseline, kept)
    pushed.set_int_custom_property("moved", int(found.moved))
    if found.withdrawn is not None:
        pushed.set_string_custom_property("withdrawn", str(found.withdrawn))
    if found.version is not None:
        pushed.set_string_custom_property("pushed_destination", str(found.version))
        pushed.set_string_custom_property("pushed_version", found.version.name)

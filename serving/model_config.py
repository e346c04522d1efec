"""`FOLDER/models.config`: what TensorFlow Serving is to load, and under which labels, as versions change.

The form is `tensorflow.serving.ModelServerConfig` as text. A server reads it that is given
`--model_config_file` and `--model_config_file_poll_wait_seconds`; one that is only given the folder loads
the highest version, which is what the label `canary` names.

A server that reads a new file moves its labels first and changes what it loads only then; if a label in use
would move to a version that is not loaded, it refuses the whole file (`ServerCore::ReloadConfig`, which
calls `UpdateModelVersionLabelMap`) and reads it again at its next look. So the policy must never be what
brings a new version in, or neither would ever come: it always has room for one version more than there are
from `stable` on, the server loads that one by itself, and takes the file at its first look after.
"""

from pathlib import Path

from serving import versions
from serving.history import history

FILE = "models.config"


def labels(folder: Path, current: int) -> dict[str, int]:
    """Label -> version: `canary` is what serves, `stable` the version that a person promoted last; where
    nobody did, or it is gone, `stable` is what serves too, so that who uses no labels has no more versions
    loaded."""
    stable = history(folder, current).stable
    there = stable is not None and stable <= current and not versions.incomplete(folder / str(stable))
    return {"stable": stable if there else current, "canary": current}


def write(folder: Path, current: int) -> None:
    """Writes the file as it must be while `current` serves."""
    found = labels(folder, current)
    name = folder.resolve().parent.name
    loaded = sum(v >= found["stable"] for v in versions.versions(folder)) + 1
    lines = [f'    version_labels {{ key: "{label}" value: {v} }}' for label, v in found.items()]
    text = f"""# Written by `mtl` with every push, promotion and roll-back; edits are lost.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: {loaded} }} }}
"""
    versions.write(folder / FILE, text + "\n".join(lines) + "\n  }\n}\n")

"""An encoder's model in its own format, by what is in its folder → a function of NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pipeline.content_encoders.declaration import Declaration
from pipeline.content_encoders.errors import NeedsExtra
from pipeline.ingest.errors import DataError

Inputs = Mapping[str, np.ndarray]
Model = Callable[[Inputs], np.ndarray]


def find_model(folder: Path, declared: Declaration) -> Path:
    """The model in an encoder's folder: an `.onnx` or `.keras` file, or a SavedModel's folder.

    Raises:
      DataError: there is none, or there are several and `model:` does not say which.
    """
    if declared.model is not None:
        chosen = folder / declared.model
        if not chosen.exists():
            raise DataError(f"{folder}: encoder.yaml names the model {declared.model}, which is not there")
        return chosen
    found = [p for p in sorted(folder.iterdir()) if p.suffix in (".onnx", ".keras") or _is_saved_model(p)]
    found += [folder] if _is_saved_model(folder) else []
    if len(found) != 1:
        there = ", ".join(p.name for p in found) or "none"
        raise DataError(
            f"{folder} must hold one model, an .onnx or .keras file or a SavedModel; it holds {there}"
            + ("; `model:` in encoder.yaml says which" if found else "")
        )
    return found[0]


def _is_saved_model(path: Path) -> bool:
    return (path / "saved_model.pb").is_file()


def load_model(path: Path, declared: Declaration) -> Model:
    """Loads a model: a function of named arrays `[B, ...]` to one array `[B, ...]`.

    Raises:
      DataError: it cannot be loaded, or its inputs are not those that its declaration makes.
      NeedsExtra: of an ONNX file without onnxruntime.
    """
    try:
        if path.suffix == ".onnx":
            return _onnx(path, declared)
        if path.suffix == ".keras":
            return _keras(path, declared)
        if path.suffix == ".pth":  # of builtin:efficientnet_lite0 alone: find_model takes none
            from pipeline.content_encoders import efficientnet_lite0

            return keras_function(efficientnet_lite0.build(path), declared, path)
        return _saved_model(path, declared)
    except (DataError, NeedsExtra):
        raise
    except Exception as error:
        first = str(error).strip().splitlines()[:1]
        raise DataError(f"{path} cannot be loaded: {''.join(first) or type(error).__name__}") from error


def check_installed(path: Path) -> None:
    """Raises NeedsExtra where a package is missing that the model's format needs."""
    if path.suffix == ".onnx":
        _onnxruntime(path)


def _onnxruntime(path: Path):
    try:
        import onnxruntime
    except ImportError:
        raise NeedsExtra("onnxruntime", str(path)) from None
    return onnxruntime


def _onnx(path: Path, declared: Declaration) -> Model:
    session = _onnxruntime(path).InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    outputs = [o.name for o in session.get_outputs()]
    output = _chosen(outputs, declared, path)

    def run(inputs: Inputs) -> np.ndarray:
        return session.run([output], _fed(inputs, names, path))[0]

    return run


def _saved_model(path: Path, declared: Declaration) -> Model:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    if "serving_default" not in loaded.signatures:
        raise DataError(f"{path} has no signature serving_default; it has {', '.join(loaded.signatures)}")
    signature = loaded.signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    output = _chosen(list(signature.structured_outputs), declared, path)

    def run(inputs: Inputs, keep: object = loaded) -> np.ndarray:  # its variables live as long as it does
        fed = _fed(inputs, list(specs), path)
        return signature(**{n: tf.constant(v, specs[n].dtype) for n, v in fed.items()})[output].numpy()

    return run


def _keras(path: Path, declared: Declaration) -> Model:
    # Beam's TensorFlow handler loads by TensorFlow's `keras`, the old Keras where TFX is imported
    import keras

    model = keras.saving.load_model(path, compile=False)
    return keras_function(model, declared, path)


def keras_function(model, declared: Declaration, path: Path) -> Model:
    """A Keras 3 model as a function of named arrays."""
    import keras
    import tensorflow as tf

    if not getattr(model, "inputs", None):  # a Sequential that is not built raises AttributeError
        raise DataError(
            f"{path} has no inputs of its own, as a keras.Sequential that was never called and a subclass of "
            "keras.Model have none: let the Sequential begin with keras.Input, save keras.Model(inputs, "
            "outputs), or write a SavedModel with its export()"
        )
    if isinstance(model, keras.Sequential):  # it has `inputs`, but no `input` once it was loaded
        model = keras.Model(model.inputs[0], model.outputs[0])
    names = [i.name for i in model.inputs]
    single = not isinstance(model.input, (list, tuple, dict))
    call = tf.function(lambda given: model(given, training=False), reduce_retracing=True)

    def run(inputs: Inputs) -> np.ndarray:
        fed = _fed(inputs, names, path)
        given = {n: tf.constant(v.tolist() if v.dtype == object else v) for n, v in fed.items()}
        if single:
            given = given[names[0]]
        elif isinstance(model.input, (list, tuple)):
            given = [given[n] for n in names]
        found = call(given)
        if isinstance(found, dict):
            found = found[_chosen(list(found), declared, path)]
        return keras.ops.convert_to_numpy(found)

    return run


def _chosen(outputs: list[str], declared: Declaration, path: Path) -> str:
    if declared.output is not None:
        if declared.output not in outputs:
            raise DataError(f"{path} has no output {declared.output}; it has {', '.join(outputs)}")
        return declared.output
    if len(outputs) != 1:
        raise DataError(f"{path} has outputs {', '.join(outputs)}; `output:` in encoder.yaml chooses")
    return outputs[0]


def _fed(inputs: Inputs, names: list[str], path: Path) -> dict[str, np.ndarray]:
    """What a model with these inputs is given; of a single one the name does not matter."""
    if len(names) == 1 and len(inputs) == 1:
        return {names[0]: next(iter(inputs.values()))}
    lacking = [n for n in names if n not in inputs]
    if lacking:
        raise DataError(f"{path} wants the input {lacking[0]}; its encoder.yaml makes {', '.join(inputs)}")
    return {n: inputs[n] for n in names}

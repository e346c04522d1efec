"""Answers requests with a pushed model in a process that has TensorFlow and nothing of this project.

Run as a script: `python standalone.py MODEL REQUESTS ANSWERS`, each of the two an .npz file: inputs of
`serving_default` by name (texts as bytes), and its outputs. Importing any package of this project is
made to fail first, as it would on a machine that has only TensorFlow Serving.
"""

import sys

_FORBIDDEN = ("pipeline", "mtl_models", "serving", "tfx", "tensorflow_transform")


class _Refuse:
    """An import hook that stands for the project not being installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in _FORBIDDEN:
            raise ModuleNotFoundError(f"No module named '{name}' where models are served")
        return None


def main(model: str, requests: str, answers: str) -> None:
    sys.path = [p for p in sys.path if p not in ("", sys.path[0])]
    sys.meta_path.insert(0, _Refuse())
    import time

    import numpy as np
    import tensorflow as tf

    begin = time.perf_counter()
    loaded = tf.saved_model.load(model)
    signature = loaded.signatures["serving_default"]
    load_seconds = time.perf_counter() - begin
    dtypes = {name: spec.dtype for name, spec in signature.structured_input_signature[1].items()}
    with np.load(requests) as file:
        inputs = {
            name: tf.constant(file[name].tolist() if dtypes[name] == tf.string else file[name], dtypes[name])
            for name in file.files
        }
    outputs = {name: value.numpy() for name, value in signature(**inputs).items()}
    begin = time.perf_counter()
    signature(**inputs)
    np.savez(
        answers,
        load_seconds=load_seconds,
        call_seconds=time.perf_counter() - begin,
        **{f"output/{name}": value for name, value in outputs.items()},
    )


if __name__ == "__main__":
    main(*sys.argv[1:4])

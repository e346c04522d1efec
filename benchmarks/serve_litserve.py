"""The peer of serve.py: LitServe with the same SavedModel, run by an interpreter that has both (litserve.lock).

    python serve_litserve.py SAVED_MODEL PORT

One process a core, without batching, as `mtl serve` has none. Takes and gives TensorFlow Serving's REST body
in column form at /predict.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import litserve
import tensorflow as tf


class Model(litserve.LitAPI):
    """The signature `serving_default`."""

    def setup(self, device: str) -> None:
        self.saved = tf.saved_model.load(sys.argv[1])
        self.signature = self.saved.signatures["serving_default"]
        self.dtypes = {n: spec.dtype for n, spec in self.signature.structured_input_signature[1].items()}

    def decode_request(self, request: dict) -> dict:
        return {n: tf.constant(value, self.dtypes[n]) for n, value in request["inputs"].items()}

    def predict(self, x: dict) -> dict:
        return self.signature(**x)

    def encode_response(self, output: dict) -> dict:
        return {"outputs": {n: value.numpy().tolist() for n, value in output.items()}}


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=os.cpu_count())
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")

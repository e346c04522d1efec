"""A version's warm-up requests, answered before it takes others, as TensorFlow Serving does."""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.errors import RequestError
from serving.server.servable import Servable
from serving.server.tensors import from_proto

FILE = Path("assets.extra", "tf_serving_warmup_requests")
MOST = 1000  # records; with more TensorFlow Serving refuses the version
_BYTES, _ROWS, _SECONDS = 1 << 28, 1 << 24, 300.0  # of the model's own requests


def replay(servable: Servable, folder: Path) -> int:
    """Asks a loaded version what its folder's file has, and returns how many requests that was.

    Raises:
      ValueError: a record is broken or no PredictionLog, there are too many, or a request is refused: such a
        version is not served.
    """
    path = folder / FILE
    if not path.is_file():
        return 0
    asked = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if asked == MOST:
                raise ValueError(f"{FILE} has more than {MOST} requests")
            asked += 1
            if not log.HasField("predict_log"):
                continue  # of an API that is not served here
            request = log.predict_log.request
            inputs = {name: from_proto(name, proto, _BYTES) for name, proto in request.inputs.items()}
            only = list(request.output_filter)
            servable.call(request.model_spec.signature_name, inputs, only, _ROWS, _SECONDS)
    except RequestError as error:
        raise ValueError(f"warm-up request {asked} of {FILE} is refused: {error}") from None
    except Exception as error:
        if isinstance(error, ValueError):
            raise
        raise ValueError(f"{FILE} is broken after {asked} requests: {error}") from None
    return asked

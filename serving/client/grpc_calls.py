"""gRPC, sync and async, each over one channel."""

from typing import Any

import grpc
import numpy as np
from google.protobuf.json_format import MessageToDict
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from serving.client.conversation import Answer, Metadata, Predict
from serving.client.errors import ServerError
from serving.client.target import Target

_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Grpc:
    """Blocking."""

    def __init__(self, target: Target):
        self._target = target
        self._channel = grpc.insecure_channel(target.address, _OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def ask(self, step: Metadata | Predict) -> Any:
        method, request = _call(self._stub, self._target, step)
        try:
            return _read(step, method(request, timeout=step.seconds))
        except grpc.RpcError as error:
            raise _error(error) from None

    def close(self) -> None:
        self._channel.close()


class AsyncGrpc:
    """For one event loop."""

    def __init__(self, target: Target):
        self._target = target
        self._channel = grpc.aio.insecure_channel(target.address, _OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    async def ask(self, step: Metadata | Predict) -> Any:
        method, request = _call(self._stub, self._target, step)
        try:
            return _read(step, await method(request, timeout=step.seconds))
        except grpc.RpcError as error:
            raise _error(error) from None

    async def close(self) -> None:
        await self._channel.close()


def _call(stub: Any, target: Target, step: Metadata | Predict) -> tuple[Any, Any]:
    if isinstance(step, Metadata):
        request: Any = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        method = stub.GetModelMetadata
    else:
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = step.signature.name
        for name, array in step.inputs.items():
            _fill(request.inputs[name], array)
        method = stub.Predict
    request.model_spec.name = target.model
    if target.version is not None:
        request.model_spec.version.value = target.version
    if target.label:
        request.model_spec.version_label = target.label
    return method, request


def _fill(proto: Any, array: np.ndarray) -> None:
    text = array.dtype == object
    proto.dtype = types_pb2.DT_STRING if text else _number(array.dtype)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if text:
        proto.string_val.extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = np.ascontiguousarray(array).tobytes()


def _number(kind: np.dtype) -> int:
    import tensorflow as tf

    return tf.dtypes.as_dtype(kind).as_datatype_enum


def _read(step: Metadata | Predict, response: Any) -> Any:
    if isinstance(step, Metadata):
        found = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(found)
        return MessageToDict(found, preserving_proto_field_name=True)["signature_def"]
    import tensorflow as tf

    outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    return Answer(outputs, response.model_spec.version.value)


def _error(error: Any) -> ServerError:
    code, details = error.code().name, error.details() or ""
    # what is too large now is too large in a moment too
    again = code == "UNAVAILABLE" or (code == "RESOURCE_EXHAUSTED" and "larger than max" not in details)
    return ServerError(code, details, again)

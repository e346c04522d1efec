"""The gRPC front: PredictionService's Predict and GetModelMetadata, ModelService's GetModelStatus."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.server.answers import metadata, model_status
from serving.server.arrival import Arrival
from serving.server.errors import RequestError, invalid
from serving.server.predictor import Predictor
from serving.server.servable import DEFAULT_SIGNATURE
from serving.server.tensors import from_proto, to_proto

SIGNATURE_DEF = "signature_def"
_LOG = logging.getLogger(__name__)


def grpc_server(predictor: Predictor, arrival: Arrival) -> grpc.Server:
    """A server that has no port yet.

    Its requests are answered in the threads that take them. grpc.aio's way, over an event loop into another
    thread and back, took a millisecond of Python a request, half as much again as a call of 32 rows.
    """
    limits = predictor.limits
    most = 2 * limits.concurrency  # those beyond `concurrency` are told so; of more, messages would be held
    server = grpc.server(
        ThreadPoolExecutor(most, thread_name_prefix="grpc"),
        interceptors=[arrival],
        options=[
            ("grpc.max_receive_message_length", limits.body),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a taken port is an error, not half of the requests
        ],
        maximum_concurrent_rpcs=most,
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(predictor), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Model(predictor), server)
    return server


def _answer(context: grpc.ServicerContext, work: Callable[[], Message]) -> Message:
    try:
        return work()
    except RequestError as error:
        code, message = error.code, error.message
    except Exception:
        _LOG.exception("a request failed")
        code, message = "INTERNAL", "the server failed; its log says why"
    _abort(context, code, message)


def _abort(context: grpc.ServicerContext, code: str, message: str) -> NoReturn:
    context.abort(grpc.StatusCode[code], message)
    raise AssertionError("abort raises")


def _spec(request: Any) -> tuple[str, int | None, str]:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    return spec.name, version, spec.version_label


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        began, status = time.monotonic(), "OK"

        def work() -> Message:
            nonlocal status
            try:
                return self._predict(request, context, began)
            except RequestError as error:
                status = error.code
                raise
            except BaseException:
                status = "INTERNAL"
                raise

        try:
            return _answer(context, work)
        finally:
            self._predictor.count("GRPC", request.model_spec.name, status, began)

    def _predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext, began: float
    ) -> Message:
        limits = self._predictor.limits
        remaining = context.time_remaining()
        deadline = began + min(limits.seconds, limits.seconds if remaining is None else remaining)
        name, version, label = _spec(request)
        with self._predictor.admit() as place, self._predictor.manager.hold(name, version, label) as servable:

            def work(seconds: float) -> predict_pb2.PredictResponse:
                inputs = {k: from_proto(k, v, limits.body) for k, v in request.inputs.items()}
                signature = request.model_spec.signature_name
                only = list(request.output_filter)
                outputs = servable.call(signature, inputs, only, limits.rows, seconds)
                if log := self._predictor.log:
                    told = dict(context.invocation_metadata()).get("x-request-id", "")
                    asked = signature or DEFAULT_SIGNATURE
                    about = (asked, told, servable.version, inputs, outputs, request.ByteSize())
                    log.offer(*about, servable.private)
                spec = model_pb2.ModelSpec(name=name, signature_name=signature or DEFAULT_SIGNATURE)
                spec.version.value = servable.version
                return predict_pb2.PredictResponse(
                    model_spec=spec, outputs={k: to_proto(v) for k, v in outputs.items()}
                )

            return place.call(work, deadline)

    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        def work() -> Message:
            name, version, label = _spec(request)
            if not request.metadata_field:
                raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != SIGNATURE_DEF:
                    raise invalid(f"Metadata field {field} is not supported")
            with self._predictor.manager.hold(name, version, label) as servable:
                spec, signatures = metadata(name, servable)
            response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
            response.metadata[SIGNATURE_DEF].Pack(signatures)
            return response

        return _answer(context, work)


class _Model(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        def work() -> Message:
            return model_status(self._predictor.manager, *_spec(request))

        return _answer(context, work)

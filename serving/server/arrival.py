"""How a gRPC request arrives: within a time, and as a message."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError


class Arrival(grpc.ServerInterceptor):
    """Ends calls whose message does not come, and tells bytes that are no message gRPC C++'s status.

    gRPC for Python gives a call its thread when its headers are there. A client that then sends nothing, or
    half of a message, and has no deadline of its own would keep that thread for ever. So a call's one message
    is read here, where the call can be ended while it waits; in gRPC itself there is no hold of it by then.
    """

    def __init__(self, seconds: float):
        """`seconds` from headers to message; `cut_off` ends the calls that are over that."""
        self._seconds = seconds
        self._waiting: dict[grpc.ServicerContext, float] = {}
        self._lock = threading.Lock()

    def cut_off(self) -> None:
        """Ends calls that have waited too long; their clients are told CANCELLED."""
        with self._lock:
            late = [call for call, until in self._waiting.items() if until <= time.monotonic()]
        for call in late:
            call.cancel()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler

        def behave(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
            try:
                request = handler.request_deserializer(self._message(messages, context))
            except DecodeError:
                context.abort(grpc.StatusCode.INTERNAL, "the request could not be parsed")
            return handler.unary_unary(request, context)

        return grpc.stream_unary_rpc_method_handler(behave, None, handler.response_serializer)

    def _message(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        with self._lock:
            self._waiting[context] = time.monotonic() + self._seconds
        try:
            message = next(messages, None)
        finally:
            with self._lock:
                del self._waiting[context]
        if message is None:
            context.abort(grpc.StatusCode.INTERNAL, "the call has no request")
        return message

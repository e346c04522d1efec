"""Bytes that are no message get gRPC C++'s status and not a stack trace in the log."""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError


class Undecodable(grpc.ServerInterceptor):
    """INTERNAL for requests that cannot be parsed, in words."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler

        def decode(data: bytes) -> Any:
            try:
                return handler.request_deserializer(data)
            except DecodeError:
                return _BROKEN

        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            if request is _BROKEN:
                context.abort(grpc.StatusCode.INTERNAL, "the request could not be parsed")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(behave, decode, handler.response_serializer)


_BROKEN = object()  # None would make gRPC itself answer

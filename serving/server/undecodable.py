"""Bytes that are no message get gRPC C++'s status and not a stack trace in the log."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError


class Undecodable(grpc.aio.ServerInterceptor):
    """INTERNAL for requests that cannot be parsed; grpc.aio alone says UNKNOWN."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler = await continuation(handler_call_details)
        if handler is None or not inspect.iscoroutinefunction(handler.unary_unary):
            return handler

        def decode(data: bytes) -> Any:
            try:
                return handler.request_deserializer(data)
            except DecodeError:
                return None

        async def behave(request: Any, context: grpc.aio.ServicerContext) -> Any:
            if request is None:
                await context.abort(grpc.StatusCode.INTERNAL, "the request could not be parsed")
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(behave, decode, handler.response_serializer)

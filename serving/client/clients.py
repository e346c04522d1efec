"""The two clients: one that blocks, one for asyncio."""

import asyncio
import time
from collections.abc import Generator
from typing import Any

from serving.client.conversation import Answer, Conversation, Step, Wait
from serving.client.errors import ServerError
from serving.client.signature import Features, Signature
from serving.client.target import target

TIMEOUT_SECONDS = 10.0


class Client:
    """Blocking, for any number of threads; connections are kept and shared."""

    def __init__(self, server: str, model: str, *, version: int | None = None, label: str = ""):
        """
        Args:
          server: `http://host:port` for REST, `grpc://host:port` or `host:port` for gRPC.
          model: its name on the server.
          version, label: which version, at most one of the two; the server's choice where left out.

        Raises:
          ValueError: the address cannot be understood.
        """
        to = target(server, model, version, label)
        if to.rest:
            from serving.client.rest import Rest as transport
        else:
            from serving.client.grpc_calls import Grpc as transport
        self._transport = transport(to)
        self._conversation = Conversation()

    def predict(
        self, features: Features, *, signature: str = "serving_default", timeout: float = TIMEOUT_SECONDS
    ) -> Answer:
        """Predictions for features, as columns by name or as rows.

        Args:
          features: `{"user_id": ["u1"], "item_id": ["i1", "i2"]}`, or `[{"user_id": "u1", ...}, ...]`. Inputs
            with a default may be left out.
          signature: its name.
          timeout: seconds for all of it, attempts after the first and the pauses between included.

        Raises:
          BadFeatures: they do not fit what the server's metadata say; nothing was sent.
          ServerError: there was no answer.
        """
        return self._hold(self._conversation.predict(features, signature, timeout))

    def signature(self, name: str = "serving_default", *, timeout: float = TIMEOUT_SECONDS) -> Signature:
        """What the model takes and gives; raises as `predict` does."""
        return self._hold(self._conversation.signature(name, timeout))

    def _hold(self, talk: Generator[Step, Any, Any]) -> Any:
        try:
            step = next(talk)
            while True:
                if isinstance(step, Wait):
                    time.sleep(step.seconds)
                    step = talk.send(None)
                    continue
                try:
                    found = self._transport.ask(step)
                except ServerError as error:
                    step = talk.throw(error)
                else:
                    step = talk.send(found)
        except StopIteration as end:
            return end.value

    def close(self) -> None:
        """Gives the connections back."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """The same for asyncio, made and used within one event loop. Arguments and errors are `Client`'s."""

    def __init__(self, server: str, model: str, *, version: int | None = None, label: str = ""):
        to = target(server, model, version, label)
        if to.rest:
            from serving.client.rest import AsyncRest as transport
        else:
            from serving.client.grpc_calls import AsyncGrpc as transport
        self._transport: Any = transport(to)
        self._conversation = Conversation()

    async def predict(
        self, features: Features, *, signature: str = "serving_default", timeout: float = TIMEOUT_SECONDS
    ) -> Answer:
        """See `Client.predict`."""
        return await self._hold(self._conversation.predict(features, signature, timeout))

    async def signature(
        self, name: str = "serving_default", *, timeout: float = TIMEOUT_SECONDS
    ) -> Signature:
        """See `Client.signature`."""
        return await self._hold(self._conversation.signature(name, timeout))

    async def _hold(self, talk: Generator[Step, Any, Any]) -> Any:
        try:
            step = next(talk)
            while True:
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                    step = talk.send(None)
                    continue
                try:
                    found = await self._transport.ask(step)
                except ServerError as error:
                    step = talk.throw(error)
                else:
                    step = talk.send(found)
        except StopIteration as end:
            return end.value

    async def close(self) -> None:
        """Gives the connections back."""
        await self._transport.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

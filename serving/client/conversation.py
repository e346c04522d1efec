"""What is said to a server for a prediction, apart from how it is sent: all clients share this."""

import random
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from serving.client.errors import BadFeatures, ServerError
from serving.client.signature import Features, Signature, signatures

FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Answer:
    """Predictions by task.

    Attributes:
      outputs: arrays by the outputs' names, `[rows]` or `[rows, classes]`.
      version: that answered; None where the protocol does not say it (REST).
    """

    outputs: dict[str, np.ndarray]
    version: int | None

    def __getitem__(self, name: str) -> np.ndarray:
        return self.outputs[name]


@dataclass(frozen=True)
class Metadata:
    """Ask for the signatures, within so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Predict:
    """Ask for predictions, within so many seconds."""

    signature: Signature
    inputs: dict[str, np.ndarray]
    seconds: float


@dataclass(frozen=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float


Step = Metadata | Predict | Wait


class Conversation:
    """Keeps what is known of the model from one prediction to the next."""

    def __init__(self) -> None:
        self._known: dict[str, Signature] | None = None

    def predict(self, features: Features, signature: str, seconds: float) -> Generator[Step, Any, Answer]:
        """Yields what to do, is sent what came of it, or thrown the ServerError, and returns the answer.

        The signatures are asked for once, and again where features or request turn out not to fit them: the
        server may have got a new version since.
        """
        deadline = time.monotonic() + seconds
        fresh = self._known is None
        if fresh:
            yield from self._learn(deadline)
        while True:
            try:
                one = self._signature(signature)
                step = Predict(one, one.check(features), 0.0)
                return (yield from _patiently(step, deadline))
            except BadFeatures:
                if fresh:
                    raise
            except ServerError as error:
                if fresh or error.code not in ("INVALID_ARGUMENT", "FAILED_PRECONDITION"):
                    raise
            yield from self._learn(deadline)
            fresh = True

    def signature(self, name: str, seconds: float) -> Generator[Step, Any, Signature]:
        """As `predict`, for what a signature takes and gives."""
        if self._known is None:
            yield from self._learn(time.monotonic() + seconds)
        return self._signature(name)

    def _learn(self, deadline: float) -> Generator[Step, Any, None]:
        self._known = signatures((yield from _patiently(Metadata(0.0), deadline)))

    def _signature(self, name: str) -> Signature:
        known = self._known or {}
        if name not in known:
            raise BadFeatures(f"the model has no signature {name}; it has {', '.join(sorted(known))}")
        return known[name]


def _patiently(step: Metadata | Predict, deadline: float) -> Generator[Step, Any, Any]:
    """The step, again where that may help, with exponential backoff and full jitter, until the deadline."""
    wait = FIRST_WAIT_SECONDS
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ServerError("DEADLINE_EXCEEDED", "there was no answer in time")
        try:
            return (yield replace(step, seconds=left))
        except ServerError as error:
            pause = random.uniform(0, wait)
            if not error.again or time.monotonic() + pause >= deadline:
                raise
        yield Wait(pause)
        wait = min(2 * wait, LONGEST_WAIT_SECONDS)

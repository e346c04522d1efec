"""REST, sync over requests and async over aiohttp; both keep their connections."""

import json
import time
from typing import Any

import numpy as np

from serving.client.conversation import Answer, Metadata, Predict
from serving.client.errors import ServerError
from serving.client.target import Target

_CODES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_AGAIN = (429, 502, 503)
_MOST_CONNECTIONS = 1000


class Rest:
    """Blocking."""

    def __init__(self, target: Target):
        import requests

        self._target = target
        self._session = requests.Session()
        # as many threads as there are keep a connection; of more than ten requests would close the others'
        adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=_MOST_CONNECTIONS)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

    def ask(self, step: Metadata | Predict) -> Any:
        import requests
        import urllib3

        until = time.monotonic() + step.seconds
        try:
            with self._session.request(
                *_line(self._target, step), data=_body(step), timeout=step.seconds, stream=True
            ) as response:
                return _read(step, self._target, response.status_code, _content(response, until))
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
            raise ServerError("DEADLINE_EXCEEDED", f"{self._target.address} did not answer in time") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            said = f"{self._target.address}: {_reason(error)}"
            raise ServerError("UNAVAILABLE", said, again=True) from None

    def close(self) -> None:
        self._session.close()


class AsyncRest:
    """For one event loop."""

    def __init__(self, target: Target):
        import aiohttp

        self._target = target
        self._session = aiohttp.ClientSession()

    async def ask(self, step: Metadata | Predict) -> Any:
        import aiohttp

        try:
            async with self._session.request(
                *_line(self._target, step), data=_body(step), timeout=aiohttp.ClientTimeout(step.seconds)
            ) as response:
                return _read(step, self._target, response.status, await response.read())
        except TimeoutError:
            raise ServerError("DEADLINE_EXCEEDED", f"{self._target.address} did not answer in time") from None
        except aiohttp.ClientError as error:
            raise ServerError("UNAVAILABLE", f"{self._target.address}: {error}", again=True) from None

    async def close(self) -> None:
        await self._session.close()


def _reason(error: Exception) -> str:
    """What the system said, where requests and urllib3 have wrapped it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return str(error)


def _content(response: Any, until: float) -> bytes:
    """The body, in parts as they come: the timeout of `requests` is for each part, and not for all."""
    parts = []
    while part := response.raw.read1(1 << 16, decode_content=True):
        if time.monotonic() > until:
            raise TimeoutError
        parts.append(part)
    return b"".join(parts)


def _line(target: Target, step: Metadata | Predict) -> tuple[str, str]:
    if isinstance(step, Metadata):
        return "GET", f"{target.url}/metadata"
    return "POST", f"{target.url}:predict"


def _body(step: Metadata | Predict) -> bytes | None:
    if isinstance(step, Metadata):
        return None
    # the REST front wants every input to be named: defaults are sent
    defaults = {n: t.default for n, t in step.signature.inputs.items() if t.default is not None}
    inputs = {name: _plain(array) for name, array in {**defaults, **step.inputs}.items()}
    return json.dumps({"signature_name": step.signature.name, "inputs": inputs}).encode()


def _plain(array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    texts = np.empty(array.size, object)
    texts[:] = [_text(x) for x in array.reshape(-1)]
    return texts.reshape(array.shape).tolist()


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        import base64

        return {"b64": base64.b64encode(value).decode()}


def _read(step: Metadata | Predict, target: Target, status: int, body: bytes) -> Any:
    try:
        content = json.loads(body)
    except ValueError:
        content = {"error": body[:200].decode("utf-8", "replace")}
    if status != 200:
        said = content.get("error", "") if isinstance(content, dict) else str(content)
        raise ServerError(_CODES.get(status, "INTERNAL"), said or f"HTTP {status}", again=status in _AGAIN)
    try:
        if isinstance(step, Metadata):
            return content["metadata"]["signature_def"]["signature_def"]
        found, outputs = content["outputs"], step.signature.outputs
    except (KeyError, TypeError):
        raise ServerError("INTERNAL", f"{target.url} did not answer as TensorFlow Serving does") from None
    named = found if len(outputs) > 1 else {next(iter(outputs)): found}
    return Answer({n: _array(values, outputs[n].type) for n, values in named.items()}, target.version)


def _array(values: Any, kind: np.dtype) -> np.ndarray:
    if kind != object:
        return np.array(values, kind)
    import base64

    shape = np.shape(np.array(values, object))
    flat = np.array(values, object).reshape(-1)
    found = np.empty(len(flat), object)
    found[:] = [base64.b64decode(x["b64"]) if isinstance(x, dict) else x.encode() for x in flat]
    return found.reshape(shape)

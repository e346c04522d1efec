"""The REST front: /v1/models/..., and the metrics."""

import asyncio
import json
import logging
import re
import time
from urllib.parse import unquote

from aiohttp import web
from google.protobuf.json_format import MessageToDict

from serving.server import json_tensors
from serving.server.answers import metadata, model_status
from serving.server.errors import RequestError, invalid
from serving.server.predictor import Predictor
from serving.server.servable import DEFAULT_SIGNATURE

METRICS = "/monitoring/prometheus/metrics"
# model_servers/http_rest_api_util.cc
_WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<method>classify|regress|predict)", re.IGNORECASE
)
_STATUS = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?P<metadata>/metadata)?", re.IGNORECASE)
_INT64_MAX = 2**63 - 1
_LOG = logging.getLogger(__name__)


def application(predictor: Predictor) -> web.Application:
    """The web application."""
    front = _Front(predictor)
    app = web.Application(client_max_size=predictor.limits.body)
    app.router.add_get(METRICS, front.metrics)
    app.router.add_route("*", "/{path:.*}", front.any)
    return app


class _Front:
    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    async def metrics(self, _: web.Request) -> web.Response:
        served = self._predictor.manager.served
        versions = {v: v == served.default for v in served.loaded}
        text = self._predictor.metrics.text(self._predictor.manager.name, versions)
        return web.Response(text=text, content_type="text/plain")

    async def any(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path
        try:
            if not path.lower().startswith("/v1/"):
                raise RequestError("NOT_FOUND", f"nothing is served at {path}; models are at /v1/models/NAME")
            if request.method == "POST" and (found := _PREDICT.fullmatch(path)):
                return await self._predict(request, found)
            if request.method == "GET" and (found := _STATUS.fullmatch(path)):
                return self._look(found)
            raise invalid(f"Malformed request: {request.method} {path}")
        except RequestError as error:
            return _error(error.http, error.message)
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"the body is larger than {self._predictor.limits.body} bytes")
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            _LOG.exception("%s %s", request.method, path)
            return _error(500, "the server failed; its log says why")

    async def _predict(self, request: web.Request, found: re.Match[str]) -> web.Response:
        began = time.monotonic()
        name, status = unquote(found["name"]), "OK"
        try:
            return await self._answer(request, found, name, began + self._predictor.limits.seconds)
        except RequestError as error:
            status = error.code
            raise
        except web.HTTPRequestEntityTooLarge:
            status = "INVALID_ARGUMENT"
            raise
        except BaseException:
            status = "INTERNAL"
            raise
        finally:
            self._predictor.count("REST", name, status, began)

    async def _answer(
        self, request: web.Request, found: re.Match[str], name: str, deadline: float
    ) -> web.Response:
        if found["method"].lower() != "predict":
            raise RequestError("UNIMPLEMENTED", f"this server answers :predict, and not :{found['method']}")
        version, label = _which(found)
        predictor, limits = self._predictor, self._predictor.limits
        with predictor.admit() as place, predictor.manager.hold(name, version, label) as servable:
            if (request.content_length or 0) > limits.body:
                raise web.HTTPRequestEntityTooLarge(limits.body, request.content_length)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    body = await request.read()
            except TimeoutError:
                raise RequestError("DEADLINE_EXCEEDED", "the body did not arrive in time") from None
            except web.RequestPayloadError as error:  # it is not in the encoding that its header names
                # aiohttp would read on for what is left of it, fail again, and write its traceback to the log
                request.content.feed_eof()
                request.protocol.close()
                raise invalid(f"the body cannot be read: {error}") from None

            servable.hold()  # the call may outlive this block, where its time is over

            def work(seconds: float) -> bytes:
                try:
                    asked = json_tensors.parse(body)
                    inputs = json_tensors.inputs_of(asked, servable)
                    signature = asked.get("signature_name", "")
                    outputs = servable.call(signature, inputs, [], limits.rows, seconds)
                    if predictor.log:
                        told = request.headers.get("X-Request-ID", "")
                        asked_for = signature or DEFAULT_SIGNATURE
                        about = (asked_for, told, servable.version, inputs, outputs, len(body))
                        predictor.log.offer(*about, servable.private)
                    return json_tensors.answer(outputs, rows="instances" in asked)
                finally:
                    servable.let_go()

            return _json(await place.run(work, deadline))

    def _look(self, found: re.Match[str]) -> web.Response:
        if not found["name"]:
            raise invalid("Missing model name in request.")
        version, label = _which(found)
        name, manager = unquote(found["name"]), self._predictor.manager
        form = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
        if not found["metadata"]:
            status = model_status(manager, name, version, label)
            return _json(json.dumps(MessageToDict(status, **form), indent=1).encode())
        with manager.hold(name, version, label) as servable:
            spec, signatures = metadata(name, servable)
        content = {
            "model_spec": MessageToDict(spec, **form),
            "metadata": {"signature_def": MessageToDict(signatures, **form)},
        }
        return _json(json.dumps(content, indent=1).encode())


def _which(found: re.Match[str]) -> tuple[int | None, str]:
    version = int(found["version"]) if found["version"] and len(found["version"]) < 20 else None
    if found["version"] and (version is None or version > _INT64_MAX):
        raise invalid(f"Failed to convert version: {found['version']} to numeric.")
    return version, unquote(found["label"] or "")


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    return web.Response(
        body=json.dumps({"error": message}).encode(), status=status, content_type="application/json"
    )

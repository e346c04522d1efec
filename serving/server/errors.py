"""What a request can be told, by the canonical names of status codes (google/rpc/code.proto)."""

# model_servers/http_server.cc, ToHTTPStatusCode
HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class RequestError(Exception):
    """A request that gets no answer; `code` is the name of its status."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http(self) -> int:
        """The status that REST answers with."""
        return HTTP.get(self.code, 500)


def invalid(message: str) -> RequestError:
    """INVALID_ARGUMENT."""
    return RequestError("INVALID_ARGUMENT", message)

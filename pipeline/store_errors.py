"""Errors of s3, gs and hdfs, of as many kinds as there are ways there, as one that names the place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from http import HTTPStatus

from pipeline.ingest.errors import DataError, Unreachable
from pipeline.recipe.remote import scheme

# by names, as what the file systems are reached by may not be installed
_OF_NETWORK = {
    "builtins.ConnectionError",
    "builtins.TimeoutError",
    "botocore.exceptions.ConnectionError",
    "botocore.exceptions.HTTPClientError",
    "botocore.exceptions.IncompleteReadError",
    "google.auth.exceptions.TransportError",
    "http.client.HTTPException",
    "requests.exceptions.ChunkedEncodingError",
    "requests.exceptions.ConnectionError",
    "requests.exceptions.Timeout",
    "urllib3.exceptions.HTTPError",
}
_OF_CREDENTIALS = {
    "botocore.exceptions.CredentialRetrievalError",
    "botocore.exceptions.NoCredentialsError",
    "botocore.exceptions.PartialCredentialsError",
    "botocore.exceptions.SSOError",
    "botocore.exceptions.TokenRetrievalError",
    "google.auth.exceptions.GoogleAuthError",
}
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
# what s3 says with status 400, and hdfs with a name alone
_REFUSED_NAMES = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "TokenRefreshRequired",
    "AccessControlException",
    "AuthorizationException",
    "SecurityException",
}
_BUSY_NAMES = {"RetriableException", "StandbyException"}  # of hdfs, with status 403
_VARIABLES = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS",),
}


@contextlib.contextmanager
def told(place: str, what: str) -> Iterator[None]:
    """Names what an error is of.

    Args:
      place: in the recipe, or what was being done.
      what: the URI or pattern that was read or written.

    Raises:
      Unreachable: the store gave no answer, was too busy, or the connection was lost.
      DataError: it refused, or anything else that would end alike.
      OSError: of this machine, such as a full disk.
    """
    try:
        yield
    except DataError as error:
        raise error if str(error).startswith(place) else type(error)(f"{place}: {what}: {error}") from None
    except Exception as error:
        found = _causes(error)
        if refused := next((e for e in found if _is_refusal(e)), None):
            raise DataError(f"{place}: {what}: {_refusal(scheme(what), refused)}") from error
        if lost := next((e for e in found if _is_lost(e)), None):
            raise Unreachable(f"{place}: {what}: the connection was lost, run again: {lost}") from error
        if busy := next((e for e in found if _is_busy(e)), None):
            raise Unreachable(f"{place}: {what}: the store cannot answer now, run again: {busy}") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"{place}: {what}: {found[-1]}") from error


def may_pass(error: BaseException) -> bool:
    """Whether the same call may do a little later."""
    found = _causes(error)
    return any(_is_lost(e) or _is_busy(e) for e in found) and not any(_is_refusal(e) for e in found)


def credentials(kind: str) -> str:
    """Where s3's or gs's come from: variables of the environment, and what else is looked at."""
    if kind == "s3":
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role"
    return "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login`, or the machine's role"


def _refusal(kind: str, error: BaseException) -> str:
    """What was refused, whose credentials those were, and what to do; never a value of theirs."""
    return (
        f"{kind} refuses the credentials that it was given: {error}. They are {_whose(kind)}, and run again: "
        "what is done stays"
    )


def _whose(kind: str) -> str:
    if kind == "hdfs":
        return "the user's name in beam.options.hdfs_user: let that user read and write there"
    given = [name for name in _VARIABLES[kind] if os.environ.get(name)]
    known = f"set here: {', '.join(given)}" if given else "no such variable is set here"
    return (
        f"of the environment ({credentials(kind)}; {known}): give it such as are in force and may read, or "
        "write, there"
    )


def _is_refusal(error: BaseException) -> bool:
    unnamed = type(error).__name__ == "HdfsError" and "Authentication failure" in str(error)
    known = _is_a(error, _OF_CREDENTIALS) and not _is_lost(error)
    return _status(error) in _REFUSED or _name(error) in _REFUSED_NAMES or unnamed or known


def _is_lost(error: BaseException) -> bool:
    return _is_a(error, _OF_NETWORK)


def _is_busy(error: BaseException) -> bool:
    status = _status(error) or 0
    return status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR or _name(error) in _BUSY_NAMES


def _name(error: BaseException) -> str:
    """What the store calls it: botocore's errors have that, and those of the package hdfs."""
    named = getattr(error, "exception", None)
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        named = error.response["Error"]["Code"]
    return named if isinstance(named, str) else ""


def _status(error: BaseException) -> int | None:
    """Of an answer by HTTP: of Google's errors and Beam's, of requests', of botocore's."""
    code = getattr(error, "code", None)
    response = getattr(error, "response", None)
    if code is None and isinstance(response, dict):
        code = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    elif code is None:
        code = getattr(response, "status_code", None)
    return int(code) if isinstance(code, int) else None


def _causes(error: BaseException | None) -> list[BaseException]:
    """An error and what is inside Beam's, which are made of errors by path; then those that they came from."""
    inside, behind = [], []
    while error is not None and error not in inside:
        inside.append(error)
        error = next(iter((getattr(error, "exception_details", None) or {}).values()), None)
    for one in inside:
        # Beam's client of s3 fails at asking a lost connection for its status
        behind += _causes(one.__cause__ or one.__context__)
    return [*behind, *inside]


def _is_a(error: BaseException, names: set[str]) -> bool:
    return any(f"{kind.__module__}.{kind.__name__}" in names for kind in type(error).__mro__)

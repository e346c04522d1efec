"""s3 as Beam reads it, for a minute: left to itself Beam tries a lost connection again for eight."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from apache_beam.io.aws.clients.s3.boto3_client import Client
from apache_beam.io.aws.clients.s3.messages import ListRequest, S3ClientError
from apache_beam.io.aws.s3io import S3IO
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.retry import PermanentException
from google.api_core.exceptions import RetryError
from google.api_core.retry import Retry

from pipeline.store_errors import may_pass

SECONDS = 60.0


def s3(options: PipelineOptions) -> S3IO:
    """Beam's, of one thread, whose reads raise `PermanentException` after a minute in which nothing came."""
    return S3IO(client=_Patient(options))


class _Patient(Client):
    """Beam's client, which tries again for `SECONDS` at most. Each try has boto3's own in it."""

    def list(self, request: Any) -> Any:
        return _tried(super().list, request)

    def get_object_metadata(self, request: Any) -> Any:
        try:
            return _tried(super().get_object_metadata, request)
        except S3ClientError as error:
            if error.code == HTTPStatus.BAD_REQUEST:  # an answer without a body, which would say why
                self.list(ListRequest(request.bucket, request.object))
            raise

    def get_range(self, request: Any, start: int, end: int) -> bytes:
        without_beam_s_tries = Client.get_range.__wrapped__
        return _tried(without_beam_s_tries, self, request, start, end)


def _tried(call: Callable[..., Any], *given: Any) -> Any:
    again = Retry(predicate=may_pass, initial=1.0, maximum=16.0, timeout=SECONDS)
    try:
        return again(call)(*given)
    except Exception as error:
        last = error.cause if isinstance(error, RetryError) else error
        if isinstance(last, S3ClientError) and (last.code or 500) < 500:  # which Beam knows how to take
            raise last from None
        raise PermanentException(str(last)) from last

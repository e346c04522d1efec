"""Whether a file system can be reached, in words: what Beam would try again for minutes, or take for an empty
folder."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from pipeline.ingest.errors import DataError, Unreachable
from pipeline.recipe.remote import scheme
from pipeline.store_errors import credentials

_NEEDS = {
    "s3": ("boto3", "`make setup EXTRAS=aws`, or `pip install '.[aws]'`"),
    "gs": ("google.cloud.storage", "`pip install 'apache-beam[gcp]'`"),
    "hdfs": ("hdfs", "`make setup EXTRAS=hdfs`, or `pip install '.[hdfs]'`"),
}


def reach(pattern: str, options: Any) -> None:
    """Asks for one thing, at once; within `told`, as what a store answers is of its own kind.

    Args:
      pattern: of files.
      options: Beam's, which say how a file system is reached.

    Raises:
      DataError: a package is missing, or credentials; there is no such bucket.
      Unreachable: there is no answer.
    """
    kind = scheme(pattern)
    package, remedy = _NEEDS[kind]
    try:
        there = find_spec(package) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise DataError(f"{kind}:// needs the package {package}, which is not installed: {remedy}")
    bucket = pattern.split("/")[2]
    if kind == "s3":
        _reach_s3(bucket, options)
    elif kind == "gs":
        _reach_gs(bucket)
    else:
        _reach_hdfs(options)


def _reach_s3(bucket: str, options: Any) -> None:
    from apache_beam.io.aws.clients.s3.boto3_client import Client
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        HTTPClientError,
        NoCredentialsError,
    )

    try:
        Client(options).client.head_bucket(Bucket=bucket)
    except NoCredentialsError:
        raise DataError(f"there are no credentials for s3 in the environment: {credentials('s3')}") from None
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise DataError(f"there is no bucket {bucket}") from None
        # whoever may not list a bucket may still read files in it
    except (ConnectionError, HTTPClientError) as error:
        raise Unreachable(f"s3 cannot be reached: {error}") from None
    except BotoCoreError as error:
        raise DataError(f"s3: {error}") from None


def _reach_gs(bucket: str) -> None:
    import google.auth
    from google.api_core.exceptions import Forbidden, NotFound, Unauthorized
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.cloud import storage
    from requests.exceptions import RequestException

    known = True
    try:
        found, _ = google.auth.default()
        client = storage.Client(project=None, credentials=found)
    except DefaultCredentialsError:  # a public bucket needs none
        known, client = False, storage.Client.create_anonymous_client()
    try:
        list(client.list_blobs(bucket, max_results=1, retry=None, timeout=20))
    except NotFound:
        raise DataError(f"there is no bucket {bucket}") from None
    except (Forbidden, Unauthorized, GoogleAuthError) as error:
        if not known:
            raise DataError(
                f"there are no credentials for gs in the environment, and bucket {bucket} is not public: "
                f"{credentials('gs')}"
            ) from None
        if isinstance(error, GoogleAuthError):
            raise
        # whoever may not list a bucket may still read files in it
    except RequestException as error:
        raise Unreachable(f"gs cannot be reached: {error}") from None


def _reach_hdfs(options: Any) -> None:
    from requests.exceptions import RequestException

    from pipeline.remote_listing import hdfs_client

    try:
        hdfs_client(options).status("/")
    except RequestException as error:
        raise Unreachable(f"hdfs cannot be reached: {error}") from None

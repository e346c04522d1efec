"""The files that a pattern on s3, gs or hdfs matches, and what is in them."""

from __future__ import annotations

import posixpath
import re
import threading
from typing import TYPE_CHECKING, BinaryIO

from apache_beam.io.filesystem import CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import HadoopFileSystemOptions, PipelineOptions

from pipeline.recipe.remote import scheme
from pipeline.s3 import s3

if TYPE_CHECKING:
    import hdfs
    from apache_beam.io.aws.s3io import S3IO

_SECONDS = 20.0  # for an answer of hdfs


def listed(pattern: str, options: PipelineOptions) -> dict[str, tuple[int, float]]:
    """URI → size in bytes, and when it changed in seconds since 1970; folders are left out.

    Args:
      pattern: as Beam's file systems take it: `*` within a folder, `**` through folders.
      options: Beam's, which say how a file system is reached; `FileSystems` has them too.

    Raises:
      BeamIOError, hdfs.HdfsError: it cannot be listed.
    """
    if scheme(pattern) == "hdfs":
        return _on_hdfs(pattern, options)
    if scheme(pattern) == "s3":
        return _on_s3(pattern, options)
    found = FileSystems.match([pattern])[0].metadata_list
    return {m.path: (m.size_in_bytes, m.last_updated_in_seconds) for m in found if m.path[-1] != "/"}


class Files:
    """What is in files, for any number of threads: each keeps one client of s3, which takes .2 s to make."""

    def __init__(self, options: PipelineOptions):
        self._options, self._of_thread = options, threading.local()

    def checksum(self, path: str) -> str:
        """What the store itself tells a file's content by."""
        return self._s3().checksum(path) if scheme(path) == "s3" else FileSystems.checksum(path)

    def open(self, path: str) -> BinaryIO:
        """A file to read, as its bytes are there."""
        if scheme(path) == "s3":
            return self._s3().open(path)
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)

    def _s3(self) -> S3IO:
        if not hasattr(self._of_thread, "s3"):
            self._of_thread.s3 = s3(self._options)
        return self._of_thread.s3


def hdfs_client(options: PipelineOptions) -> hdfs.Client:
    """WebHDFS, as Beam reaches it."""
    import hdfs

    given = options.view_as(HadoopFileSystemOptions)
    url = f"http://{given.hdfs_host}:{given.hdfs_port}"
    return hdfs.InsecureClient(url, user=given.hdfs_user, timeout=_SECONDS)


def _on_s3(pattern: str, options: PipelineOptions) -> dict[str, tuple[int, float]]:
    matches = re.compile(FileSystem.translate_pattern(pattern)).match
    found = s3(options).list_files(_fixed(pattern), with_metadata=True)
    return {path: facts for path, facts in found if matches(path) and path[-1] != "/"}


def _on_hdfs(pattern: str, options: PipelineOptions) -> dict[str, tuple[int, float]]:
    """Beam's own way looks into one folder, takes those in it for files, and fails where there is none."""
    full = options.view_as(HadoopFileSystemOptions).hdfs_full_urls
    root = re.match(r"hdfs://[^/]+" if full else "hdfs:/", pattern)[0]
    path = pattern[len(root) :]
    fixed = _fixed(path)
    client = hdfs_client(options)
    if fixed == path:
        status = _status(client, path)
        return {pattern: _facts(status)} if status and status["type"] == "FILE" else {}
    folder = posixpath.dirname(fixed)
    if _status(client, folder) is None:
        return {}
    depth = 0 if "**" in path else path.count("/", len(folder.rstrip("/")))  # 0 is without end
    matches = re.compile(FileSystem.translate_pattern(path)).match
    return {
        root + place: _facts(status)
        for (where, _), _, files in client.walk(folder, depth, status=True)
        for name, status in files
        if matches(place := posixpath.join(where, name))
    }


def _status(client: hdfs.Client, path: str) -> dict | None:
    """None where nothing is; the client's own `strict=False` has that for who may not look, too."""
    from hdfs import HdfsError

    try:
        return client.status(path)
    except HdfsError as error:
        if error.exception == "FileNotFoundException":
            return None
        raise


def _fixed(pattern: str) -> str:
    return re.match(r"[^*?\[]*", pattern)[0]


def _facts(status: dict) -> tuple[int, float]:
    return status["length"], status["modificationTime"] / 1000

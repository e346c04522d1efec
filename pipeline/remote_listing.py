"""The files that a pattern on s3, gs or hdfs matches."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from apache_beam.io.filesystem import FileSystem
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import HadoopFileSystemOptions, PipelineOptions

from pipeline.recipe.remote import scheme

if TYPE_CHECKING:
    import hdfs

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
    found = FileSystems.match([pattern])[0].metadata_list
    return {m.path: (m.size_in_bytes, m.last_updated_in_seconds) for m in found if m.path[-1] != "/"}


def hdfs_client(options: PipelineOptions) -> hdfs.Client:
    """WebHDFS, as Beam reaches it."""
    import hdfs

    given = options.view_as(HadoopFileSystemOptions)
    url = f"http://{given.hdfs_host}:{given.hdfs_port}"
    return hdfs.InsecureClient(url, user=given.hdfs_user, timeout=_SECONDS)


def _on_hdfs(pattern: str, options: PipelineOptions) -> dict[str, tuple[int, float]]:
    """Beam's own way looks into one folder, takes those in it for files, and fails where there is none."""
    full = options.view_as(HadoopFileSystemOptions).hdfs_full_urls
    root = re.match(r"hdfs://[^/]+" if full else "hdfs:/", pattern)[0]
    path = pattern[len(root) :]
    fixed = re.match(r"[^*?\[]*", path)[0]
    client = hdfs_client(options)
    if fixed == path:
        status = client.status(path, strict=False)
        return {pattern: _facts(status)} if status and status["type"] == "FILE" else {}
    folder = posixpath.dirname(fixed)
    if client.status(folder, strict=False) is None:
        return {}
    depth = 0 if "**" in path else path.count("/", len(folder.rstrip("/")))  # 0 is without end
    matches = re.compile(FileSystem.translate_pattern(path)).match
    return {
        root + place: _facts(status)
        for (where, _), _, files in client.walk(folder, depth, status=True)
        for name, status in files
        if matches(place := posixpath.join(where, name))
    }


def _facts(status: dict) -> tuple[int, float]:
    return status["length"], status["modificationTime"] / 1000

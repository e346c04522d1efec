"""The version that serves, copied to s3, gs or hdfs for servers that read it there."""

from __future__ import annotations

import shutil
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.ingest.errors import DataError, Unreachable
from pipeline.reachable import reach
from pipeline.recipe.remote import scheme
from pipeline.remote_listing import Files, listed
from pipeline.store_errors import told
from serving import versions
from serving.releases import damage

_LAST = "saved_model.pb"
_RECORD = f"assets.extra/{versions.RECORD}"


class CannotPublish(Exception):
    """Why the version is not there whole.

    Attributes:
      again: whether another call may do it: nothing was wrong but the connection.
    """

    def __init__(self, message: str, again: bool = False):
        super().__init__(message)
        self.again = again


def publish(folder: Path, uri: str, options: PipelineOptions) -> tuple[int, bool]:
    """Copies the version that serves to `uri/<version>`, whole or to be made whole by the next call.

    A bucket has no rename of folders. So `saved_model.pb` is written last, once all other files are there in
    their sizes: without it a version does not load, which TensorFlow Serving tries again
    (`--max_num_load_retries`), and is none here. Versions never change, so one that is whole is not copied
    again.

    Args:
      folder: the served folder.
      uri: what servers are given as the model's base path.
      options: say how its file system is reached.

    Returns:
      The version, and whether it was copied.

    Raises:
      CannotPublish: nothing serves, or it is damaged; the file system cannot be reached or written; or
        another model is there under this number.
    """
    version = versions.current(folder)
    if version is None:
        raise CannotPublish(f"no version serves in {folder}")
    if broken := damage(version):
        raise CannotPublish(f"version {version.name}: {broken}")
    FileSystems.set_options(options)
    target = f"{uri.rstrip('/')}/{version.name}"
    try:
        with told("publish", target):
            reach(target, options)
            copied, fault = _copy(version, target, options)
    except DataError as error:
        raise CannotPublish(str(error), isinstance(error, Unreachable)) from None
    if fault:
        raise CannotPublish(fault)
    return int(version.name), copied


def _copy(version: Path, target: str, options: PipelineOptions) -> tuple[bool, str]:
    """Whether it had to be copied, and why it cannot be, or nothing."""
    there = listed(f"{target}/**", options)
    if f"{target}/{_LAST}" in there:
        record = version / _RECORD
        same = f"{target}/{_RECORD}" in there and record.is_file()
        if same and _read(f"{target}/{_RECORD}", options) == record.read_bytes():
            return False, ""
        return False, (
            f"{target} has another model under this number: another recommender's output is published there; "
            "give each a place of its own"
        )
    files = {f"{target}/{p.relative_to(version).as_posix()}": p for p in version.rglob("*") if p.is_file()}
    part = f"{target}/{_LAST}.part"
    if scheme(target) == "hdfs" and (half := [to for to in (*files, part) if to in there]):
        FileSystems.delete(half)  # of a call that was cut off; hdfs writes over nothing
    last = files.pop(f"{target}/{_LAST}")
    for to, file in files.items():
        _write(file, to)
    there = listed(f"{target}/**", options)
    for to, file in files.items():
        if to not in there or there[to][0] != file.stat().st_size:
            raise Unreachable(f"{to} did not arrive whole; publish again")
    if scheme(target) == "hdfs":  # where what is half-written can be seen, and a rename is one step
        _write(last, part)
        FileSystems.rename([part], [f"{target}/{_LAST}"])
    else:
        _write(last, f"{target}/{_LAST}")
    return True, ""


def _read(place: str, options: PipelineOptions) -> bytes:
    with Files(options).open(place) as file:
        return file.read()


def _write(file: Path, to: str) -> None:
    with (
        file.open("rb") as source,
        FileSystems.create(to, compression_type=CompressionTypes.UNCOMPRESSED) as sink,
    ):
        shutil.copyfileobj(source, sink, 16 << 20)

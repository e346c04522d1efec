"""A full disk is told in words, and leaves nothing half-written that is read."""

import contextlib
import errno
import os
import resource
import subprocess

import pytest
from ml_metadata import metadata_store
from ml_metadata.errors import InternalError
from ml_metadata.proto import metadata_store_pb2

from pipeline import terminal
from pipeline.disk import full
from pipeline.report.facts import RunFacts
from pipeline.report.form import read
from pipeline.report.write import write_report


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a disk")
    yield place
    subprocess.run(["umount", place], check=True)


def test_it_is_named_however_the_error_came(tmp_path):
    kept = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "artifacts" / "x"))
    said = full(kept, tmp_path)
    assert f"the disk that holds {tmp_path} is full" in said and f"`mtl runs gc {tmp_path}`" in said
    try:
        try:
            raise kept
        except OSError as error:
            raise RuntimeError("a step failed") from error
    except RuntimeError as error:
        assert full(error, tmp_path) == said
    assert full(RuntimeError("database or disk is full"), tmp_path)
    assert full(
        RuntimeError("RESOURCE_EXHAUSTED: /x: No space left on device [while running 'Write']"), tmp_path
    )
    assert full(OSError(errno.EDQUOT, "Disk quota exceeded"), tmp_path)
    for other in (OSError(errno.EACCES, "Permission denied"), ValueError("full of errors"), None):
        assert full(other, tmp_path) == ""


def test_metadata_that_cannot_be_committed_are_for_lack_of_room(small_disk, tmp_path):
    error = InternalError("cannot commit - no transaction is active")
    assert "is full" in full(error, small_disk)
    assert full(error, tmp_path) == "" and full(ValueError("x"), small_disk) == ""


@pytest.fixture
def files_of_40_kb():
    """Files that this process may write have 40 kB at most."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_limit_on_files_is_told_as_such_also_where_metadata_meet_it(files_of_40_kb, tmp_path):
    store = metadata_store_pb2.ConnectionConfig()
    store.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    store.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    with pytest.raises(RuntimeError) as of_metadata:
        metadata_store.MetadataStore(store)
    with pytest.raises(OSError) as of_a_file:
        (tmp_path / "file").write_bytes(bytes(50_000))
    of_c = RuntimeError("INTERNAL: /x/Split-train; File too large [while running 'Write']")
    for error in (of_metadata.value, of_a_file.value, of_c):
        said = full(error, tmp_path)
        assert "larger than the 40 kB that this process may write (`ulimit -f`" in said
        assert "raise that limit, and run again: what had finished is used" in said
    assert "raise that limit, and begin anew" in full(of_c, tmp_path, "begin anew")


def test_without_a_limit_it_is_the_disk_s_format_or_the_disk_itself(tmp_path):
    assert "file system takes" in full(OSError(errno.EFBIG, "File too large"), tmp_path)
    assert full(RuntimeError("Error when executing query: disk I/O error query: COMMIT;"), tmp_path) == ""


def test_a_log_beyond_the_limit_loses_lines_and_not_the_run(files_of_40_kb, tmp_path, capfd):
    with terminal.chatter_to(tmp_path / "log.txt") as console:
        print("x" * 100_000)
        console.print("for the terminal")
    assert "for the terminal" in capfd.readouterr().out


def test_a_log_on_a_full_disk_loses_lines_and_not_the_run(tmp_path, capfd):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    with terminal.chatter_to(tmp_path / "log.txt") as console:
        print("x" * 100_000)
        console.print("for the terminal")
    assert "for the terminal" in capfd.readouterr().out


def test_a_log_gets_all_lines_in_their_order(tmp_path, capfd):
    with terminal.chatter_to(tmp_path / "log.txt"):
        print("from Python")
        os.write(2, b"from C++\n")
        print("from Python again, “ö”")
    assert (tmp_path / "log.txt").read_text() == "from Python\nfrom C++\nfrom Python again, “ö”\n"
    assert capfd.readouterr().out == ""


def test_a_report_on_a_full_disk_is_the_old_one_or_none(small_disk):
    write_report(RunFacts("shop", "run", "failed", "before"), small_disk / "report")
    with contextlib.suppress(OSError), (small_disk / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(OSError) as caught:
        write_report(RunFacts("shop", "run", "failed", "after"), small_disk / "report")
    assert full(caught.value, small_disk)
    assert read(small_disk / "report" / "metrics.json")["reason"] == "before"

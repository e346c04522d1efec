"""A mount whose server has died, as gcsfuse or NFS leave one, told in words."""

import ctypes
import errno
import os

import pytest
from click.testing import CliRunner

from pipeline import mounts
from pipeline.cli import mtl
from pipeline.ingest.errors import DataError
from pipeline.run import OTHER, run
from pipeline.runners import buckets

LAZILY = 2  # MNT_DETACH


@pytest.fixture
def dead(tmp_path):
    """A folder that FUSE mounted for a server that has ended since."""
    at, libc = tmp_path / "gcs/shop logs", ctypes.CDLL(None, use_errno=True)
    at.mkdir(parents=True)
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("there is no FUSE here")
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
    mounted = libc.mount(b"fuse", os.fsencode(at), b"fuse", 0, options.encode())
    os.close(server)
    if mounted:
        pytest.skip("only root can mount a disk")
    yield at
    libc.umount2(os.fsencode(at), LAZILY)


def test_a_mount_that_does_not_answer_is_named(dead):
    with pytest.raises(OSError) as caught:
        (dead / "mtl/x").read_text()
    said = mounts.lost(caught.value)
    assert said.startswith(f"{dead}/mtl/x cannot be reached (Transport endpoint is not connected): ")
    assert f"what is mounted at {dead} does not answer any more" in said and f"umount --lazy {dead}`" in said


def test_it_is_told_of_a_bucket_and_of_sources(dead, smallest_recipe, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(buckets, "MOUNT", dead.parent)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(smallest_recipe)
    given = ["run", str(recipe), "--input", str(tmp_path), "--output", str(tmp_path / "output")]
    found = CliRunner().invoke(mtl, [*given, "--set", "pipeline_root='gs://shop logs/mtl'"])
    said = f"what is mounted at {dead} does not answer any more"
    assert found.exit_code == 1 and said in " ".join(found.output.split())
    (tmp_path / "input").mkdir()
    (tmp_path / "input/log.csv").symlink_to(dead / "log.csv")
    # and not bad data, which no schedule tries again
    assert run(recipe, tmp_path / "input", tmp_path / "output") == OTHER
    assert "does not answer any more" in " ".join(capfd.readouterr().out.split())


def test_what_others_made_of_it_is_known_by_its_words():
    words = os.strerror(errno.ESTALE)
    try:
        try:
            raise RuntimeError(f"a worker said: {words}")
        except RuntimeError as error:
            raise DataError("log.csv cannot be read") from error
    except DataError as error:
        assert mounts.lost(error).startswith(f"a mounted folder cannot be reached ({words}): what is ")
    assert mounts.lost(OSError(errno.ENOENT, "No such file", "log.csv")) == "" == mounts.lost(None)

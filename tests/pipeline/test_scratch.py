import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.runs.gc import collect
from pipeline.scratch import abandoned, scratch


def test_temporary_files_go_with_the_command_whatever_ends_it(tmp_path):
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with pytest.raises(KeyboardInterrupt), scratch(tmp_path):
        [folder] = tmp_path.iterdir()
        assert Path(tempfile.mkdtemp()).parent == folder
        told = [sys.executable, "-c", "import tempfile; print(tempfile.mkstemp()[1])"]
        assert Path(subprocess.run(told, capture_output=True, text=True, check=True).stdout).parent == folder
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


@pytest.fixture
def killed(tmp_path):
    """A folder where a command was killed that had made a temporary file."""
    text = """
import os, signal, sys, tempfile
from pathlib import Path
from pipeline.scratch import scratch
with scratch(Path(sys.argv[1])):
    tempfile.mkstemp()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    code = subprocess.run([sys.executable, "-c", text, tmp_path], check=False).returncode
    assert code == -signal.SIGKILL
    return tmp_path


def test_what_a_killed_command_left_goes_with_the_next_and_a_living_ones_stays(killed):
    [old] = abandoned(killed)
    assert len(list(old.iterdir())) == 2
    with scratch(killed):
        [mine] = killed.iterdir()
        assert mine != old and abandoned(killed) == []
        with scratch(killed):
            assert len(list(killed.iterdir())) == 2 and mine.exists()
    assert not list(killed.iterdir())


def test_gc_deletes_what_a_killed_command_left(killed):
    (killed / "runs").mkdir()
    said = []
    collect(killed, 1, lambda found: said.extend(found.sentences(killed, False)))
    assert "folders left by what was cut off" in said[1]
    assert not list(killed.glob(".scratch-*"))

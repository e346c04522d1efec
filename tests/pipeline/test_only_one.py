"""A folder is held by one process, and by none that has ended."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.only_one import LOCK, Busy, is_busy, only_one

HOLDER = """
import os, sys, time
from pathlib import Path
from pipeline.only_one import only_one
with only_one(Path(sys.argv[1]), "run"):
    child = os.fork() if sys.argv[2] == "with a child" else 1
    if child:
        print(child, flush=True)
    time.sleep(120)
"""


def holder(folder, how):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), how], stdout=subprocess.PIPE, text=True
    )
    return process, int(process.stdout.readline())


def test_another_is_refused_by_name_and_a_killed_one_stops_nobody(tmp_path):
    process, _ = holder(tmp_path, "alone")
    assert is_busy(tmp_path)
    with (
        pytest.raises(Busy, match=rf"another run \(process {process.pid}, since 20"),
        only_one(tmp_path, "run"),
    ):
        pass
    process.kill()
    process.wait()
    assert not is_busy(tmp_path)
    said = []
    with only_one(tmp_path, "run", said.append):
        assert is_busy(tmp_path)
    assert len(said) == 1 and f"run (process {process.pid}, since" in said[0] and "was killed" in said[0]
    with only_one(tmp_path, "run", said.append):  # the one before ended by itself
        assert len(said) == 1


def test_a_child_of_a_killed_one_that_still_holds_it_is_told_of(tmp_path):
    process, child = holder(tmp_path, "with a child")
    process.kill()
    process.wait()
    with (
        pytest.raises(Busy, match="has ended, and a process that it began still holds"),
        only_one(tmp_path, "run"),
    ):
        pass
    os.kill(child, signal.SIGKILL)
    until = time.monotonic() + 60
    while is_busy(tmp_path) and time.monotonic() < until:
        time.sleep(0.01)
    with only_one(tmp_path, "run"):
        pass


def test_a_number_that_another_process_has_now_is_not_taken_for_the_holder_s(tmp_path):
    process, child = holder(tmp_path, "with a child")
    process.kill()
    process.wait()
    left = json.loads((tmp_path / LOCK).read_text())
    assert left["begun"]
    for number in (os.getpid(), child):
        # a process that lives and never held it has the number of the one that did
        (tmp_path / LOCK).write_text(json.dumps(left | {"pid": number}))
        with pytest.raises(Busy, match="has ended, and a process that it began"), only_one(tmp_path, "run"):
            pass
    os.kill(child, signal.SIGKILL)
    until = time.monotonic() + 60
    while is_busy(tmp_path) and time.monotonic() < until:
        time.sleep(0.01)
    told = []
    with only_one(tmp_path, "run", told.append):
        assert f"process {child}" in told[0] and "was killed" in told[0]


@pytest.mark.parametrize("content", ["", "1234", "{}", '{"pid": 1', "[]"])
def test_what_stands_in_the_file_does_not_matter(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    said = []
    with only_one(tmp_path, "run", said.append):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert said == [] and (tmp_path / LOCK).read_text() == ""


def test_one_on_another_machine_is_named_with_it(tmp_path):
    left = {"what": "run", "pid": 7, "host": "elsewhere", "boot": "b", "begun": "9"}
    (tmp_path / LOCK).write_text(json.dumps(left | {"since": "2026-01-01T00:00:00+00:00"}))
    said = []
    with only_one(tmp_path, "run", said.append):
        pass
    assert "process 7 on elsewhere" in said[0]

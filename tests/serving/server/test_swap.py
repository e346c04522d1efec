"""Versions come and go under load; what is not whole is left alone."""

import asyncio
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from pipeline.cli import mtl
from serving import releases, versions
from serving.server.limits import Limits
from serving.server.manager import Manager
from serving.server.server import Server

PREDICT = "/v1/models/demo:predict"
BODY = {"inputs": {"price": [1.0, 2.0], "id": ["a", "b"], "age": [1, 1], "tags": [["x"], [""]]}}


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def states(live):
    content = live.http("/v1/models/demo")[1]["model_version_status"]
    return {int(v["version"]): v["state"] for v in content}


def clicks(live):
    return live.http(PREDICT, BODY)[1]["outputs"]["click"]


def test_swaps_and_rollback_under_load_fail_no_request_and_mix_no_versions(serve, saved):
    live = serve((1,), current=1)
    over, seen = threading.Event(), []

    def ask():
        while not over.is_set():
            seen.append(live.http(PREDICT, BODY))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            for version in (2, 3):
                shutil.copytree(saved / str(version), live.folder / ".part")
                os.rename(live.folder / ".part", live.folder / str(version))
                (live.folder / "CURRENT").write_text(str(version))
                until(lambda v=version: clicks(live) == [v, 2 * v])
                until(lambda v=version: states(live)[v - 1] == "END")
            (live.folder / "CURRENT").write_text("1")  # the one before last, which was unloaded
            until(lambda: clicks(live) == [1, 2])
        finally:
            over.set()
        for each in asking:
            each.result()
    assert {status for status, _ in seen} == {200}
    assert {tuple(content["outputs"]["click"]) for _, content in seen} == {(1, 2), (2, 4), (3, 6)}


def test_a_rollback_by_the_command_is_served_within_seconds(serve, saved, tmp_path):
    folder = tmp_path / "served"
    for version in ("1", "2"):
        now = str(versions.pointed(folder) or "")
        releases.push(saved / version, folder, {"run": version, "model": version}, now)
    live = serve(())
    assert clicks(live) == [2, 4]
    told = CliRunner().invoke(mtl, ["models", "rollback", str(folder), "--reason", "clicks fell"])
    assert told.exit_code == 0 and "version 3 (the model of version 1) serves from now on" in told.output
    until(lambda: clicks(live) == [1, 2])
    until(lambda: states(live) == {2: "END", 3: "AVAILABLE"})
    status, answer = live.http("/v1/models/demo/labels/stable:predict", BODY)
    assert (status, answer["outputs"]["click"]) == (200, [1, 2])


def test_a_half_written_version_is_left_alone_until_it_is_whole(serve, saved):
    live = serve((1,))
    part = live.folder / "2"
    part.mkdir()
    shutil.copy(saved / "2" / "saved_model.pb", part)
    (part / "variables").mkdir()
    whole = (saved / "2" / "variables" / "variables.data-00000-of-00001").read_bytes()
    (part / "variables" / "variables.data-00000-of-00001").write_bytes(whole[: len(whole) // 2])
    time.sleep(0.6)
    assert states(live) == {1: "AVAILABLE"} and clicks(live) == [1, 2]
    shutil.copy(saved / "2" / "variables" / "variables.index", part / "variables")
    until(lambda: states(live).get(2) == "END")  # it looks whole, and cannot be read
    error = live.http("/v1/models/demo/versions/2")[1]["model_version_status"][0]["status"]
    assert error["error_code"] == "UNKNOWN" and error["error_message"]
    assert clicks(live) == [1, 2]
    (part / "variables" / "variables.data-00000-of-00001").write_bytes(whole)
    until(lambda: clicks(live) == [2, 4])


def test_what_is_loaded_serves_on_where_the_folder_is_gone(serve):
    live = serve((1,))
    shutil.rmtree(live.folder)
    time.sleep(0.3)
    assert clicks(live) == [1, 2]


def test_nothing_to_serve_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.server.manager.SETTLE_SECONDS", 0)
    monkeypatch.setattr("serving.server.server.POLL_SECONDS", 0.1)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"\x08")
    (tmp_path / "2").mkdir()
    server = Server(Manager(tmp_path, "demo", {}), Limits(), "127.0.0.1", 0, 0)
    why = r"no version could be loaded \(2: saved_model.pb is missing or empty: .*; 1: "
    with pytest.raises(ValueError, match=why):
        asyncio.run(server.start())


@pytest.fixture
def pushed_while_loading(tmp_path, saved, monkeypatch):
    """`pushed_while_loading(change)` is what serves after version 2 was loaded and once all is, where
    `change` was made to the folder while version 2 was loading."""
    folder = tmp_path / "served"
    for version in ("1", "2"):
        now = str(versions.pointed(folder) or "")
        releases.push(saved / version, folder, {"run": version, "model": version}, now)
    versions.point(folder, 1)
    manager = Manager(folder, "demo", {})
    manager.look()
    versions.point(folder, 2)

    def run(change):
        monkeypatch.setattr("serving.server.manager.replay", lambda *_: change(folder))
        manager.look()
        monkeypatch.undo()
        found = [manager.served.default]
        manager.look()
        found.append(manager.served.default)
        manager.close()
        return found

    return run


def test_a_version_serves_where_the_next_is_pushed_while_it_loads(pushed_while_loading, saved):
    note = {"run": "3", "model": "3"}
    assert pushed_while_loading(lambda folder: releases.push(saved / "3", folder, note, "2")) == [2, 3]


def test_a_version_that_is_rolled_back_from_while_it_loads_never_serves(pushed_while_loading):
    assert pushed_while_loading(lambda folder: releases.rollback(folder, "at once")) == [1, 3]


def test_a_version_is_loaded_although_a_rollback_links_its_files_meanwhile(pushed_while_loading, saved):
    def change(folder):
        releases.push(saved / "3", folder, {"run": "3", "model": "3"}, "2")
        releases.rollback(folder, "to what is being loaded")

    assert pushed_while_loading(change) == [1, 4]


def test_a_version_that_was_overwritten_while_it_loads_is_read_again(pushed_while_loading, saved):
    def change(folder):
        shutil.copy(saved / "2/variables/variables.data-00000-of-00001", folder / "2/variables")

    assert pushed_while_loading(change) == [1, 2]

"""Versions appear whole or not at all, and their numbers only grow."""

import shutil

import pytest

from serving import versions


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    return folder


def test_push_and_pointer(model, tmp_path):
    served = tmp_path / "served"
    assert versions.current(served) is None and versions.versions(served) == []
    one = versions.push(model, served, {"run": "a"})
    two = versions.push(model, served, {"run": "b"})
    assert (one.name, two.name) == ("1", "2")
    assert versions.current(served) == two
    assert versions.record(two) == {"version": 2, "run": "b"}
    assert (two / "variables" / "variables.index").read_bytes() == b"weights"


def test_a_rollback_is_seen_and_numbers_still_grow(model, tmp_path):
    served = tmp_path / "served"
    for run in "abc":
        versions.push(model, served, {"run": run})
    versions.point(served, 1)
    assert versions.current(served).name == "1"
    shutil.rmtree(served / "3")
    assert versions.push(model, served, {}).name == "4"  # 3 was used


def test_every_model_ever_pushed_is_remembered(model, tmp_path):
    served = tmp_path / "served"
    versions.push(model, served, {"model": "aa"})
    versions.push(model, served, {"model": "bb"})
    shutil.move(served / "2", tmp_path / "withdrawn")
    assert versions.pushed(served) == {1: "aa", 2: "bb"}


def test_a_pointer_to_nothing(model, tmp_path):
    served = tmp_path / "served"
    versions.push(model, served, {})
    versions.point(served, 7)
    with pytest.raises(ValueError, match=r"version '7'.*mtl models promote .* 1. has a whole one serve"):
        versions.current(served)
    (served / "1" / "saved_model.pb").unlink()
    with pytest.raises(ValueError, match="no other is; delete it to start afresh"):
        versions.current(served)


def test_a_push_that_fails_leaves_nothing_behind(model, tmp_path, monkeypatch):
    served = tmp_path / "served"
    versions.push(model, served, {})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(versions.os, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        versions.push(model, served, {})
    assert versions.versions(served) == [1]
    assert versions.current(served).name == "1"
    assert not list(served.glob(".part-*"))


def test_half_written_versions_are_not_numbers(model, tmp_path):
    served = tmp_path / "served"
    versions.push(model, served, {})
    for name in (".part-dead", "²", "٣"):  # digits, but not of a number that TensorFlow Serving reads
        (served / name).mkdir()
    assert versions.versions(served) == [1]


def test_a_broken_model_does_not_serve(model, tmp_path):
    served = tmp_path / "served"
    version = versions.push(model, served, {})
    shutil.rmtree(version / "variables")
    with pytest.raises(ValueError, match="not a whole model"):
        versions.current(served)

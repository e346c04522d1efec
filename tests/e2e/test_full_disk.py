"""Runs on a disk that is full, and fuller, until there is room."""

import json
import subprocess

import pytest
from google.protobuf import text_format

from pipeline.demo import generate
from pipeline.ingest.schema import schema_proto
from pipeline.recipe import load
from pipeline.report.form import read
from serving import releases, versions

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB, and a function that gives it more."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a disk")
    yield place, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}k", place], check=True)
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_told_and_the_next_start_goes_on(root, tmp_path, small_disk, small):
    from pipeline.run import NoRoom, run

    generate(tmp_path / "data", 5_000, 3)
    text = (root / "data/demo/recipe.yaml").read_text()
    start, end = text.index("gates:\n"), text.index("evaluation:\n")
    (tmp_path / "recipe.yaml").write_text(text[:start] + "gates: none\n" + text[end:])
    schema = text_format.MessageToString(schema_proto(load(tmp_path / "recipe.yaml")))
    (tmp_path / "schema.pbtxt").write_text(schema)
    disk, grow = small_disk

    size, failed_at, code = 64, [], None
    while code != 0:
        assert size < 400_000
        try:
            code = run(tmp_path / "recipe.yaml", tmp_path / "data", disk, small)
        except NoRoom as error:
            failed_at.append("start")
            assert "is full" in str(error)
        else:
            reports = sorted((disk / "demo" / "runs").glob("*/report/metrics.json"))
            if code != 0:
                assert code == 1
                newest = read(reports[-1]) if reports else None
                failed_at.append(newest["failure"]["step"] if newest else "no report")
            assert not code or newest is None or "is full" in newest["failure"]["message"]
        if code != 0:
            size = int(size * 1.5)
            grow(size)
    assert len(set(failed_at)) > 3  # it was full at several steps

    run(tmp_path / "recipe.yaml", tmp_path / "data", tmp_path / "undisturbed", small)
    here, there = (
        json.loads((of / "demo" / "latest" / "report" / "metrics.json").read_text())
        for of in (disk, tmp_path / "undisturbed")
    )
    assert here["tasks"] == there["tasks"] and here["rows"] == there["rows"]
    served = disk / "demo" / "serving"
    assert versions.versions(served) == [1] and releases.damage(served / "1") == ""

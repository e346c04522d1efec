"""Runs on a disk that is full, and fuller, until there is room."""

import subprocess

import numpy as np
import pytest
from google.protobuf import text_format

from pipeline.demo import generate
from pipeline.ingest.schema import schema_proto
from pipeline.recipe import load
from pipeline.report.form import read
from serving import releases, versions

pytestmark = pytest.mark.slow


def weights(model):
    """Name → values, of all variables of a SavedModel."""
    import tensorflow as tf

    found = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    values = {name: found.get_tensor(name) for name in found.get_variable_to_shape_map()}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 128 kB, and a function that gives it more."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a disk")
    yield place, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}k", place], check=True)
    subprocess.run(["umount", "--lazy", place], check=True)  # TFX keeps the metadata's file open


def test_a_full_disk_is_told_and_the_next_start_goes_on(root, tmp_path, small_disk, small):
    from pipeline.disk import NoRoom
    from pipeline.run import run

    # so few rows that ingestion, whose files go when it is done, has no need of more room than all steps after it
    generate(tmp_path / "data", 1_000, 3)
    text = (root / "data/demo/recipe.yaml").read_text()
    start, end = text.index("gates:\n"), text.index("evaluation:\n")
    (tmp_path / "recipe.yaml").write_text(text[:start] + "gates: none\n" + text[end:])
    schema = text_format.MessageToString(schema_proto(load(tmp_path / "recipe.yaml")))
    (tmp_path / "schema.pbtxt").write_text(schema)
    disk, grow = small_disk

    size, failed_at, code = 128, [], None
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
            size = int(size * (1.5 if size < 3000 else 1.12))
            grow(size)
    assert len(set(failed_at)) > 3  # it was full at several steps

    assert run(tmp_path / "recipe.yaml", tmp_path / "data", tmp_path / "undisturbed", small) == 0
    served, same = (of / "demo" / "serving" for of in (disk, tmp_path / "undisturbed"))
    assert versions.versions(served) == [1] and releases.damage(served / "1") == ""
    here, there = weights(served / "1"), weights(same / "1")
    assert here.keys() == there.keys()
    for name in here:
        np.testing.assert_array_equal(here[name], there[name])

"""Artifacts in a bucket, which a folder stands for here, and when where they are stops a run."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.artifact_root import place_artifacts
from pipeline.recipe import RecipeError, loads
from pipeline.runners import buckets


@pytest.fixture
def place(tmp_path, smallest_recipe, monkeypatch):
    """Places the artifacts of `shop`, by default below `gs://logs/mtl`."""
    monkeypatch.setattr(buckets, "MOUNT", tmp_path / "gcs")
    (tmp_path / "gcs" / "logs").mkdir(parents=True)

    def _place(home, uri="gs://logs/mtl"):
        home.mkdir(parents=True, exist_ok=True)
        recipe = loads(smallest_recipe + (f"pipeline_root: {uri}\n" if uri else ""))
        place_artifacts(recipe, tmp_path / "recipe.yaml", home)
        return home / "artifacts"

    return _place


def test_what_steps_make_is_in_the_bucket(place, tmp_path):
    at = place(tmp_path / "output/shop")
    (at / "Ingest").mkdir()
    assert (tmp_path / "gcs/logs/mtl/shop/artifacts/Ingest").is_dir()
    assert place(tmp_path / "output/shop") == at and (at / "Ingest").is_dir()
    assert not place(tmp_path / "other/shop", "").exists()


def test_a_bucket_that_is_not_mounted_is_named(place, tmp_path):
    with pytest.raises(RecipeError, match="pipeline_root: .*gcsfuse --implicit-dirs absent .*/gcs/absent"):
        place(tmp_path / "output/shop", "gs://absent/mtl")
    assert not (tmp_path / "output/shop/artifacts").is_symlink()


def test_a_bucket_that_is_not_mounted_but_should_be_is_no_empty_one(place, tmp_path, monkeypatch):
    at = tmp_path / "gcs/logs"
    monkeypatch.setattr(buckets, "FSTAB", tmp_path / "fstab")
    line = f"logs {at} gcsfuse rw,_netdev\n"
    (tmp_path / "fstab").write_text(f"# {line}UUID=0 / ext4 defaults 0 1\nnone\n")
    assert place(tmp_path / "output/shop").is_dir()
    (tmp_path / "fstab").write_text(line)
    with pytest.raises(RecipeError, match=f"fstab has {at} mounted, and it is not, .* `mount {at}`"):
        place(tmp_path / "output/shop")


def test_a_folder_of_this_machine_s_disk_is_doubted(monkeypatch):
    monkeypatch.setattr(buckets, "MOUNT", Path("/"))
    assert buckets.doubt("gs://etc/mtl") == (
        "/etc is on this machine's own disk: if it is to be a bucket, it is not mounted"
    )
    assert buckets.doubt("gs://proc/mtl") == ""


@pytest.mark.parametrize("uri", ["gs://logs/mtl", ""])
def test_artifacts_that_metadata_know_and_that_are_gone_are_not_begun_anew(place, tmp_path, uri):
    home = tmp_path / "output/shop"
    held = tmp_path / ("gcs/logs/mtl/shop/artifacts" if uri else "disk/artifacts")
    if not uri:  # a link of one's own
        held.mkdir(parents=True)
        home.mkdir(parents=True)
        (home / "artifacts").symlink_to(held)
    at = place(home, uri)
    shutil.rmtree(held)
    if uri:
        assert place(home, uri) == at  # nothing was made yet
        shutil.rmtree(held)
    (home / "metadata.sqlite").touch()
    with pytest.raises(RecipeError) as refused:
        place(home, uri)
    said = str(refused.value)
    assert f"{held}, where the artifacts of earlier runs are, is not there: mount what holds it" in said
    assert not held.exists()
    subprocess.run(said.partition("runs anew: ")[2].splitlines()[0], shell=True, check=True)
    place(home, uri)
    assert not (home / "metadata.sqlite").exists() and held.is_dir() == bool(uri)


def test_artifacts_of_another_output_are_not_written_over(place, tmp_path):
    (place(tmp_path / "output/shop") / "Ingest").mkdir()
    with pytest.raises(RecipeError, match="has the artifacts of another --output"):
        place(tmp_path / "other/shop")
    assert place(tmp_path / "other/shop", "gs://logs/other").is_dir()


def test_artifacts_move_there_and_back_as_the_messages_say(place, tmp_path):
    home = tmp_path / "output/shop"
    (home / "artifacts/Ingest").mkdir(parents=True)
    place(home, "")

    def told(uri, begin):
        with pytest.raises(RecipeError) as refused:
            place(home, uri)
        subprocess.run(
            str(refused.value).partition(begin)[2].partition(", or give")[0], shell=True, check=True
        )
        return place(home, uri)

    at = told("gs://logs/mtl", "have them there, ")
    assert at.is_symlink() and (tmp_path / "gcs/logs/mtl/shop/artifacts/Ingest").is_dir()
    assert told("gs://logs/new", "have them there, ").resolve() == tmp_path / "gcs/logs/new/shop/artifacts"
    at = told("", "or have them here: ")
    assert not at.is_symlink() and (at / "Ingest").is_dir()

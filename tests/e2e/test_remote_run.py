"""Whole runs of the demo: sources and models on an S3 server of this machine; artifacts in a mounted bucket."""

import os

import pytest

from pipeline.demo import generate
from pipeline.recipe import load
from pipeline.recipe.remote import read_places
from pipeline.runners import buckets
from pipeline.runs.gc import collect

pytestmark = pytest.mark.slow


def test_a_run_reads_s3_and_knows_what_has_not_changed(root, tmp_path, s3, go):
    recipe, data, elsewhere = root / "data/demo/recipe.yaml", tmp_path / "data", tmp_path / "empty"
    generate(data, 2_000, 3)
    elsewhere.mkdir()
    s3.create_bucket(Bucket="demo-logs")
    for file in data.rglob("*"):
        if file.is_file():
            s3.upload_file(str(file), "demo-logs", file.relative_to(data).as_posix())
    places = [f"{path}=s3://demo-logs/{place}" for path, place in read_places(load(recipe))]

    places.append("serving.publish=s3://demo-logs/models/")
    first = go(recipe, elsewhere, tmp_path / "output", "gates=none", *places)
    assert first.code == 0 and first.metrics["rows"]["read"] == 2_000
    published = s3.head_object(Bucket="demo-logs", Key="models/1/saved_model.pb")
    saved = tmp_path / "output" / "demo" / "serving" / "1" / "saved_model.pb"
    assert published["ContentLength"] == saved.stat().st_size
    again = go(recipe, elsewhere, tmp_path / "output", "gates=none", *places)
    assert again.metrics["status"] == "unchanged"
    items = (data / "items.csv").read_text()
    _, _, rest = items.splitlines()[-1].partition(",")
    (data / "items.csv").write_text(f"{items}i99999,{rest}\n")
    s3.upload_file(str(data / "items.csv"), "demo-logs", "items.csv")
    third = go(recipe, elsewhere, tmp_path / "output", "gates=none", *places)
    assert "Ingest" in third.ran and third.metrics["rows"]["read"] == 2_000
    assert s3.head_object(Bucket="demo-logs", Key="models/2/saved_model.pb")


def test_steps_leave_what_they_make_in_a_bucket(root, tmp_path, go, monkeypatch):
    recipe, data, output = root / "data/demo/recipe.yaml", tmp_path / "data", tmp_path / "output"
    bucket, link = tmp_path / "gcs/shop", os.link
    generate(data, 2_000, 3)
    bucket.mkdir(parents=True)

    def no_links_there(source, target, **given):
        if os.path.realpath(target).startswith(f"{bucket}/"):
            raise PermissionError("Operation not permitted")
        return link(source, target, **given)

    monkeypatch.setattr(buckets, "MOUNT", tmp_path / "gcs")  # a folder stands for gcsfuse
    monkeypatch.setattr(os, "link", no_links_there)
    settings = ("gates=none", "pipeline_root='gs://shop/mtl'")
    first = go(recipe, data, output, *settings)
    assert first.code == 0 and first.metrics["pushed"]
    artifacts = bucket / "mtl/demo/artifacts"
    assert (first.folder / "model_run/model.keras").resolve().is_relative_to(artifacts)
    assert sorted(p.name for p in bucket.rglob("*") if p.suffix in (".sqlite", ".html")) == []
    assert go(recipe, data, output, *settings).metrics["status"] == "unchanged"
    second = go(recipe, data, output, *settings, "training.seed=2")
    assert "Trainer" in second.ran and {"Ingest", "Transform"} <= set(second.metrics["cached"])
    third = go(recipe, data, output, *settings, "training.seed=3")
    models = artifacts / "Trainer" / "model"
    assert len(list(models.iterdir())) == 3
    collect(output / "demo", 1, lambda found: None)  # the second would serve after a roll-back
    assert len(list(models.iterdir())) == 2 and (third.folder / "model").is_dir()

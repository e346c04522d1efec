"""A whole run of the demo with its sources and models on an S3 server of this machine."""

import pytest

from pipeline.demo import generate
from pipeline.recipe import load
from pipeline.recipe.remote import read_places

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

"""Which places a recipe may name, and that no credentials are among them."""

import pytest
from click.testing import CliRunner

from pipeline.cli import mtl
from pipeline.recipe import RecipeError, load


@pytest.mark.parametrize("place", ["s3://shop/logs/*.parquet", "gs://shop/logs/2024/**", "logs/*.parquet"])
def test_what_is_read(root, place):
    assert load(root / "data/demo/recipe.yaml", [f"sources.log.files={place}"])


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            "https://example.org/log.csv",
            "https:// is no place on s3, gs or hdfs; write a path below the input folder",
        ),
        ("file:///data/log.csv", "file:// is no place on s3, gs or hdfs"),
        ("abfs://shop/log.csv", "abfs:// is no place on s3, gs or hdfs"),
        ("s3://shop", "has no bucket or no path; write s3://bucket/path"),
        ("s3:///log.csv", "has no bucket or no path"),
        ("gs://sh*p/log.csv", "has no bucket or no path; write gs://bucket/path"),
        ("s3://shop/../log.csv", "has a part that is empty, . or .."),
        ("hdfs://logs/*.csv", "hdfs:// needs beam.options with hdfs_host, hdfs_port, hdfs_user"),
        ("s3://me:hush@shop/log.csv", "has credentials in it, which have no place in a recipe"),
        ("s3://AKIAIOSFODNN7EXAMPLE/log.csv", "has credentials in it"),
        ("s3://shop/log.csv?X-Amz-Signature=1", "has credentials in it"),
    ],
)
def test_what_is_not(root, place, said):
    with pytest.raises(RecipeError, match=said) as found:
        load(root / "data/demo/recipe.yaml", [f"sources.log.files='{place}'"])
    assert "hush" not in str(found.value)


def test_options_of_beam_hold_no_credentials(root):
    option = "beam.options={s3_endpoint_url: 'http://me:hush@store:9000'}"
    with pytest.raises(RecipeError, match="beam.options.s3_endpoint_url: has credentials in it") as found:
        load(root / "data/demo/recipe.yaml", [option])
    assert "hush" not in str(found.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("/models", "serving.publish: /models is no place on s3, gs or hdfs"),
        ("s3://shop/a//b", "serving.publish: has a part that is empty"),
        ("s3://me:hush@shop/models", "serving.publish: has credentials in it"),
    ],
)
def test_where_models_cannot_be_published(root, uri, said):
    assert load(root / "data/demo/recipe.yaml", ["serving.publish='s3://shop/models/'"])
    with pytest.raises(RecipeError, match=said):
        load(root / "data/demo/recipe.yaml", [f"serving.publish='{uri}'"])


@pytest.mark.parametrize(
    ("root_of", "said"),
    [
        (
            "s3://shop/mtl",
            "pipeline_root: is no folder of Google Cloud Storage; write gs://bucket/folder, or",
        ),
        ("hdfs://shop/mtl", "pipeline_root: is no folder of Google Cloud Storage"),
        ("/disk/mtl", "pipeline_root: is no folder of Google Cloud Storage"),
        ("gs://shop", "pipeline_root: has no bucket or no path; write gs://bucket/path"),
        ("gs://me:hush@shop/mtl", "pipeline_root: has credentials in it"),
    ],
)
def test_where_steps_cannot_leave_what_they_make(root, root_of, said):
    assert load(root / "data/demo/recipe.yaml", ["pipeline_root='gs://shop/mtl'"])
    with pytest.raises(RecipeError, match=said) as found:
        load(root / "data/demo/recipe.yaml", [f"pipeline_root='{root_of}'"])
    assert "hush" not in str(found.value)


@pytest.mark.parametrize("option", ["--input", "--output"])
def test_a_folder_is_one_of_this_machine(root, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(mtl, ["run", str(root / "data/demo/recipe.yaml"), option, "s3://shop/x"])
    assert found.exit_code == 2 and not list(tmp_path.iterdir())
    assert "s3://shop/x is no folder of this machine" in " ".join(found.output.split())

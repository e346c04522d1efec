"""Data and recipes that no model can be made from: a run stops at the step that sees it, and says so."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.demo import generate
from pipeline.recipe import RecipeError


@pytest.fixture(scope="module")
def recipe(root):
    return root / "data/demo/recipe.yaml"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "data"
    generate(folder, 2_000, 5)
    return folder


def rewritten(data: Path, tmp_path: Path, change) -> Path:
    """The data with one Parquet file of the log changed."""
    bad = tmp_path / "data"
    shutil.copytree(data, bad)
    path = sorted(bad.glob("impressions/*/*.parquet"))[3]
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    return bad


def test_a_missing_column(recipe, data, go, tmp_path):
    bad = rewritten(
        data,
        tmp_path,
        lambda t: t.rename_columns(
            ["device" if n == "surface" else "surfaze" if n == "device" else n for n in t.column_names]
        ),
    )
    found = go(recipe, bad, tmp_path / "out")
    assert (found.code, found.metrics["status"], found.metrics["failure"]["step"]) == (4, "failed", "Ingest")
    assert (
        "surface" in found.metrics["failure"]["message"] and "surfaze" in found.metrics["failure"]["message"]
    )
    assert "Push" in found.metrics["not_reached"]


def test_a_column_of_another_type(recipe, data, go, tmp_path):
    def change(table):
        texts = pa.array([f"no {i}" for i in range(table.num_rows)])
        return table.set_column(table.column_names.index("position"), "position", texts)

    found = go(recipe, rewritten(data, tmp_path, change), tmp_path / "out")
    assert found.code == 4
    assert "position" in found.metrics["failure"]["message"] and "int" in found.metrics["failure"]["message"]


def test_no_rows(recipe, data, go, tmp_path):
    bad = tmp_path / "data"
    shutil.copytree(data, bad)
    for path in bad.glob("impressions/*/*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    found = go(recipe, bad, tmp_path / "out")
    assert found.code == 4 and "no rows" in found.metrics["failure"]["message"]


def test_a_task_without_any_label(recipe, data, go, tmp_path):
    bad = tmp_path / "data"
    shutil.copytree(data, bad)
    for path in bad.glob("impressions/*/*.parquet"):
        table = pq.read_table(path)
        nothing = pa.nulls(table.num_rows, table["like"].type)
        pq.write_table(table.set_column(table.column_names.index("like"), "like", nothing), path)
    found = go(recipe, bad, tmp_path / "out")
    assert (
        found.code == 4 and "tasks.like: no row of train has a label" in found.metrics["failure"]["message"]
    )


def test_a_task_whose_windows_are_all_open(recipe, data, go, tmp_path):
    setting = "sources.events.orders.complete_until=2024-03-05"
    found = go(recipe, data, tmp_path / "out", setting)
    message = found.metrics["failure"]["message"]
    assert found.code == 4 and "tasks.purchase: no row of train" in message and "complete_until" in message


def test_a_recipe_for_other_data(recipe, go, tmp_path):
    bad = tmp_path / "data"
    bad.mkdir()
    (bad / "census-income.data.bz2").write_bytes(b"")
    found = go(recipe, bad, tmp_path / "out")
    assert found.code == 4 and "impressions/*/*.parquet" in found.metrics["failure"]["message"]


def test_values_that_break_the_schema(recipe, data, go, tmp_path):
    def change(table):
        return table.set_column(
            table.column_names.index("position"), "position", pa.array(table["position"].to_numpy() * 100)
        )

    found = go(recipe, rewritten(data, tmp_path, change), tmp_path / "out")
    assert (found.code, found.metrics["failure"]["step"]) == (4, "DataGate")
    assert "position" in found.metrics["failure"]["message"]
    assert "Trainer" in found.metrics["not_reached"]


def test_a_wrong_recipe_starts_nothing(recipe, data, go, tmp_path):
    with pytest.raises(RecipeError, match="training.epochz"):
        go(recipe, data, tmp_path / "out", "training.epochz=1")
    assert not (tmp_path / "out").exists()

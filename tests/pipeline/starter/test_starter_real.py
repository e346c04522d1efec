"""Guesses about real tables, and about the demo's, held against the recipes that people wrote for them."""

import bz2

import pandas as pd
import pytest

from pipeline.demo import generate
from pipeline.ingest.errors import DataError
from pipeline.recipe import load
from pipeline.starter.start import start


@pytest.fixture(scope="module")
def kuairand(shared_data, tmp_path_factory):
    folder = shared_data / "kuairand"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return start([str(folder)], tmp_path_factory.mktemp("kuairand") / "recipe.yaml")


def test_kuairand_roles_joins_and_repeats(kuairand, root):
    ours = load(root / "data/kuairand/recipe.yaml")
    assert kuairand.recipe.roles == ours.roles
    assert kuairand.recipe.sources.log.unique == ours.sources.log.unique
    assert kuairand.draft.unique[1] == 171_671 - 166_932
    assert kuairand.recipe.sources.log.files == ["logs/*.parquet"]
    assert {c.key for c in kuairand.recipe.sources.catalogs.values()} == {"user_id", "video_id"}
    assert kuairand.draft.log.name == "logs" and kuairand.recipe.splits.by == "time"


def test_kuairand_outcomes(kuairand, root):
    columns = kuairand.recipe.sources.log.columns
    assert {n for n, c in columns.items() if c.known == "after"} == {
        *("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view"),
        *("play_time_ms", "profile_stay_time", "comment_stay_time", "is_profile_enter"),
    }
    tasks = kuairand.recipe.tasks
    assert {t.label for t in tasks.values()} >= {"is_click", "is_like", "long_view", "is_profile_enter"}
    assert all(tasks[n].where is None for n in ("click", "like", "long_view", "play_time_ms"))
    assert not {"follow", "forward", "hate", "profile_stay_time"} & tasks.keys()  # too rare to judge by
    assert kuairand.draft.leaks == []
    assert kuairand.draft.given == {"duration_ms": "video_id"}


def test_kuairand_columns_and_features(kuairand, root):
    ours, found = load(root / "data/kuairand/recipe.yaml"), kuairand.recipe
    assert found.columns["time_ms"].unit == "ms" and found.columns["upload_dt"].type == "date"
    assert found.columns["tag"].separator == ours.columns["tag"].separator
    same = {n: f.kind for n, f in found.features.items() if n in ours.features and f.column is None}
    mine = {n: ours.features[n].kind for n in same}
    assert same == mine
    assert not {"date", "time_ms", "is_rand", "visible_status"} & found.features.keys()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "world"
    generate(folder, rows=30_000, seed=2)
    return start([str(folder)], folder / "recipe.yaml")


def test_demo(demo, root):
    ours, found = load(root / "data/demo/recipe.yaml"), demo.recipe
    assert found.roles == ours.roles
    assert found.sources.log.unique == ours.sources.log.unique
    assert {c.key for c in found.sources.catalogs.values()} == {"user_id", "item_id", "impression_id"}
    truth = [n for n in found.columns if n.startswith("p_")]
    assert len(truth) == 3 and all(found.columns[n].known == "after" for n in truth)
    assert found.splits == ours.splits
    for task in ("click", "like"):
        assert (found.tasks[task].label, found.tasks[task].where) == (task, None)
    assert found.tasks["watch_seconds"].where == found.tasks["purchase"].where == "click == 1"
    assert not {f.column or n for n, f in found.features.items()} & set(truth)
    assert found.features["interests"].max_length == 4


def test_demo_events(demo, root):
    ours = load(root / "data/demo/recipe.yaml").sources.events["orders"]
    found = demo.recipe.sources.events["orders"]
    assert set(found.keys) >= set(ours.keys) and (found.time, found.unique) == (ours.time, ours.unique)
    purchase = demo.recipe.tasks["purchase"].events
    assert purchase.where == "event == 'purchase'" and purchase.window in ("3d", "4d", "7d")


def test_census_without_names_and_with(shared_data, root, tmp_path):
    path = shared_data / "census" / "census-income.data.bz2"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    with pytest.raises(DataError, match="first line is data.*put a line with 42 names before the first"):
        start([str(path)], tmp_path / "recipe.yaml")
    ours = load(root / "data/census/recipe.yaml")
    with bz2.open(path) as file:
        lines = [next(file).decode() for _ in range(10_000)]
    (tmp_path / "census.csv").write_text(",".join(ours.columns) + "\n" + "".join(lines))
    found = start([str(tmp_path / "census.csv")], tmp_path / "recipe.yaml").recipe
    assert {n: t.label for n, t in found.tasks.items()} == {"income": "income == '50000+.'"}
    assert found.roles.named() == {} and found.splits.of == "row"
    numbers = {n for n, c in found.columns.items() if c.type in ("int", "float")}
    assert numbers >= {n for n, c in ours.columns.items() if c.type in ("int", "float")}
    assert found.columns["country_of_birth_self"].missing == ["", "?"]
    assert pd.Series(lines).str.contains("?", regex=False).any()

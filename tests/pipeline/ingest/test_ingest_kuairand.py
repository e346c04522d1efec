"""Real data: KuaiRand-Pure's ten days."""

from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pytest

from pipeline.recipe import load

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared/data/kuairand"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/kuairand")
def test_counts_and_labels_are_those_of_pandas(tmp_path, run_stages, tables):
    recipe = load(ROOT / "data/kuairand/recipe.yaml")
    counts = run_stages(recipe, DATA, tmp_path / "out")
    counts.check()
    log = pd.concat([pd.read_parquet(path) for path in sorted((DATA / "logs").glob("*.parquet"))])
    kept = log.drop_duplicates(["user_id", "video_id", "time_ms"])
    assert (counts.read, counts.rows_dropped, counts.dead) == (171_671, 171_671 - 166_932, {})
    day = (pd.to_datetime(kept["time_ms"], unit="ms") + pd.Timedelta(hours=8)).dt.strftime("%m-%d")
    assert counts.written == {
        "train": (day < "05-02").sum(),
        "validation": (day == "05-02").sum(),
        "test": (day > "05-02").sum(),
    }
    rows = tables(recipe, tmp_path / "out")["test"]
    test = kept[day > "05-02"]
    for task, column in (("click", "is_click"), ("long_view", "long_view"), ("like", "is_like")):
        assert pc.sum(rows[f"{task}/label"].flatten()).as_py() == test[column].sum()
    users = pd.read_csv(DATA / "user_features_pure.csv").set_index("user_id")["user_active_degree"]
    joined = [value.decode() for value in rows["user_active_degree"].flatten().to_pylist()]
    assert joined == users[rows["user_id"].flatten().to_pylist()].tolist()

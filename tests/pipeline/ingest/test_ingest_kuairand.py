"""Real data: KuaiRand-Pure's ten days."""

import pandas as pd
import pyarrow.compute as pc

from pipeline.recipe import load


def test_counts_and_labels_are_those_of_pandas(root, shared_data, tmp_path, run_stages, tables):
    recipe, data = load(root / "data/kuairand/recipe.yaml"), shared_data / "kuairand"
    counts = run_stages(recipe, data, tmp_path / "out")
    counts.check()
    log = pd.concat([pd.read_parquet(path) for path in sorted((data / "logs").glob("*.parquet"))])
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
    users = pd.read_csv(data / "user_features_pure.csv").set_index("user_id")["user_active_degree"]
    joined = [value.decode() for value in rows["user_active_degree"].flatten().to_pylist()]
    assert joined == users[rows["user_id"].flatten().to_pylist()].tolist()

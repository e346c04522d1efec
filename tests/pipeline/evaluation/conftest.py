"""A small scored test split, written as shards."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def _write_scores(folder, rows=1200, users=80, shards=3, seed=0):
    """Returns the columns written: click (everywhere), like (where mask), watch_time (regression).

    The serving model has no task `like`. Unknown labels are NaN, so that a use of one shows.
    """
    rng = np.random.default_rng(seed)
    user, appeal = rng.integers(0, users, rows), rng.normal(size=rows)
    propensity = 1 / (1 + np.exp(-appeal + 1))
    known = rng.random(rows) < 0.6
    watch = rng.lognormal(appeal, 0.5) * 10
    columns = {
        "role/user": np.char.add("u", user.astype(str)),
        "slice/tab": rng.integers(0, 3, rows),
        "slice/age": rng.choice(["young", "old"], rows),
        "click/label": (rng.random(rows) < propensity).astype(float),
        "click/mask": np.ones(rows),
        "click/weight": rng.choice([1.0, 3.0], rows),
        "click/prediction": 1 / (1 + np.exp(-appeal + 1 + rng.normal(0, 0.5, rows))),
        "click/baseline": 1 / (1 + np.exp(-appeal + 1 + rng.normal(0, 1.5, rows))),
        "click/reference/propensity": propensity,
        "like/label": np.where(known, (rng.random(rows) < propensity / 4).astype(float), np.nan),
        "like/mask": known.astype(float),
        "like/weight": known.astype(float),
        "like/prediction": np.where(known, propensity / 3, np.nan),
        "watch_time/label": watch,
        "watch_time/mask": np.ones(rows),
        "watch_time/weight": np.ones(rows),
        "watch_time/prediction": np.exp(appeal) * 11,
        "watch_time/baseline": np.full(rows, watch.mean()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    for i, part in enumerate(np.array_split(np.arange(rows), shards)):
        pq.write_table(table.take(part), folder / f"scores-{i:05d}-of-{shards:05d}.parquet")
    return columns


@pytest.fixture(scope="session")
def write_scores():
    return _write_scores

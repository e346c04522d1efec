"""Splits: at the very millisecond, in the right shares, by the right files."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.ingest.batch import Batch
from pipeline.ingest.errors import DataError
from pipeline.ingest.hashing import row_ids
from pipeline.ingest.splits import Splitter, boundaries, split_files
from pipeline.recipe.parts import FileSplit, HashSplit, Roles, TimeSplit

MIDNIGHT = 1_651_420_800_000  # 2022-05-02T00:00+08:00 = 2022-05-01T16:00Z
DAY = 86_400_000


def assign(splits, roles, columns, file="log.csv", files_of=None):
    rows = len(next(iter(columns.values())))
    batch = Batch({n: pa.array(v) for n, v in columns.items()}, np.arange(1, rows + 1), lambda i: None)
    return Splitter(splits, roles, files_of or {})(batch, file, row_ids(file, batch.positions)), batch


def test_time_splits_begin_at_midnight_of_their_offset():
    splits = TimeSplit(by="time", validation_from="2022-05-02", test_from="2022-05-03", utc_offset_hours=8)
    times = [MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + DAY - 1, MIDNIGHT + DAY, None, -1]
    found, batch = assign(splits, Roles(time="at"), {"at": times})
    assert found[[0, 1, 2, 3, 5]].tolist() == [0, 1, 1, 2, 0]
    assert batch.problems == {4: ("at is missing", "at is missing, which the split needs")}


@pytest.mark.parametrize(
    ("text", "hours", "want"),
    [
        ("2022-05-02", 8, MIDNIGHT),
        ("2022-05-01T16:00:00", 0, MIDNIGHT),
        ("2022-05-01T16:00:00Z", -3, MIDNIGHT),
        ("2022-05-02T00:00:00.001+08:00", 0, MIDNIGHT + 1),
        ("2022-05-02", -3.5, MIDNIGHT + 41_400_000),
    ],
)
def test_boundaries(text, hours, want):
    splits = TimeSplit(by="time", validation_from=text, test_from="2023-01-01", utc_offset_hours=hours)
    assert boundaries(splits)[0] == want


def test_hash_splits_keep_a_users_rows_together_in_the_right_shares():
    splits = HashSplit(by="hash", of="user", validation=0.1, test=0.3)
    users = np.random.default_rng(0).integers(0, 20_000, 60_000)
    found, _ = assign(splits, Roles(user="user"), {"user": users})
    again, _ = assign(splits, Roles(user="user"), {"user": users[::-1]}, file="other.csv")
    np.testing.assert_array_equal(found, again[::-1])
    shares = np.bincount(found[np.unique(users, return_index=True)[1]]) / len(np.unique(users))
    np.testing.assert_allclose(shares, [0.6, 0.1, 0.3], atol=0.01)  # 3 standard errors of 20,000 users
    _, batch = assign(splits, Roles(user="user"), {"user": [1, None]})
    assert list(batch.problems) == [1]


def test_hash_of_the_row():
    splits = HashSplit(by="hash", of="row", validation=0.2, test=0.2)
    found, _ = assign(splits, Roles(), {"x": np.zeros(50_000)})
    np.testing.assert_allclose(np.bincount(found) / 50_000, [0.6, 0.2, 0.2], atol=0.006)


@pytest.fixture
def folder(tmp_path):
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text("x\n1\n")
    return tmp_path


def test_a_file_of_two_splits_is_halved(folder):
    splits = FileSplit(by="file", train=["a.csv", "b.csv"], validation="c.csv", test="c.csv")
    files_of = split_files(splits, ["a.csv", "b.csv", "c.csv"], folder)
    assert files_of == {"a.csv": [0], "b.csv": [0], "c.csv": [1, 2]}
    found, _ = assign(splits, Roles(), {"x": np.zeros(20_000)}, "c.csv", files_of)
    assert abs(np.mean(found == 1) - 0.5) < 0.011 and set(found.tolist()) == {1, 2}
    assert set(assign(splits, Roles(), {"x": np.zeros(9)}, "a.csv", files_of)[0].tolist()) == {0}


def test_files_and_splits_must_agree(folder):
    with pytest.raises(DataError, match="no split names c.csv"):
        split_files(
            FileSplit(by="file", train="a.csv", validation="b.csv", test="b.csv"),
            ["a.csv", "b.csv", "c.csv"],
            folder,
        )
    with pytest.raises(DataError, match="splits.test: 'd.*' matches none of the log's files"):
        split_files(
            FileSplit(by="file", train="a.csv", validation="b.csv", test="d.*"), ["a.csv", "b.csv"], folder
        )

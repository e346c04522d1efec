import errno

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation import partitions
from pipeline.evaluation.partitions import Partitions, SortedParts, hash_parts, range_bounds

DTYPE = np.dtype([("key", "f8"), ("row", "i8")])


def rows_of(keys):
    rows = np.zeros(len(keys), DTYPE)
    rows["key"], rows["row"] = keys, np.arange(len(keys))
    return rows


def test_a_part_holds_all_that_was_added_to_it(tmp_path):
    rows = rows_of(np.arange(100.0))
    parts = hash_parts(np.arange(100, dtype=np.uint64), 7)
    cut = Partitions(tmp_path, DTYPE)
    cut.add(rows[:60], parts[:60])
    cut.add(rows[60:], parts[60:])
    assert [block["row"].tolist() for block in cut] == [np.flatnonzero(parts == i).tolist() for i in range(7)]


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.5]) | st.floats(-1e6, 1e6), max_size=200),
    st.integers(1, 6),
    st.integers(0, 10**6),
)
def test_parts_in_order_are_the_rows_in_order(keys, count, seed):
    import tempfile
    from pathlib import Path

    keys = np.array(keys)
    sample = np.random.default_rng(seed).choice(keys, 50) if len(keys) else keys
    with tempfile.TemporaryDirectory() as folder:
        parts = SortedParts(Path(folder), DTYPE, "key", range_bounds(sample, count))
        parts.add(rows_of(keys))
        found = []
        for part in parts:
            block = np.concatenate(list(part.blocks()))
            assert not part.tied or len(set(block["key"])) == 1
            found.append(block)
    found = np.concatenate(found) if found else rows_of(keys)
    assert (found["key"] == np.sort(keys)).all()
    assert sorted(found["row"]) == list(range(len(keys)))


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_no_block_grows_with_a_frequent_value(share, tmp_path, monkeypatch):
    monkeypatch.setattr(partitions, "ROWS_A_PART", 500)
    rng = np.random.default_rng(0)
    keys = np.where(rng.random(10_000) < share, 0.3, rng.random(10_000))
    parts = SortedParts(tmp_path, DTYPE, "key", range_bounds(keys[::10], partitions.parts_for(10_000)))
    parts.add(rows_of(keys))
    sizes = [len(block) for part in parts for block in part.blocks()]
    assert sum(sizes) == 10_000 and max(sizes) < 3 * 500


def test_a_full_disk_is_known_as_one(tmp_path):
    cut = Partitions(tmp_path, DTYPE)
    (tmp_path / "0").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        cut.add(rows_of(np.arange(10.0)), np.zeros(10, int))
    assert caught.value.errno == errno.ENOSPC

import numpy as np
import pytest

from pipeline.evaluation import partitions
from pipeline.evaluation.group_parts import GroupParts, LargeGroup
from pipeline.evaluation.replicates import splitmix64

DTYPE = np.dtype([("role/item", "u8"), ("row", "i8")])


@pytest.mark.parametrize("sizes", [[30] * 40, [1000, 800, 3], [2000], [*[1] * 500, 900, *[40] * 20], []])
def test_every_row_comes_once_with_its_whole_group(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr(partitions, "ROWS_A_PART", 100)
    records = np.zeros(sum(sizes), DTYPE)
    records["role/item"] = splitmix64(np.arange(len(sizes), dtype=np.uint64)).repeat(sizes)
    records["row"] = np.random.default_rng(0).permutation(len(records))
    parts = GroupParts(tmp_path / "parts", DTYPE, "role/item", len(records))
    for some in np.array_split(records[np.argsort(records["row"])], 7):
        parts.add(some)
    rows, groups = [], []
    for group in parts:
        if isinstance(group, LargeGroup):
            blocks = list(group.blocks())
            assert max(map(len, blocks)) <= 100 < group.rows
            group = np.concatenate(blocks)
            assert len(np.unique(group["role/item"])) == 1
        else:
            assert len(group) <= 3 * 100
        rows.append(group["row"])
        groups.append(np.unique(group["role/item"]))
    assert sorted(np.concatenate([[], *rows])) == list(range(len(records)))
    assert len(np.concatenate([[], *groups])) == len(sizes), "a group is in one place"

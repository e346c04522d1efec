"""Files of columns: what is written is what is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.shards import columns
from pipeline.shards.columns import ColumnWriter, read_columns


def batch(start: int, rows: int) -> dict[str, np.ndarray]:
    pairs = np.arange(2 * start, 2 * (start + rows), dtype=np.float32).reshape(-1, 2)
    return {"pair": pairs, "id": np.arange(start, start + rows)}


def write(path, sizes: list[int]) -> None:
    with ColumnWriter(path) as writer:
        for i, rows in enumerate(sizes):
            writer.write(batch(sum(sizes[:i]), rows))


@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=12), per_batch=st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_rows_come_back_in_order_and_bytes_are_the_same(tmp_path_factory, cuts, per_batch):
    folder, rows = tmp_path_factory.mktemp("columns"), sum(cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_ROWS", per_batch)
        write(folder / "cut.arrow", cuts)
        write(folder / "whole.arrow", [rows])
    assert (folder / "cut.arrow").read_bytes() == (folder / "whole.arrow").read_bytes()
    found = read_columns([folder / "cut.arrow", folder / "whole.arrow"], {"id": 0, "pair": 2})
    assert found["id"].tolist() == 2 * list(range(rows))
    assert found["pair"].dtype == np.float32
    assert found["pair"].tolist() == 2 * np.arange(2.0 * rows).reshape(-1, 2).tolist()


def test_a_single_value_is_read_as_a_list_of_one_where_asked(tmp_path):
    write(tmp_path / "a.arrow", [3])
    assert read_columns([tmp_path / "a.arrow"], {"id": 1})["id"].tolist() == [[0], [1], [2]]


def test_what_is_wrong_is_said(tmp_path):
    write(tmp_path / "a.arrow", [3])
    with pytest.raises(ValueError, match="has no column x; it has id, pair"):
        read_columns([tmp_path / "a.arrow"], {"x": 0})
    with pytest.raises(ValueError, match="column pair has 2 values a row, and not 3"):
        read_columns([tmp_path / "a.arrow"], {"pair": 3})
    with pytest.raises(ValueError, match="no rows to read in no file"):
        read_columns([], {"id": 0})
    half = tmp_path / "half.arrow"
    half.write_bytes((tmp_path / "a.arrow").read_bytes()[:-20])
    with pytest.raises(ValueError, match="half.arrow is truncated or corrupted"):
        read_columns([half], {"id": 0})


def test_a_file_that_was_not_finished_is_not_there(tmp_path):
    with pytest.raises(RuntimeError):
        with ColumnWriter(tmp_path / "a.arrow") as writer:
            writer.write(batch(0, 2))
            raise RuntimeError("the disk is full")
    assert list(tmp_path.iterdir()) == []

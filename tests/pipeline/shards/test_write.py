"""Record batches to one file a shard."""

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.shards.columns import read_columns
from pipeline.shards.tfxio import POSITION, SHARD_BITS
from pipeline.shards.write import WriteShards


def batch(shard: int, first: int, rows: int) -> tuple[pa.RecordBatch, dict]:
    """`one` is 10 × shard + row; `two` has two floats a row."""
    numbers = np.arange(first, first + rows)
    lists = pa.LargeListArray.from_arrays
    each = np.arange(rows + 1)
    return pa.RecordBatch.from_arrays(
        [
            lists(each, pa.array(numbers + 10 * shard)),
            lists(each * 2, pa.array(np.repeat(numbers, 2), pa.float32())),
            lists(each, pa.array(numbers + (shard << SHARD_BITS))),
        ],
        ["one", "two", POSITION],
    ), {}


def write(batches: list, paths: list[str]) -> None:
    options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create([batches]) | beam.FlatMap(lambda b: b) | beam.ParDo(WriteShards(paths))


def test_a_file_for_each_shard_in_order(tmp_path):
    paths = [str(tmp_path / "new" / f"{i}.arrow") for i in range(3)]
    write([batch(2, 0, 2), batch(0, 0, 3), batch(0, 3, 1)], paths)
    assert [p.name for p in sorted((tmp_path / "new").iterdir())] == ["0.arrow", "2.arrow"]
    found = [read_columns([paths[i]], {"one": 0, "two": 2}) for i in (0, 2)]
    assert [f["one"].tolist() for f in found] == [[0, 1, 2, 3], [20, 21]]
    assert found[0]["two"].tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_rows_of_the_table_have_32_bits(tmp_path):
    rows, rest = batch(0, 0, 2)
    rows = rows.rename_columns(["ids", "two", POSITION])
    write([(rows, rest)], [str(tmp_path / "0.arrow")])
    assert read_columns([tmp_path / "0.arrow"], {"ids": 1})["ids"].dtype == np.int32
    far = pa.LargeListArray.from_arrays(pa.array([0, 1, 2]), pa.array([1, 1 << 31]))
    with pytest.raises(ValueError, match="2147483648 not in range"):
        write([(rows.set_column(0, "ids", far), rest)], [str(tmp_path / "1.arrow")])


def test_bytes_do_not_depend_on_the_batches(tmp_path):
    write([batch(0, 0, 5)], [str(tmp_path / "whole.arrow")])
    write([batch(0, 0, 2), batch(0, 2, 3)], [str(tmp_path / "cut.arrow")])
    assert (tmp_path / "whole.arrow").read_bytes() == (tmp_path / "cut.arrow").read_bytes()


def test_rows_of_unequal_length_are_refused(tmp_path):
    rows, _ = batch(0, 0, 2)
    ragged = pa.LargeListArray.from_arrays(pa.array([0, 1, 3]), pa.array([1, 2, 3]))
    with pytest.raises(ValueError, match="column one .* more values in one row than in another"):
        write([(rows.set_column(0, "one", ragged), {})], [str(tmp_path / "0.arrow")])
    assert not list(tmp_path.iterdir())


def test_rows_out_of_order(tmp_path):
    with pytest.raises(RuntimeError, match="row 3 of shard 0 came where row 2 of shard 0 was due"):
        write([batch(0, 0, 2), batch(0, 3, 1)], [str(tmp_path / "0.arrow")])
    assert not (tmp_path / "0.arrow").exists()

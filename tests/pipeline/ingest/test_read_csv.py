"""CSV: rows that cannot be read, their numbers, and blocks of any size."""

import bz2
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.errors import DataError
from pipeline.ingest.read_csv import header, read_csv
from pipeline.recipe.parts import Source

SOURCE = Source(files="x", columns={"a": "int", "b": "string"})


def read(path, source=SOURCE, block_bytes=1 << 20):
    """(position, values) of readable rows, and (position, reason, raw row) of the others."""
    good, dead = [], []
    for batch in read_csv(path, source, list(source.columns), block_bytes):
        rows = [batch.columns[n].to_pylist() for n in source.columns]
        good += [
            (p, *v)
            for i, (p, *v) in enumerate(zip(batch.positions.tolist(), *rows))
            if i not in batch.problems
        ]
        dead += [(d.position, d.problem.reason, d.row) for d in batch.drop_problems("x")]
    return good, sorted(dead, key=lambda d: d[0])


def test_rows_and_dead_rows_keep_their_numbers(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(
        b'b,c,a\n x ,1, 3\ny,1\n\n"q,\n""r",1,4\nz,1,abc\n\xff,1,5\n,,6\ntoo,many,fields,here\n\xfe,2\n'
    )
    good, dead = read(path)
    assert good == [(1, 3, "x"), (3, 4, 'q,\n"r'), (6, 6, None)]
    assert dead == [
        (2, "has 2 fields where the file has 3 columns", "y,1"),
        (4, "a: 'abc' is not an int", {"b": "z", "c": "1", "a": "abc"}),
        (5, "b: the text is not UTF-8", {"b": "\ufffd", "c": "1", "a": "5"}),
        (7, "has 4 fields where the file has 3 columns", "too,many,fields,here"),
        (8, "has 2 fields where the file has 3 columns", "\ufffd,2"),
    ]


def test_without_header_packed_and_tab_separated(tmp_path):
    source = Source(files="x", header=False, columns={"a": "int", "b": "string"})
    for name, pack in (("x.csv.gz", gzip.compress), ("x.csv.bz2", bz2.compress), ("x.csv", bytes)):
        (tmp_path / name).write_bytes(pack(b"1,x\r\n2,y\r\n"))
        assert read(tmp_path / name, source)[0] == [(1, 1, "x"), (2, 2, "y")]
    (tmp_path / "x.tsv.gz").write_bytes(gzip.compress(b"a\tb\n1\tx,y\n"))
    assert read(tmp_path / "x.tsv.gz")[0] == [(1, 1, "x,y")]
    assert header(tmp_path / "x.tsv.gz", SOURCE) == ["a", "b"]


def test_byte_order_mark_and_empty_files(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,x\n")
    assert header(path, SOURCE) == ["a", "b"] and read(path)[0] == [(1, 1, "x")]
    path.write_bytes(b"")
    assert header(path, SOURCE) == [] and read(path) == ([], [])
    path.write_bytes(b"a,b\n")
    assert read(path) == ([], [])


def test_a_broken_archive_is_a_data_error(tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,x\n" * 10_000)[:-20])
    with pytest.raises(DataError, match="x.csv.gz: cannot be read"):
        read(path)


lines = st.lists(
    st.sampled_from(
        [
            b"1,x",
            b"2,y",
            b"-3,",
            b",z",
            b"abc,x",
            b"1,2,3",
            b"4",
            b"",
            b'5,"a\nb"',
            b"6,\xff",
            b"7,\xc3\xa4",
            b"\xff",
        ]
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(lines, st.integers(12, 60))
def test_blocks_change_nothing(tmp_path_factory, lines, block_bytes):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(b"a,b\n" + b"\n".join(lines) + b"\n")
    good, dead = read(path)
    assert (good, dead) == read(path, block_bytes=block_bytes)
    numbers = sorted([g[0] for g in good] + [d[0] for d in dead])
    assert numbers == list(range(1, len([line for line in lines if line]) + 1))

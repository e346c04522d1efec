"""Groups of files, their patterns, and samples of them."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.errors import DataError
from pipeline.starter.files import find
from pipeline.starter.names import recipe_name
from pipeline.starter.sample import sample


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_days_are_one_source_and_other_tables_their_own(tmp_path):
    for day in ("2024-01-30", "2024-01-31", "2024-02-01"):
        write(tmp_path / "logs" / f"{day}.csv", "a,b\n1,2\n")
        write(tmp_path / "deep" / f"dt={day}" / "part-0.csv", "c,d\n1,2\n")
    write(tmp_path / "users.csv", "id,x\n1,2\n")
    write(tmp_path / "items.csv", "id,y\n1,2\n")
    write(tmp_path / "_SUCCESS.csv", "")
    write(tmp_path / "world.json", '{\n "a": 1\n}\n')
    groups, empty = find([str(tmp_path)])
    assert {g.name: g.patterns for g in groups} == {
        "deep": ["deep/dt=*/part-*.csv"],
        "items": ["items.csv"],
        "logs": ["logs/*.csv"],
        "users": ["users.csv"],
    }
    assert empty == [str(tmp_path / "world.json")]


def test_pattern_takes_no_other_files(tmp_path):
    for name in ("day1", "day2"):
        write(tmp_path / f"{name}.csv", "a,b\n1,2\n")
    write(tmp_path / "day_totals.csv", "c,d,e\n1,2,3\n")
    (group,) = [g for g in find([str(tmp_path)])[0] if len(g.paths) == 2]
    assert group.patterns == ["day1.csv", "day2.csv"]


def test_a_column_that_only_some_days_have_is_left_out(tmp_path):
    write(tmp_path / "1.csv", "a,b,c\n1,2,3\n")
    write(tmp_path / "2.csv", "c,a,b,new\n3,1,2,9\n")
    (group,) = find([str(tmp_path)])[0]
    assert (group.columns, group.dropped) == (["a", "b", "c"], ["new"])
    assert sample(group).table.to_pydict() == {"a": ["1", "1"], "b": ["2", "2"], "c": ["3", "3"]}


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters(tmp_path, delimiter):
    write(tmp_path / "x.csv", "a,b\n1,2\n".replace(",", delimiter))
    (group,) = find([str(tmp_path / "x.csv")])[0]
    assert (group.delimiter, group.columns) == (delimiter, ["a", "b"])


def test_no_line_of_names(tmp_path):
    write(tmp_path / "x.csv", "73, yes, 0\n12, no, 4\n")
    with pytest.raises(DataError, match="first line is data.*put a line with 3 names before the first"):
        find([str(tmp_path)])


def test_a_name_that_two_columns_have(tmp_path):
    write(tmp_path / "log.csv", "a,b,a\n1,2,3\n")
    with pytest.raises(DataError, match="its first line names two columns 'a'"):
        find([str(tmp_path)])


def test_files_without_a_byte(tmp_path):
    write(tmp_path / "log.jsonl", "")
    (group,) = find([str(tmp_path / "log.jsonl")])[0]
    with pytest.raises(DataError, match="log.jsonl: no rows; every file of it is empty"):
        sample(group)


@pytest.mark.parametrize(
    ("text", "name"),
    [("größe", "grosse"), ("Prénom (usager)", "prenom_usager"), ("Ｆｕｌｌ", "full"), ("名前", "column")],
)
def test_letters_with_marks_are_read_as_their_letters(text, name):
    assert recipe_name(text) == name


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        find([str(tmp_path / "none-*.csv")])
    write(tmp_path / "picture.png", "not a table")
    with pytest.raises(DataError, match="does not read as CSV"):
        find([str(tmp_path / "picture.png")])
    with pytest.raises(DataError, match="no file below it"):
        find([str(tmp_path)])


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_sample_is_bounded_and_spread(tmp_path, kind):
    rows = 300_000
    path = tmp_path / f"log.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"n": range(rows), "word": ["x" * 12] * rows}), path, row_group_size=10_000)
    elif kind == "jsonl":
        path.write_text("".join(f'{{"n": {i}, "word": "{"x" * 12}"}}\n' for i in range(rows)))
    else:
        text = "n,word\n" + "".join(f"{i},{'x' * 12}\n" for i in range(rows))
        path.write_bytes(gzip.compress(text.encode()) if kind == "csv.gz" else text.encode())
    (group,) = find([str(path)])[0]
    found = sample(group, 20_000)
    seen = [int(n) for n in found.table["n"].to_pylist()]
    assert not found.whole and 5_000 < len(seen) < 60_000 and len(set(seen)) == len(seen)
    # how well a file packs is not known: of a packed one, what lies behind is estimated
    assert rows * (0.3 if kind == "csv.gz" else 0.8) < found.total < rows * (4 if kind == "csv.gz" else 1.2)
    assert min(seen) == 0 and max(seen) > rows * (0.05 if kind == "csv.gz" else 0.9)
    assert set(found.table["word"].to_pylist()) == {"x" * 12}

"""Input as it should not be: a clear error or a dead letter, in every format, and nothing lost or changed."""

import datetime as dt
import gzip
import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.errors import DataError
from pipeline.ingest.read import check_columns, read
from pipeline.recipe.parts import Column, Source

COLUMNS = {"i": "int", "f": "float", "s": "string", "t": "time"}
NOW = 1_700_000_000_000


def source(**columns):
    return Source(files="x", columns={**COLUMNS, **columns})


def write(path, rows):
    """Rows as the file's ending says, their values as they are."""
    names = list(rows[0]) if rows else list(COLUMNS)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [names, *([str(row[n]) for n in names] for row in rows)]
        path.write_text("".join(",".join(line) + "\n" for line in lines))


def row(**values):
    return {"i": 1, "f": 0.5, "s": "x", "t": NOW, **values}


def read_all(folder, name, columns=None, **how):
    """Positions, columns as lists, and dead letters."""
    what = columns or source()
    good, values, dead = [], {n: [] for n in what.columns}, []
    for batch in read(folder, name, what, list(what.columns), **how):
        dead += batch.drop_problems(name)
        good += batch.positions.tolist()
        for n in values:
            values[n] += batch.columns[n].to_pylist()
    return good, values, dead


FORMATS = ("csv", "jsonl", "parquet")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_one_text_among_many_numbers(tmp_path, kind):
    rows, wrong = 120_000, 98_765
    if kind == "csv":
        lines = ["i,f,s,t", *(f"{i},{i / 4},s{i},{NOW + i}" for i in range(rows))]
        lines[wrong] = f"oops,1.5,x,{NOW}"
    else:
        lines = [f'{{"i": {i}, "f": {i / 4}, "s": "s{i}", "t": {NOW + i}}}' for i in range(rows)]
        lines[wrong - 1] = f'{{"i": "oops", "f": 1.5, "s": "x", "t": {NOW}}}'
    (tmp_path / f"x.{kind}").write_text("\n".join(lines) + "\n")
    good, values, dead = read_all(tmp_path, f"x.{kind}")
    kept = np.delete(np.arange(rows), wrong - 1)
    assert good == (kept + 1).tolist() and values["i"] == kept.tolist()
    assert values["f"] == (kept / 4).tolist() and values["s"] == [f"s{i}" for i in kept]
    (letter,) = dead
    assert (letter.file, letter.position) == (f"x.{kind}", wrong)
    assert letter.problem == ("i: not an int", "i: 'oops' is not an int")
    original = letter.row if kind == "csv" else json.loads(letter.row)
    assert original == (
        {"i": "oops", "f": "1.5", "s": "x", "t": str(NOW)} if kind == "csv" else row(i="oops", f=1.5)
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_truncated_archive(tmp_path, kind):
    write(tmp_path / f"x.{kind}", [row(i=i * 7919 % 1000) for i in range(2000)])
    whole = gzip.compress((tmp_path / f"x.{kind}").read_bytes())
    name = f"x.{kind}.gz"
    for length in (0, 5, 30, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"{name}: cannot be read: .*(Truncated|cut off)"):
            check_columns(tmp_path, [name], source(), "sources.log")
            read_all(tmp_path, name)
    (tmp_path / name).write_bytes(whole + whole[: len(whole) // 2])
    with pytest.raises(DataError, match="Truncated"):
        read_all(tmp_path, name)
    (tmp_path / name).write_bytes(whole)
    assert len(read_all(tmp_path, name)[0]) == 2000


def test_a_truncated_parquet_file(tmp_path):
    write(tmp_path / "x.parquet", [row(i=i) for i in range(2000)])
    whole = (tmp_path / "x.parquet").read_bytes()
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "x.parquet").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"x\.parquet: cannot be read as Parquet"):
            check_columns(tmp_path, ["x.parquet"], source(), "sources.log")
    # whole at both ends, damaged between
    (tmp_path / "x.parquet").write_bytes(whole[:40] + b"\xff" * 200 + whole[240:])
    with pytest.raises(DataError, match=r"x\.parquet: cannot be read as Parquet"):
        read_all(tmp_path, "x.parquet")


@pytest.mark.parametrize(
    "odd",
    [
        pa.array([3, None], pa.int8()),
        pa.array([3, None], pa.uint64()),
        pa.array([3.0, None]),
        pa.array([Decimal("3"), None]),
        pa.array([3, None]).dictionary_encode(),
    ],
    ids=lambda a: str(a.type)[:10],
)
def test_a_parquet_file_of_another_type_that_fits(tmp_path, odd):
    columns = Source(files="x", columns={"i": "int"})
    pq.write_table(pa.table({"i": pa.array([3, None], pa.int64())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"i": odd}), tmp_path / "b.parquet")
    check_columns(tmp_path, ["a.parquet", "b.parquet"], columns, "sources.log")
    assert read_all(tmp_path, "b.parquet", columns) == read_all(tmp_path, "a.parquet", columns)
    assert read_all(tmp_path, "a.parquet", columns)[1] == {"i": [3, None]}


def refused(folder, names, columns=None):
    with pytest.raises(DataError) as error:
        check_columns(folder, names, columns or source(), "sources.log")
    return str(error.value)


def test_a_parquet_file_of_a_type_that_does_not_fit(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.parquet", [row(f="0.5") if name == "b" else row()])
    names = ["a.parquet", "b.parquet", "c.parquet"]
    assert refused(tmp_path, names) == (
        "sources.log: b.parquet: `f` is string there and float in the recipe; it is double in 2 of the 3 "
        "files: a.parquet, …"
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_column_renamed_between_days(tmp_path, kind):
    names = [f"day{i}.{kind}" for i in (1, 2, 3)]
    for name in names:
        day = [row() for _ in range(3)]
        if "day2" in name:
            day = [{"i": 1, "f": 0.5, "string": "x", "t": NOW}] * 3
        write(tmp_path / name, day)
    columns = Source(files="x", columns={**COLUMNS, "s": {"type": "string", "column": "strings"}})
    for name in names:
        text = (tmp_path / name).read_bytes()
        if kind != "parquet":
            (tmp_path / name).write_bytes(text.replace(b"s,t", b"strings,t").replace(b'"s"', b'"strings"'))
        else:
            table = pq.read_table(tmp_path / name)
            pq.write_table(
                table.rename_columns(["strings" if c == "s" else c for c in table.column_names]),
                tmp_path / name,
            )
    said = refused(tmp_path, names, columns)
    there = "is in no line of it" if kind == "jsonl" else "is not in it"
    assert said.startswith(
        f"sources.log: day2.{kind}: `strings` {there}; did you mean 'string'? It is in 2 of the 3 files: "
        f"day1.{kind}, day3.{kind}"
    )


def test_a_key_of_json_lines_may_come_late_or_never(tmp_path):
    late = [{"i": i, "t": NOW, "f": 0.5} for i in range(3000)]
    late[2999]["s"] = "x"
    write(tmp_path / "a.jsonl", late)
    check_columns(tmp_path, ["a.jsonl"], source(), "sources.log")
    late[2999] = {"i": 1, "nested": {"s": 1}, "text": 'the key "s": is not here'}
    write(tmp_path / "a.jsonl", late)
    assert refused(tmp_path, ["a.jsonl"]).startswith("sources.log: a.jsonl: `s` is in no line")
    (tmp_path / "b.jsonl").write_text('{"\\u0073" : "x"}\n')  # as well as "s"
    check_columns(tmp_path, ["a.jsonl", "b.jsonl"], source(), "sources.log")
    typed_wrong = Source(files="x", columns={"i": "int", "ff": "float"})
    assert "`ff` is in no line; did you mean 'f'?" in refused(tmp_path, ["a.jsonl"], typed_wrong)


def test_another_delimiter_than_the_recipes(tmp_path):
    (tmp_path / "a.csv").write_text("i;f;s;t\n1;0.5;x;1700000000000\n")
    assert refused(tmp_path, ["a.csv"]) == (
        "sources.log: a.csv: `delimiter:` is ',', which its first line does not have; is it ';'? It begins with "
        "'i;f;s;t'"
    )


def test_a_key_that_one_file_lacks(tmp_path):
    write(tmp_path / "a.jsonl", [row()] * 200)
    without = {k: v for k, v in row().items() if k != "s"}
    write(tmp_path / "b.jsonl", [without] * 20)
    # may be chance in so few lines
    check_columns(tmp_path, ["a.jsonl", "b.jsonl"], source(), "sources.log")
    write(tmp_path / "b.jsonl", [without] * 200)
    assert "b.jsonl: `s` is in no line of it" in refused(tmp_path, ["a.jsonl", "b.jsonl"])
    # optional in the other file too
    write(tmp_path / "a.jsonl", [row()] * 200 + [without])
    check_columns(tmp_path, ["a.jsonl", "b.jsonl"], source(), "sources.log")


def test_a_byte_that_is_no_utf8(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"i,f,s,t\n1,1,caf\xe9,1700000000000\n2,1,caf\xc3\xa9,1700000000000\n")
    lines = b'{"i": 1, "s": "caf\xe9"}\n{"i": 2, "s": "caf\xc3\xa9"}\n'
    (tmp_path / "x.jsonl").write_bytes(lines)
    texts = pa.array([b"caf\xe9", "café".encode()])
    proper = pa.array(["x", "y"])
    for name, kind in (("b", texts), ("s", pa.Array.from_buffers(pa.string(), 2, texts.buffers()))):
        table = pa.table({"i": [1, 2], "f": [1.0, 1.0], "s": kind, "t": [NOW, NOW], "z": proper})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    for name in ("x.csv", "x.jsonl", "b.parquet", "s.parquet"):
        good, values, (letter,) = read_all(tmp_path, name)
        assert good == [2] and values["s"] == ["café"] and letter.position == 1
        assert "UTF-8" in letter.problem.kind or letter.problem.kind == "s: not a string"
        json.dumps(letter.as_json(), default=str).encode()
        row_of_it = json.loads(letter.row) if name == "x.jsonl" else letter.row
        assert row_of_it["s"] == "caf\ufffd"


@pytest.mark.parametrize("kind", FORMATS)
def test_nan_and_infinity(tmp_path, kind):
    write(tmp_path / f"x.{kind}", [row(f=float(f)) for f in ("nan", "inf", "-inf", "1.5")])
    good, values, dead = read_all(tmp_path, f"x.{kind}")
    assert good == [1, 4] and values["f"] == [None, 1.5]
    assert [(d.position, d.problem.kind) for d in dead] == [(2, "f: not a float"), (3, "f: not a float")]


@pytest.mark.parametrize("kind", FORMATS)
def test_integers_that_are_too_large(tmp_path, kind):
    rows = [row(i=i) for i in (2**63 - 1, 2**63, 2**64 - 1)]
    if kind == "parquet":
        table = pa.Table.from_pylist([{**r, "i": 0} for r in rows])
        pq.write_table(
            table.set_column(0, "i", pa.array([r["i"] for r in rows], pa.uint64())), tmp_path / "x.parquet"
        )
    else:
        write(tmp_path / f"x.{kind}", rows)
    good, values, dead = read_all(tmp_path, f"x.{kind}")
    assert good == [1] and values["i"] == [2**63 - 1]
    assert [d.problem.reason for d in dead] == [f"i: '{i}' is not an int" for i in (2**63, 2**64 - 1)]


def test_empty_files(tmp_path):
    write(tmp_path / "full.csv", [row()])
    (tmp_path / "header.csv").write_text("i,f,s,t\n")
    check_columns(tmp_path, ["full.csv", "header.csv"], source(), "sources.log")
    assert read_all(tmp_path, "header.csv")[0] == []
    (tmp_path / "zero.csv").write_text("")
    assert refused(tmp_path, ["full.csv", "zero.csv"]) == (
        "sources.log: zero.csv has 0 bytes; its first line must name the columns, also where no rows follow"
    )
    assert read_all(tmp_path, "zero.csv", Source(files="x", header=False, columns=COLUMNS))[0] == []
    write(tmp_path / "full.jsonl", [row()])
    (tmp_path / "zero.jsonl").write_text("")
    check_columns(tmp_path, ["full.jsonl", "zero.jsonl"], source(), "sources.log")
    assert read_all(tmp_path, "zero.jsonl")[0] == []
    schema = pa.schema([("i", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("t", pa.int64())])
    pq.write_table(schema.empty_table(), tmp_path / "none.parquet")
    check_columns(tmp_path, ["none.parquet"], source(), "sources.log")
    assert read_all(tmp_path, "none.parquet")[0] == []
    pq.ParquetWriter(tmp_path / "groupless.parquet", schema).close()  # not even a row group
    assert read_all(tmp_path, "groupless.parquet")[0] == []
    (tmp_path / "zero.parquet").write_bytes(b"")
    assert "zero.parquet: cannot be read as Parquet" in refused(tmp_path, ["none.parquet", "zero.parquet"])


@pytest.mark.parametrize("kind", FORMATS)
def test_seconds_where_milliseconds_were_meant_and_the_reverse(tmp_path, kind):
    write(tmp_path / f"x.{kind}", [row(t=NOW), row(t=1_700_000_000), row(t=NOW * 1_000_000), row(t=0)])
    good, values, dead = read_all(tmp_path, f"x.{kind}")
    assert good == [1] and values["t"] == [NOW]
    assert [d.problem for d in dead] == [
        (
            "t: implausible time",
            "t: '1700000000' is 1970-01-20 in ms; it would be 2023-11-14 in s: is `unit: s` right? `min:` or "
            "`max:` written for the column allows it",
        ),
        (
            "t: not a time",
            "t: '1700000000000000000' is not a time; it would be 2023-11-14 in ns: is `unit: ns` right?",
        ),
        (
            "t: implausible time",
            "t: '0' is 1970-01-01 in ms, before 1990 or after 2099; `min:` or `max:` written for the column "
            "allows it, `missing:` makes it no time at all",
        ),
    ]
    seconds = source(t={"type": "time", "unit": "s"})
    good, values, dead = read_all(tmp_path, f"x.{kind}", seconds)
    assert good == [2] and values["t"] == [NOW]
    assert dead[0].problem.reason.startswith(
        "t: '1700000000000' is 55840-11-08 in s; it would be 2023-11-14 in ms: is `unit: ms` right?"
    )
    allowed = source(t={"type": "time", "min": 0, "missing": ["0"]})
    assert read_all(tmp_path, f"x.{kind}", allowed)[1]["t"] == [NOW, 1_700_000_000, None]


def test_the_bounds_of_plausible_times(tmp_path):
    days = [
        "1989-12-31T23:59:59.999",
        "1990-01-01T00:00:00",
        "2099-12-31T23:59:59.999",
        "2100-01-01T00:00:00",
    ]
    write(tmp_path / "x.csv", [row(t=day) for day in days])
    good, _, dead = read_all(tmp_path, "x.csv", source(t={"type": "time", "unit": "iso"}))
    assert good == [2, 3]
    assert dead[1].problem.reason == (
        "t: '2100-01-01T00:00:00' is 2100-01-01, before 1990 or after 2099; `min:` or `max:` written for the "
        "column allows it"
    )
    moments = pa.array([dt.datetime.fromisoformat(day) for day in days], pa.timestamp("us", "Asia/Shanghai"))
    pq.write_table(
        pa.table({"i": [1] * 4, "f": [1.0] * 4, "s": ["x"] * 4, "t": moments}), tmp_path / "x.parquet"
    )
    assert read_all(tmp_path, "x.parquet")[0] == [2, 3]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("longer", "want"), [("keep_first", ["a", "b"]), ("keep_last", ["b", "c"]), ("dead", None)]
)
def test_lists_that_are_too_long(tmp_path, kind, longer, want):
    lists = [["a"], ["a", "b", "c"], None, ["a", "b"]]
    rows = [row(s="|".join(v or []) if kind == "csv" else v) for v in lists]
    write(tmp_path / f"x.{kind}", rows)
    columns = source(s={"type": "list[string]", "separator": "|", "max_length": 2, "longer": longer})
    batches = list(read(tmp_path, f"x.{kind}", columns, ["i", "s"]))
    cut = sum(np.count_nonzero(batch.cut.get("s", 0)) for batch in batches)
    good, values, dead = read_all(tmp_path, f"x.{kind}", columns)
    if longer == "dead":
        assert cut == 0 and good == [1, 3, 4] and values["s"] == [["a"], None, ["a", "b"]]
        assert [d.problem for d in dead] == [("s: longer than 2", "s has 3 values, and max_length allows 2")]
    else:
        assert cut == 1 and not dead and values["s"] == [["a"], want, None, ["a", "b"]]


def test_a_line_without_end(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"i,f,s,t\n" + b"x" * (17 << 20))
    with pytest.raises(DataError, match="x.csv: a line after row 0 is longer than 16 MiB: is this CSV?"):
        read_all(tmp_path, "x.csv")
    (tmp_path / "x.jsonl").write_bytes(b"x" * (21 << 20))
    with pytest.raises(DataError, match="x.jsonl: a line is longer than 16 MiB: is this JSON Lines?"):
        read_all(tmp_path, "x.jsonl")


def test_utf16(tmp_path):
    (tmp_path / "x.csv").write_text("i,f,s,t\n1,1,x,1\n", encoding="utf-16")
    assert "x.csv: is UTF-16; write it as UTF-8" in refused(tmp_path, ["x.csv"])


@pytest.mark.parametrize(
    ("text", "told"), [("0,50", True), ("1.234,5", True), ("1 234,5", True), ("a,5", False)]
)
def test_a_decimal_comma_is_told(tmp_path, text, told):
    (tmp_path / "log.csv").write_text(f"f\n1.5\n{text}\n")
    source = Source(files="log.csv", delimiter=";", columns={"f": Column(type="float")})
    [batch] = read(tmp_path, "log.csv", source, ["f"])
    [letter] = batch.drop_problems("log.csv")
    assert letter.problem.reason.startswith(f"f: '{text}' is not a float")
    assert ("decimal point" in letter.problem.reason) == told

"""The same rows from CSV, JSON Lines and Parquet: the same values, nulls and positions."""

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.arrow_types import ARROW_TYPES
from pipeline.ingest.read_csv import read_csv
from pipeline.ingest.read_jsonl import read_jsonl
from pipeline.ingest.read_parquet import read_parquet
from pipeline.recipe.parts import Source

SOURCE = Source(
    files="x",
    columns={
        "whole": {"type": "int", "missing": ["-1"]},
        "flag": "int",
        "number": "float",
        "single": {"type": "float", "missing": ["NA", "0.5"]},
        "text": {"type": "string", "missing": ["NA"]},
        "id": "string",
        "at": {"type": "time", "unit": "s"},
        "moment": {"type": "time", "unit": "iso"},
        "day": "date",
        "ids": {"type": "list[int]", "separator": "|", "missing": ["", "7"]},
        "words": {"type": "list[string]", "separator": "|", "max_length": 2, "longer": "keep_last"},
        "vector": "vector",
    },
)
EPOCH = dt.datetime(1970, 1, 1)

# U+FFFF stands for a byte that is no UTF-8
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\uffff\ufffe\0")
any_text = st.text(st.one_of(st.sampled_from('" ,\n\r\t|NA-'), letters), max_size=6)
words = st.lists(any_text.map(lambda t: t.replace("|", "/")), max_size=4)
moments = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2099, 12, 31))
row = st.fixed_dictionaries(
    {
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2),
        "flag": st.none() | st.booleans(),
        "number": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "single": st.none() | st.sampled_from([0.0, 0.5, -2.25]),
        "text": st.none() | any_text,
        "id": st.none() | st.integers(-9, 9),
        "at": st.none() | st.integers(631_152_000, 4_102_444_799),
        "moment": st.none() | moments,
        "day": st.none() | st.dates(),
        "ids": st.none() | st.lists(st.integers(-9, 9), max_size=4),
        "words": st.none() | words,
        "vector": st.none()
        | st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=3),
    }
)
PARQUET = {
    "whole": pa.int64(),
    "flag": pa.bool_(),
    "number": pa.float64(),
    "single": pa.float32(),
    "text": pa.large_string(),
    "id": pa.int8(),
    "at": pa.int64(),
    "moment": pa.timestamp("us"),
    "day": pa.date32(),
    "ids": pa.list_(pa.int32()),
    "words": pa.large_list(pa.string()),
    "vector": pa.list_(pa.float32()),
}


def csv_field(value, quote):
    if value is None:
        return ""
    if isinstance(value, list):
        value = "|".join(v if isinstance(v, str) else repr(v) for v in value)
    text = value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else str(value)
    return '"' + text.replace('"', '""') + '"' if quote or set(text) & set('",\n\r') else text


def write_csv(path, rows, quote):
    def line(fields):
        return ",".join(csv_field(f, quote) for f in fields)

    # within a vector a comma or a space separates
    ready = [{**r, "vector": r["vector"] and " ".join(map(repr, r["vector"]))} for r in rows]
    lines = [line(SOURCE.columns), *(line([r[c] for c in SOURCE.columns]) for r in ready)]
    path.write_bytes(("\n".join(lines) + "\n").encode())


def write_jsonl(path, rows, ascii_only):
    def plain(value):
        return value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else value

    # a key that is absent is as one that is null
    objects = [{k: plain(v) for k, v in r.items() if v is not None or k < "n"} for r in rows]
    text = "".join(json.dumps(o, ensure_ascii=ascii_only) + "\n" for o in objects)
    path.write_bytes(text.encode())


def write_parquet(path, rows):
    columns = {name: pa.array([r[name] for r in rows], kind) for name, kind in PARQUET.items()}
    pq.write_table(pa.table(columns), path, row_group_size=3)


def read(batches):
    """One table of all batches, with positions; no row may be dead."""
    parts = []
    for batch in batches:
        assert batch.drop_problems("x") == []
        parts.append(pa.table({**batch.columns, "position": batch.positions}))
    if parts:
        return pa.concat_tables(parts)
    empty = {name: pa.array([], ARROW_TYPES[c.type]) for name, c in SOURCE.columns.items()}
    return pa.table({**empty, "position": np.zeros(0, np.int64)})


def strip(text):
    return pc.utf8_trim_whitespace(pa.scalar(text)).as_py()


def expected(r):
    """What a row is by the recipe."""
    found = {**r, "position": None}
    found["whole"] = None if r["whole"] == -1 else r["whole"]
    found["flag"] = r["flag"] if r["flag"] is None else int(r["flag"])
    found["single"] = None if r["single"] == 0.5 else r["single"]
    found["text"] = None if r["text"] is None or strip(r["text"]) in ("", "NA") else strip(r["text"])
    found["id"] = r["id"] if r["id"] is None else str(r["id"])
    found["at"] = r["at"] if r["at"] is None else r["at"] * 1000
    found["moment"] = r["moment"] and (r["moment"] - EPOCH) // dt.timedelta(milliseconds=1)
    found["day"] = r["day"] and (r["day"] - EPOCH.date()).days
    found["ids"] = [i for i in r["ids"] or [] if i != 7] or None
    found["words"] = [strip(w) for w in r["words"] or [] if strip(w)][-2:] or None
    found["vector"] = r["vector"] or None
    return found


@settings(deadline=None, max_examples=60)
@given(st.lists(row, max_size=6), st.booleans(), st.integers(20, 400))
def test_the_same_rows_from_every_format(tmp_path_factory, rows, coin, block_bytes):
    folder, names = tmp_path_factory.mktemp("formats"), list(SOURCE.columns)
    write_csv(folder / "x.csv", rows, quote=coin)
    write_jsonl(folder / "x.jsonl", rows, ascii_only=coin)
    write_parquet(folder / "x.parquet", rows)
    from_csv = read(read_csv(folder / "x.csv", SOURCE, names, block_bytes))
    assert from_csv.to_pylist() == [expected(r) | {"position": i + 1} for i, r in enumerate(rows)]
    assert read(read_jsonl(folder / "x.jsonl", SOURCE, names, block_bytes)).equals(from_csv)
    assert read(read_parquet(folder / "x.parquet", SOURCE, names, batch_rows=2)).equals(from_csv)
    whole = read(read_csv(folder / "x.csv", SOURCE, names))
    assert whole.equals(from_csv)


ODD = [
    *("nan", "NaN", "-nan", "nan(3)", "inf", "-Infinity", "1e400", "0x10", "+5", " 3 ", "\t4", "007", "1_0"),
    *("true", "False", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1.0", "1e3"),
    *("9007199254740993.0", "5.", ".5", "-0", "", " ", "NULL", "2022-05-01", "1700000000", "1,5", "١"),
]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(ODD), min_size=1, max_size=8), st.booleans(), st.integers(8, 60))
def test_numbers_as_texts(tmp_path_factory, texts, quote, block_bytes):
    """Numbers that Arrow types, in CSV, are those of the same texts in JSON Lines and Parquet."""
    folder = tmp_path_factory.mktemp("numbers")
    columns = {
        "i": "int",
        "f": "float",
        "t": {"type": "time", "min": -1e18},
        "u": {"type": "int", "missing": ["NULL"]},
    }
    source = Source(files="x", columns=columns)
    lines = [",".join([csv_field(text, quote)] * 4 + [str(i)]) for i, text in enumerate(texts)]
    (folder / "x.csv").write_text("\n".join(["i,f,t,u,z", *lines]) + "\n")
    (folder / "x.jsonl").write_text("".join(json.dumps(dict.fromkeys("iftu", text)) + "\n" for text in texts))

    def rows(batches):
        good, dead = [], []
        for batch in batches:
            dead += [(d.position, d.problem) for d in batch.drop_problems("x")]
            good += zip(batch.positions.tolist(), *(batch.columns[n].to_pylist() for n in columns))
        return good, dead

    for names in ([n] for n in columns):
        columns = dict.fromkeys(names)
        found = rows(read_csv(folder / "x.csv", source, names, block_bytes))
        assert found == rows(read_csv(folder / "x.csv", source, names))
        assert found == rows(read_jsonl(folder / "x.jsonl", source, names))

"""Texts to typed values: what each means, and that neighbours do not change it."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.texts import blank_missing, parse_texts
from pipeline.recipe.parts import Column

BAD = "BAD"


def read(texts, **column):
    spec = Column(**column)
    array, bad = parse_texts(blank_missing(pa.array(texts, pa.string()), spec.missing), spec)
    array.validate(full=True)
    bad = np.zeros(len(texts), bool) if bad is None else bad
    return [BAD if wrong else value for value, wrong in zip(array.to_pylist(), bad)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("3", 3),
        ("-7", -7),
        ("+5", 5),
        ("007", 7),
        ("9.0", 9),
        ("87433.00", 87433),
        ("1e3", 1000),
        ("", None),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", BAD),
        ("0x10", BAD),
        ("1.5", BAD),
        ("1,000", BAD),
        ("abc", BAD),
        ("9007199254740993.0", BAD),
        ("1_0", BAD),
        ("nan", None),
        ("true", 1),
        ("False", 0),
        ("yes", BAD),
        ("inf", BAD),
    ],
)
def test_int(text, want):
    assert read([text], type="int") == [want]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("0.1", 0.1),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("+5", 5.0),
        ("1e-3", 0.001),
        ("nan", None),
        ("NaN", None),
        ("TRUE", 1.0),
        ("inf", BAD),
        ("1e400", BAD),
        ("1,000", BAD),
        ("1_0", BAD),
        ("x", BAD),
    ],
)
def test_float(text, want):
    assert read([text], type="float") == [want]


@pytest.mark.parametrize(
    ("unit", "text", "want"),
    [
        ("s", "1651382400", 1651382400000),
        ("s", "1651382400.5", 1651382400500),
        ("ms", "-1", -1),
        ("us", "1500", 1),
        ("us", "-1", -1),
        ("ns", "1999999", 1),
        ("s", "99999999999999999", BAD),
        ("iso", "2022-05-01", 1651363200000),
        ("iso", "2022-05-01T00:00:00", 1651363200000),
        ("iso", "2022-05-01 00:00:00.0019", 1651363200001),
        ("iso", "2022-05-01T00:00:00+08:00", 1651334400000),
        ("iso", "2022-05-01T00:00:00Z", 1651363200000),
        ("iso", "2022-13-01T00:00:00", BAD),
        ("iso", "1651363200", BAD),
        ("iso", "1969-12-31T23:59:59.9999", -1),
    ],
)
def test_time(unit, text, want):
    assert read([text], type="time", unit=unit) == [want]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1970-01-02", 1),
        ("1969-12-31", -1),
        ("2022-02-30", BAD),
        ("20220201", BAD),
        ("1970-01-02 23:59:59", 1),
        ("1970-01-02T00:00:00+01:00", 0),
    ],
)
def test_date(text, want):
    assert read([text], type="date") == [want]


def test_lists_and_vectors():
    assert read(["1|2", "", "3||4", "x|1"], type="list[int]", separator="|") == [[1, 2], None, [3, 4], BAD]
    assert read(["a b", " a  b "], type="list[string]", separator=" ") == [["a", "b"], ["a", "b"]]
    assert read(["[0.5, 1]", "0.5 1", "", "1 nan", "1 x"], type="vector") == [
        [0.5, 1.0],
        [0.5, 1.0],
        None,
        BAD,
        BAD,
    ]


def test_texts_that_stand_for_missing():
    assert read(["NA", " 3", "  ", "? "], type="int", missing=["NA", "?"]) == [None, 3, None, None]
    assert read(["-1", "-1.0", "1"], type="int", missing=["-1"]) == [None, None, 1]
    assert read(["0", "0.000", "1"], type="time", unit="s", missing=["0"]) == [None, None, 1000]
    assert read(["NA|a", "NA", "|"], type="list[string]", separator="|", missing=["NA"]) == [
        ["a"],
        None,
        None,
    ]
    assert read(["1 -1", "1 2,"], type="vector", missing=["-1"]) == [BAD, [1.0, 2.0]]
    assert read(["NA", "?"], type="string", missing=["NA"]) == [None, "?"]


odd = st.one_of(
    st.sampled_from(
        [
            "",
            "3",
            "-7",
            "9.0",
            "1.5",
            "x",
            "0x10",
            "nan",
            "inf",
            "1e3",
            "9" * 19,
            "2022-05-01",
            "2022-05-01T01:02:03",
            "2022-13-01T00:00:00",
            "2022-05-01T01:02:03Z",
            "1|2",
            "1|x",
            "|",
        ]
    ),
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(repr),
    st.text(max_size=4),
    st.datetimes(timezones=st.just(UTC)).map(lambda t: t.isoformat()),
    st.datetimes().map(lambda t: t.isoformat(sep=" ")),
)


@pytest.mark.parametrize(
    "column",
    [
        {"type": "int"},
        {"type": "float"},
        {"type": "string"},
        {"type": "date"},
        {"type": "vector"},
        {"type": "time", "unit": "s"},
        {"type": "time", "unit": "ns"},
        {"type": "time", "unit": "iso"},
        {"type": "list[int]", "separator": "|"},
        {"type": "list[string]", "separator": "|"},
    ],
    ids=lambda c: "-".join(c.values()),
)
@settings(deadline=None)
@given(texts=st.lists(odd, min_size=1, max_size=12))
def test_neighbours_change_nothing(column, texts):
    together = read(texts, **column)
    assert together == [read([text], **column)[0] for text in texts]


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_are_exact(values):
    assert read([repr(v) for v in values], type="float") == values


@settings(deadline=None)
@given(st.lists(st.datetimes(min_value=datetime(1800, 1, 1), max_value=datetime(2200, 1, 1)), min_size=1))
def test_iso_times_are_pythons(moments):
    epoch = datetime(1970, 1, 1)
    want = [
        ((m - epoch).days * 86_400_000_000 + (m - epoch).seconds * 1_000_000 + (m - epoch).microseconds)
        // 1000
        for m in moments
    ]
    assert read([m.isoformat() for m in moments], type="time", unit="iso") == want


def test_milliseconds_are_no_iso_time():
    texts = ["1700010140000", "20240229", "20240229T101500"]
    _, bad = parse_texts(pa.array(texts), Column(type="time", unit="iso"))
    assert bad.tolist() == [True, False, False]

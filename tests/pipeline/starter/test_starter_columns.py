"""Types of columns, from texts and from Arrow's types."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from pipeline.starter.columns import infer


@pytest.mark.parametrize(
    ("column", "texts", "kind", "settings"),
    [
        ("n", ["1", "-2", " 3 "], "int", {}),
        ("n", ["1", "2.5", "1e3"], "float", {}),
        ("n", ["1", "NA", "3"], "int", {"missing": ["", "NA"]}),
        ("n", ["1.0", "", "3.0"], "int", {}),
        ("zip", ["01234", "99123"], "string", {}),
        ("day", ["2024-02-29", "2023-01-01"], "date", {}),
        ("at", ["2024-02-29T10:00:00Z", "2024-02-29 11:00:00"], "time", {"unit": "iso"}),
        ("ts", ["1700000000", "1700000001"], "time", {"unit": "s"}),
        ("parcel", ["1700000000", "1700000001"], "int", {}),  # as large as a time, and not named like one
        ("stamp", ["1700000000123", "1700000001456"], "time", {"unit": "ms"}),
        ("event_time", ["1700000000.5", "1700000001.25"], "time", {"unit": "s"}),
        ("word", ["a", "b c", "a"], "string", {}),
        ("word", ["a", "NULL", "b"], "string", {"missing": ["", "NULL"]}),
        ("vector", ["[0.1, 0.2, 0.3, 1e-3]", "[1, 2, 3, 4]"], "vector", {}),
        ("range", ["[10,100)", "[100,1k)", "0", "[1k,5k)"], "string", {}),
    ],
)
def test_texts(column, texts, kind, settings):
    found = infer(column, column, pa.array(texts * 20))
    assert found.type == kind
    assert {name: getattr(found.spec, name) for name in settings} == settings


def test_list_by_its_separator():
    random = np.random.default_rng(0)
    words = ["red", "green", "blue", "black", "white"]
    texts = ["|".join(random.choice(words, random.integers(1, 4), replace=False)) for _ in range(300)]
    found = infer("colours", "colours", pa.array(texts))
    assert (found.type, found.spec.separator) == ("list[string]", "|")
    assert found.array[0].as_py() == texts[0].split("|")
    numbers = [t.replace("red", "1").replace("green", "2").replace("blue", "3") for t in texts]
    numbers = [n.replace("black", "4").replace("white", "5") for n in numbers]
    assert infer("codes", "codes", pa.array(numbers)).type == "list[int]"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([f"{n},{n % 100:02d}" for n in range(300)], "decimal comma"),
        ([f"1.{n},5" for n in range(100, 400)], "decimal comma"),
        (
            [str(1_700_000_000_000 + n) if n % 3 else f"2024-03-01T00:00:{n % 60:02d}Z" for n in range(300)],
            "33% are ISO",
        ),
    ],
)
def test_numbers_and_times_that_are_written_otherwise_are_told(texts, said):
    found = infer("x", "x", pa.array(texts))
    assert (found.type, found.spec.separator) == ("string", None)
    assert said in " ".join(found.notes)


def test_sentences_are_no_lists():
    texts = [f"Nice {a}, cheap {b}" for a in ("hat", "shoe", "coat") for b in ("bag", "sock", "tie")]
    assert infer("title", "title", pa.array(texts)).type == "string"


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([True, False]), "int"),
        (pa.array([1.0, None, 0.0]), "int"),
        (pa.array([1.5, None]), "float"),
        (pa.array([datetime.datetime(2024, 1, 1)]), "time"),
        (pa.array([datetime.date(2024, 1, 1)]), "date"),
        (pa.array([[1, 2], [3]]), "list[int]"),
        (pa.array([["a"], []]), "list[string]"),
        (pa.array([[0.5, 1.0], [2.0, 3.0]]), "vector"),
        (pa.array(["a", "b"]).dictionary_encode(), "string"),
    ],
)
def test_arrow_types(array, kind):
    assert infer("x", "x", array).type == kind


def test_a_few_bad_values_are_dead_letters_and_not_another_type():
    found = infer("n", "n", pa.array(["7"] * 999 + ["seven"]))
    assert found.type == "int" and "1 of 1,000 values" in found.notes[0] and "seven" in found.notes[0]
    assert infer("n", "n", pa.array(["7"] * 90 + ["seven"] * 10)).type == "string"


def test_one_negative_number_may_be_missing_and_stays_a_value():
    found = infer("n", "n", pa.array(["-1", "3", "4", "-1"]))
    assert found.array.to_pylist() == [-1, 3, 4, -1] and "-1 (50%) may stand" in found.notes[0]
    assert infer("n", "n", pa.array(["-1", "-2", "4"])).notes == []

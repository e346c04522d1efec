"""Dead letters, by kind: counted, and the first of each shown."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import mtl
from pipeline.ingest.batch import DeadLetter, Problem
from pipeline.ingest.explain import DeadKind, dead_kinds, find_letters
from pipeline.ingest.read_stage import write_letters

LETTERS = [
    (
        "log",
        DeadLetter("day1.csv", 7, Problem("at: not a time", "at: 'x' is not a time"), {"at": "x", "b": "1"}),
    ),
    ("log", DeadLetter("day1.csv", 9, Problem("wrong number of fields", "has 2 fields"), '1,"a')),
    (
        "log",
        DeadLetter("day2.csv", 1, Problem("at: not a time", "at: 'y' is not a time"), {"at": "y", "b": "2"}),
    ),
    (
        "catalogs.items",
        DeadLetter("items.csv", 3, Problem("at: not a time", "at: 'z' is not a time"), {"at": "z"}),
    ),
]


@pytest.fixture
def run(tmp_path):
    """A recommender's folder with dead letters in `dead/`, and with a run that has a copy."""
    for folder in ("dead", "runs/1"):
        (tmp_path / folder).mkdir(parents=True)
        with (tmp_path / folder / "dead_letters.jsonl").open("w") as file:
            for source, letter in LETTERS:
                write_letters(file, source, [letter])
    return tmp_path


def shown(where):
    found = CliRunner().invoke(mtl, ["data", "explain", str(where)])
    return found.exit_code, found.output


def test_kinds_are_counted_and_the_first_kept(run):
    assert dead_kinds(run / "dead/dead_letters.jsonl") == [
        DeadKind("log", "at: not a time", 2, "at: 'x' is not a time", "day1.csv", 7, {"at": "x", "b": "1"}),
        DeadKind("log", "wrong number of fields", 1, "has 2 fields", "day1.csv", 9, '1,"a'),
        DeadKind("catalogs.items", "at: not a time", 1, "at: 'z' is not a time", "items.csv", 3, {"at": "z"}),
    ]


def test_the_command_takes_a_run_a_recommender_and_a_file(run):
    for where in (run, run / "runs/1", run / "dead/dead_letters.jsonl"):
        code, output = shown(where)
        lines = [" ".join(line.split()) for line in output.splitlines()]
        assert code == 0
        assert lines[0].endswith("dead_letters.jsonl: 4 dead rows")
        assert "at: not a time log 2 50.0% day1.csv:7" in lines
        assert "wrong number of fields log 1 25.0% day1.csv:9" in lines
        assert "day1.csv, row 7 (log): at: 'x' is not a time" in lines
        assert '{"at": "x", "b": "1"}' in lines and '1,"a' in lines
        assert not any("'y'" in line for line in lines)


def test_none(run, tmp_path):
    (run / "dead/dead_letters.jsonl").write_text("")
    assert shown(run) == (0, "no dead letters: no row was dead\n")
    (run / "runs/2/report").mkdir(parents=True)
    code, output = shown(run / "runs/2")
    assert code == 0 and "no dead letters" in output and "no data were read there" in output


def test_what_is_no_run_or_no_dead_letter(tmp_path):
    code, output = shown(tmp_path)
    assert code == 2 and "is no run" in output
    path = tmp_path / "dead_letters.jsonl"
    path.write_text('{"a": 1}\n')
    code, output = shown(path)
    assert code == 2 and "line 1 is not a dead letter" in output
    assert find_letters(path) == path


def test_a_long_row_is_cut(tmp_path):
    with (tmp_path / "dead_letters.jsonl").open("w") as file:
        write_letters(file, "log", [DeadLetter("x.csv", 1, Problem("long", "long"), "x" * 5000)])
    assert "x" * 2000 + "… (5,000 characters)" in shown(tmp_path)[1].replace("\n", "")


kinds = st.sampled_from(["plain", 'quo"ted', "back\\slash", "né", "\u2028", 'a, "b": 1'])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["log", "events.e"]), kinds, st.text(max_size=5)), max_size=12))
def test_counts_are_those_of_the_letters(tmp_path_factory, letters):
    path = tmp_path_factory.mktemp("dead") / "dead_letters.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i, (source, kind, text) in enumerate(letters):
            letter = DeadLetter(text + ".csv", i + 1, Problem(kind, text), {"x": text})
            write_letters(file, source, [letter])
    found = dead_kinds(path)
    first = {}
    for i, (source, kind, _) in enumerate(letters):
        first.setdefault((source, kind), i + 1)
    assert {(k.source, k.kind): k.position for k in found} == first
    assert {(k.source, k.kind): k.rows for k in found} == {
        key: sum(letter[:2] == key for letter in letters) for key in first
    }
    assert [k.rows for k in found] == sorted((k.rows for k in found), reverse=True)
    assert all(json.loads(json.dumps(k.row)) == {"x": k.reason} for k in found)

"""JSON Lines: the fast way and the slow way read alike."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest import read_jsonl as module
from pipeline.ingest.read_jsonl import first_keys, read_jsonl
from pipeline.recipe.parts import Source

SOURCE = Source(
    files="x",
    columns={
        "i": "int",
        "f": "float",
        "s": {"type": "string", "column": "text"},
        "t": {"type": "time", "unit": "iso", "min": 0},
        "l": "list[string]",
        "p": {"type": "list[int]", "separator": "|"},
        "v": "vector",
    },
)


def read(path, block_bytes=1 << 20):
    good, dead = [], []
    for batch in read_jsonl(path, SOURCE, list(SOURCE.columns), block_bytes):
        rows = [[v if v != [] else None for v in batch.columns[n].to_pylist()] for n in SOURCE.columns]
        good += [
            (p, *v)
            for i, (p, *v) in enumerate(zip(batch.positions.tolist(), *rows))
            if i not in batch.problems
        ]
        dead += [(d.position, d.problem.kind) for d in batch.drop_problems("x")]
    return good, sorted(dead)


def test_values_and_dead_rows(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"i": 1, "f": 0.5, "text": "x", "t": "1970-01-01T00:00:01Z", "l": ["a", null], '
        '"p": "1|2", "v": [1, 2.5]}\n'
        '\n{"other": {"deep": 1}}\n{"i": "7", "f": 3, "text": 12}\n{"i": 1.5}\n'
        '[1]\n{"i": \n{"v": [1, null]}\n'
        '{"i": true, "l": [1], "f": null}\n{"text": "\\ud800"}\n'
    )
    good, dead = read(path)
    assert good == [
        (1, 1, 0.5, "x", 1000, ["a"], [1, 2], [1.0, 2.5]),
        (2, *[None] * 7),
        (3, 7, 3.0, "12", *[None] * 4),
        (8, 1, None, None, None, ["1"], None, None),
    ]
    assert dead == [
        (4, "i: not an int"),
        (5, "not JSON"),
        (6, "not JSON"),
        (7, "v: not a vector"),
        (9, "s: not a string"),
    ]
    assert first_keys(path) == {"i", "f", "text", "t", "l", "p", "v", "other"}


def test_proper_lines_go_the_fast_way(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {
                    "i": i,
                    "f": i / 2,
                    "text": f"ä{i}",
                    "t": "2022-05-01T00:00:00",
                    "l": ["x"],
                    "p": "1",
                    "v": [i, 0.5],
                    "z": {"y": []},
                }
            )
            + "\n"
            for i in range(50)
        )
    )
    monkeypatch.setattr(module, "_slow", lambda *_: pytest.fail("a proper line was read slowly"))
    good, dead = read(path, block_bytes=300)
    assert (
        len(good) == 50 and not dead and good[7] == (8, 7, 3.5, "ä7", 1651363200000, ["x"], [1], [7.0, 0.5])
    )


def test_numbers_texts_and_booleans_in_each_others_place_go_the_fast_way(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    lines = [{"i": i % 2 == 1, "f": str(i / 2), "text": i, "p": [i, 7]} for i in range(60)]
    lines += [{"i": i, "f": i / 2, "text": str(i), "p": f"{i}|7"} for i in range(60, 120)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    slow, calls = module._slow, []
    monkeypatch.setattr(module, "_slow", lambda *how: calls.append(1) or slow(*how))
    good, dead = read(path, block_bytes=300)
    assert not dead and len(calls) <= 1  # of the block that has both kinds of lines
    assert [(p, i, f, s, ids) for p, i, f, s, _, _, ids, _ in good] == [
        (n + 1, n % 2 if n < 60 else n, n / 2, str(n), [n, 7]) for n in range(120)
    ]


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["3", "1.0", "", "2022-05-01T00:00:00", "1|2", "nan"]),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.just({"a": 1}))
objects = st.dictionaries(st.sampled_from(["i", "f", "text", "t", "l", "p", "v", "z"]), values)
typed = st.fixed_dictionaries(
    {},
    optional={
        "i": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "f": st.floats(allow_nan=False, allow_infinity=False),
        "text": st.text(max_size=5),
        "t": st.sampled_from(["2022-05-01", "2022-05-01T01:02:03.5", "x"]),
        "l": st.lists(st.text(max_size=3), max_size=3),
        "p": st.sampled_from(["1|2", "", "x|1"]),
        "v": st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=3),
    },
)
broken = st.sampled_from(
    ["{", "[]", "1", "", " ", '{"i": 1}{"i": 2}', '{"i": 1, "i": 2}', "{'i': 1}", '{"i": 1} x']
)


@settings(deadline=None)
@given(
    st.lists(st.one_of(typed.map(json.dumps), objects.map(json.dumps), broken), min_size=1, max_size=8),
    st.integers(1, 80),
)
def test_blocks_change_nothing(tmp_path_factory, lines, block_bytes):
    path = tmp_path_factory.mktemp("jsonl") / "x.jsonl"
    path.write_text("\n".join(lines) + "\n")
    good, dead = read(path)
    assert (good, dead) == read(path, block_bytes)
    count = len([line for line in lines if line.strip()])
    assert sorted([g[0] for g in good] + [d[0] for d in dead]) == list(range(1, count + 1))

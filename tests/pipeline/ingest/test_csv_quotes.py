"""CSV quotes: values over several lines are read as they are, and a quote left open takes no line along."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.ingest.csv_blocks import MAX_VALUE
from pipeline.ingest.read_csv import read_csv
from pipeline.recipe.parts import Source

SOURCE = Source(files="x", columns={"a": "int", "b": "string", "c": "int"})


def read(path, source=SOURCE, block_bytes=1 << 20):
    """Rows with their numbers, and (number, kind, raw row) of dead ones."""
    good, dead = [], []
    for batch in read_csv(path, source, list(source.columns), block_bytes):
        dead += [(d.position, d.problem.kind, d.row) for d in batch.drop_problems("x")]
        good += zip(batch.positions.tolist(), *(batch.columns[n].to_pylist() for n in source.columns))
    return good, dead


def read_text(folder, text, **how):
    path = folder / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, **how)


@pytest.mark.parametrize(
    ("lines", "dead_lines"),
    [
        # to the next value's opening quote
        (['1,"abc,2', '3,"def",4', "5,g,6"], [0]),
        (['1,"abc', '3,"def",4', '5,"g",6'], [0]),
        # to the end of the file
        (["1,x,2", '3,"abc,4', "5,g,6", "7,h,8"], [1]),
        (["1,x,2", '3,"abc,4'], [1]),
        (['1,"abc,2', '3,"",4', '5,"",6'], [0]),
        # to another line's quote that closes a field, as RFC 4180 allows
        (['1,"abc,2', "3,d,4", '5,e",6'], [0]),
        (['1,"abc,2', '3,d",4'], [0]),
        (['"1,a,2', "3,d,4", '5,e,6"'], [0, 2]),
        # two of them
        (['1,"a,2', "3,b,4", '5,"c,6', "7,d,8"], [0, 2]),
        # a quote within a value that is not doubled
        (['1,"a "b" c",2', "3,d,4"], [0]),
        (['1,"a"b,2', "3,d,4"], [0]),
    ],
)
def test_an_open_quote_takes_no_other_line_along(tmp_path, lines, dead_lines):
    for end in ("\n", "\r\n", "\r"):
        for last in ("", end):
            good, dead = read_text(tmp_path, "a,b,c" + end + end.join(lines) + last)
            assert [position - 1 for position, *_ in dead] == dead_lines
            assert [row for *_, row in dead] == [lines[i] for i in dead_lines][: len(dead)] or dead_lines == [
                0,
                2,
            ]
            assert [p - 1 for p, *_ in good] == [i for i in range(len(lines)) if i not in dead_lines]


def test_the_letter_names_the_opening_quote(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('a,b,c\n1,x,2\n3,"abc,4\n5,d,6\n')
    (letter,) = (d for batch in read_csv(path, SOURCE, ["a"]) for d in batch.drop_problems("x.csv"))
    assert letter.position == 2 and letter.row == '3,"abc,4'
    assert letter.problem.kind == "quote not closed"
    assert letter.problem.reason == (
        "the quote before 'abc,4' is not closed; a quote within a quoted value is written twice: \"\""
    )


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines",
        "Dear a, b, c\nyours, d, e\n",
        '"quoted"\n\nand, more',
        "\n",
        ",\n,",
        'x\r\n"y"',
        "1,2\n3",
    ],
)
def test_values_over_several_lines(tmp_path, text):
    rows = [["1", text, "2"], ["3", "plain", "4"], ["5", text, "6"]]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    good, dead = read_text(tmp_path, out.getvalue())
    assert dead == [] and good == [
        (i + 1, int(a), b.strip() or None, int(c)) for i, (a, b, c) in enumerate(rows)
    ]


def test_quotes_that_are_text(tmp_path):
    good, dead = read_text(tmp_path, 'a,b,c\n1,5" screen,2\n3,"x" ,4\n5, "y",6\n7,"""z""",8\n')
    assert dead == []
    assert [row[2] for row in good] == ['5" screen', "x", '"y"', '"z"']


def test_a_value_longer_than_the_limit_is_not_closed(tmp_path):
    for length, count in ((MAX_VALUE - 1, 3), (MAX_VALUE, 2)):
        text = 'a,b,c\n1,"' + "x" * length + '",2\n3,b,4\n5,c,6\n'
        for block_bytes in (1 << 16, 1 << 22):
            assert len(read_text(tmp_path, text, block_bytes=block_bytes)[0]) == count


texts = st.text(st.sampled_from('ab" ,\n\r|é'), max_size=8)
fields = st.tuples(st.integers(0, 99).map(str), texts, st.integers(0, 99).map(str))


def written(rows, quote_all):
    out = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(out, lineterminator="\n", quoting=quoting).writerows(rows)
    return out.getvalue()


@settings(deadline=None, max_examples=80)
@given(st.lists(fields, min_size=1, max_size=8), st.booleans(), st.integers(12, 60))
def test_what_a_csv_writer_wrote_is_read(tmp_path_factory, rows, quote_all, block_bytes):
    folder = tmp_path_factory.mktemp("csv")
    # a lone carriage return ends a line where the writer does not quote it
    rows = [(a, b if '"' in written([[b]], quote_all) else b.replace("\r", ""), c) for a, b, c in rows]
    text = "a,b,c\n" + written(rows, quote_all)
    good, dead = read_text(folder, text, block_bytes=block_bytes)
    want = [(i + 1, int(a), b.strip() or None, int(c)) for i, (a, b, c) in enumerate(rows)]
    assert (good, dead) == (want, [])
    assert read_text(folder, text) == (good, dead)


garbage = st.one_of(
    st.text(st.sampled_from('1a",| é'), max_size=12).map(str.encode),
    st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")),
)
one_line = st.tuples(
    st.integers(0, 99).map(str), st.text(st.sampled_from('ab" ,|é'), max_size=8), st.integers(0, 99).map(str)
)


@settings(deadline=None, max_examples=800)
@given(st.lists(one_line, max_size=5), garbage, st.lists(one_line, max_size=5), st.integers(12, 60))
@example([], b'"y', [("1", ",x", "3")], 20)
@example([], b'"', [("0", ",", "0")], 12)
def test_a_garbage_line_takes_no_row_along(tmp_path_factory, before, line, after, block_bytes):
    folder = tmp_path_factory.mktemp("csv")
    text = b"a,b,c\n" + written(before, False).encode() + line + b"\n" + written(after, False).encode()
    good, dead = read_text(folder, text)
    assert read_text(folder, text, block_bytes=block_bytes) == (good, dead)
    number = len(before) + 1
    blank = not line
    want = [(i + 1, int(a), b.strip() or None, int(c)) for i, (a, b, c) in enumerate(before)]
    want += [
        (i + number + (not blank), int(a), b.strip() or None, int(c)) for i, (a, b, c) in enumerate(after)
    ]
    assert [row for row in good if blank or row[0] != number] == want
    assert len(good) + len(dead) == len(want) + (not blank)

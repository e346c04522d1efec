"""What is in the spans of a source, whatever files they stand in."""

import pytest

from pipeline.spans.calendar import Calendar
from pipeline.spans.contents import content

ROWS = [(1, "a", 0.5, "x|y", 0), (2, "b", 0.7, "", 1), (1, "b", 1.2, "x", 0), (3, "a", 2.9, "y", 1)]


@pytest.fixture
def look(shop, tmp_path):
    def _look(folder):
        calendar = Calendar.of(shop.spans)
        return content(shop.sources.log, "at", folder, "sources.log", calendar, tmp_path / "index", "")

    return _look


def digests(found):
    return {number: found.digest([number]) for number in found.spans}


def test_order_and_files_do_not_matter(look, write, tmp_path):
    write(tmp_path / "one/log/a.csv", ROWS)
    write(tmp_path / "two/log/a.csv", [ROWS[3], ROWS[1]])
    write(tmp_path / "two/log/b.csv", [ROWS[2], ROWS[0]])
    one, two = look(tmp_path / "one"), look(tmp_path / "two")
    assert digests(one) == digests(two) and one.spans == [0, 1, 2]
    assert two.having(0, 0) == ["log/a.csv", "log/b.csv"] and two.having(1, 1) == ["log/b.csv"]
    assert one.newest == int(2.9 * 86_400_000)


@pytest.mark.parametrize(
    "late",
    [(1, "a", 0.9, "x", 1), (1, "a", 0.5, "x|y", 0), (9, "z", 0.1, "", 0)],
    ids=["row", "repeat", "id"],
)
def test_a_late_row_changes_its_span_alone(look, write, tmp_path, late):
    write(tmp_path / "data/log/a.csv", ROWS)
    before = digests(look(tmp_path / "data"))
    write(tmp_path / "data/log/b.csv", [late, (5, "c", 3.1, "", 0)])
    after = digests(look(tmp_path / "data"))
    assert after[0] != before[0] and {n: after[n] for n in (1, 2)} == {n: before[n] for n in (1, 2)}
    assert set(after) == {0, 1, 2, 3}


def test_any_value_counts(look, write, tmp_path):
    write(tmp_path / "data/log/a.csv", ROWS)
    before = digests(look(tmp_path / "data"))
    for place, value in ((1, "c"), (3, "y|x"), (4, 1)):
        row = list(ROWS[0])
        row[place] = value
        write(tmp_path / "data/log/a.csv", [tuple(row), *ROWS[1:]])
        after = digests(look(tmp_path / "data"))
        assert after[0] != before[0] and after[1] == before[1]


def test_a_file_is_remembered_by_what_is_in_it(look, write, tmp_path):
    write(tmp_path / "data/log/a.csv", ROWS)
    first = look(tmp_path / "data")
    [kept] = (tmp_path / "index").iterdir()
    kept.write_text(kept.read_text().replace('"0": [2', '"0": [7'))  # that it is read shows
    (tmp_path / "data/log/a.csv").rename(tmp_path / "data/log/renamed.csv")
    assert look(tmp_path / "data").digest([0]) != first.digest([0])

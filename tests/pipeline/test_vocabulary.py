"""Which values of lists count: those that the model takes; and how vocabularies grow."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vocabulary import _taken, grown

LISTS = st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=6)), min_size=1, max_size=12)


@settings(deadline=None)
@given(LISTS, st.integers(1, 5), st.booleans(), st.integers(0, 3))
def test_first_or_last_values_of_each_list(lists, length, last, skipped):
    found = _taken(pa.array(lists, pa.list_(pa.int64())).slice(skipped), length, last)
    cut = [(row or [])[-length:] if last else (row or [])[:length] for row in lists[skipped:]]
    assert found.to_pylist() == [value for row in cut for value in row]


def test_a_column_that_no_row_has():
    assert _taken(pa.nulls(3), 2, False).to_pylist() == []


VALUES = st.binary(max_size=3)
COUNTS = st.dictionaries(VALUES, st.integers(1, 9), max_size=12)


@settings(deadline=None)
@given(st.lists(VALUES.filter(bool), unique=True, max_size=8), COUNTS, st.integers(1, 4), st.integers(0, 12))
def test_old_values_keep_their_rows_and_new_ones_come_behind(old, counts, min_count, max_size):
    found = grown(old, counts, min_count, max_size)
    new = found[len(old) :]
    assert found[: len(old)] == old and len(set(found)) == len(found)
    assert all(counts[v] >= min_count for v in new) and len(new) <= max(max_size - len(old), 0)
    assert new == sorted(new, key=lambda v: (-counts[v], v))
    assert found == grown(old, dict(reversed(counts.items())), min_count, max_size)  # in any order of rows
    assert grown(found, counts, min_count, max_size) == found
    whole = grown(old, counts, min_count, None)
    left = {v for v, n in counts.items() if n >= min_count and v and not {*b"\r\n"} & {*v}} - {*old}
    assert {*whole[len(old) :]} == left

"""Which values of lists count: those that the model takes."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vocabulary import _taken

LISTS = st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=6)), min_size=1, max_size=12)


@settings(deadline=None)
@given(LISTS, st.integers(1, 5), st.booleans(), st.integers(0, 3))
def test_first_or_last_values_of_each_list(lists, length, last, skipped):
    found = _taken(pa.array(lists, pa.list_(pa.int64())).slice(skipped), length, last)
    cut = [(row or [])[-length:] if last else (row or [])[:length] for row in lists[skipped:]]
    assert found.to_pylist() == [value for row in cut for value in row]


def test_a_column_that_no_row_has():
    assert _taken(pa.nulls(3), 2, False).to_pylist() == []

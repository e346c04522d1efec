import numpy as np
import pytest

from pipeline.demo.draws import Stream, uniforms


def test_a_row_does_not_depend_on_where_reading_starts():
    whole = uniforms(7, Stream.SLOTS, 3, 0, 50, 8)
    for first, rows in ((0, 1), (1, 9), (17, 33), (49, 1)):
        part = uniforms(7, Stream.SLOTS, 3, first, rows, 8)
        np.testing.assert_array_equal(part, whole[first : first + rows])


def test_tables_differ_by_seed_stream_and_part():
    tables = [
        uniforms(seed, stream, part, 0, 100, 4)
        for seed in (0, 1)
        for stream in (Stream.SLOTS, Stream.REQUESTS)
        for part in (0, 1)
    ]
    for i, left in enumerate(tables):
        for right in tables[:i]:
            assert not np.isin(left, right).any()


def test_uniforms_are_uniform():
    values = uniforms(0, Stream.SLOTS, 0, 0, 25_000, 4).ravel()
    assert values.min() >= 0 and values.max() < 1
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    # chi-square with 19 degrees of freedom: 43.8 is its 99.9th percentile
    assert ((counts - 5000) ** 2 / 5000).sum() < 43.8


def test_width_must_fill_whole_steps_of_the_counter():
    with pytest.raises(ValueError, match="width is 6.*multiple of 4"):
        uniforms(0, Stream.SLOTS, 0, 0, 1, 6)

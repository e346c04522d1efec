"""Random numbers by address: the same (seed, stream, row) gives the same numbers in any order of asking."""

import enum

import numpy as np


class Stream(enum.IntEnum):
    """Independent sources of randomness. The numbers are part of the world: never renumber them."""

    USERS = 1
    ITEMS = 2
    TASTE = 3
    CONTENT = 4
    USER_CONTENT = 5
    REQUEST_SIZES = 6
    REQUESTS = 7
    SLOTS = 8
    TITLES = 9
    USER_GAPS = 10
    ITEM_GAPS = 11
    ORDERS = 12
    PICTURES = 13
    VECTORS = 14


def generator(seed: int, stream: Stream) -> np.random.Generator:
    """A sequential generator, for tables that are drawn once and whole."""
    return np.random.default_rng(np.random.SeedSequence([seed, int(stream)]))


def uniforms(seed: int, stream: Stream, part: int, first: int, rows: int, width: int) -> np.ndarray:
    """Rows `first` .. `first + rows` of an endless table of uniforms in [0, 1).

    The table is addressed through the counter of Philox-4x64 (Salmon et al., "Parallel random numbers: as
    easy as 1, 2, 3", SC 2011), so that a log cut into other chunks stays the same log.

    Args:
      part: which table of the stream; the log uses one a day.
      width: columns of the table, a multiple of 4: one step of the counter gives 4 numbers.

    Returns: float64 of shape [rows, width].

    Raises: ValueError where `width` is not a multiple of 4.
    """
    if width % 4:
        raise ValueError(f"width is {width}; Philox gives 4 numbers a step, so it must be a multiple of 4")
    key = np.random.SeedSequence([seed, int(stream), part]).generate_state(2, np.uint64)
    bits = np.random.Philox(key=key).advance(first * width // 4)
    return np.random.Generator(bits).random((rows, width))

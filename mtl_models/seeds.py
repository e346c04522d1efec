"""Distinct, repeatable seeds: identical integer seeds would give identical weights in Keras 3."""

import hashlib


def derive_seed(seed: int, *path: object) -> int:
    """A 31-bit seed for one variable, from the model's seed and the variable's path."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1

"""A setting of vectors: one value for all of them, or one a vector."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value", int, float)


def per_vector(
    setting: str, value: Value | Mapping[str, Value] | None, vectors: Iterable[str]
) -> dict[str, Value]:
    """Vector → value, of the vectors that have one.

    Args:
        setting: its name, for errors.
        value: of every vector; or vector → its value; None for none.
        vectors: the names that there are.

    Raises:
        ValueError: if a name is not of a vector.
    """
    names = list(vectors)
    if not isinstance(value, Mapping):
        return {} if value is None else dict.fromkeys(names, value)
    for name in value:
        if name not in names:
            raise ValueError(
                f"{setting}: '{name}' is not a vector; "
                + (f"those are {', '.join(names)}" if names else "the layout has none")
            )
    return dict(value)

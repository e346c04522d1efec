"""Bounds of a part's settings, in one place: its class's `BOUNDS`.

`BOUNDS` is a literal {setting: (least, greatest)}, None for no bound; of a tuple it bounds every element.
Recipes read it without importing the class, so that a value out of bounds is found before anything runs.
"""

from collections.abc import Iterable, Mapping


def check_bounds(part, settings: Mapping | None = None) -> None:
    """Raises ValueError where a setting is outside the `BOUNDS` of the class of `part`.

    Args:
        part: whose settings they are.
        settings: name → value; None: its attributes.
    """
    for name, (least, greatest) in type(part).BOUNDS.items():
        value = getattr(part, name) if settings is None else settings[name]
        values = value.values() if isinstance(value, Mapping) else value
        for number in values if isinstance(values, Iterable) and not isinstance(values, str) else [values]:
            if not isinstance(number, (int, float)):  # None, or a schedule
                continue
            if (least is not None and not number >= least) or (
                greatest is not None and not number <= greatest
            ):
                raise ValueError(
                    f"{type(part).__name__}: {name} must be between {least} and {greatest} "
                    f"(None: no bound); it is {value}"
                )

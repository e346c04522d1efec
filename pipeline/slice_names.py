"""How slices are written: a column, or several crossed with `&`; and with values, `a=1 & b=2`."""

import re

# Slices by whether a role's value is absent from training.
NEW_ROLES = {"new_user": "user", "new_item": "item"}

# A value may hold `&` too, so that one begins a condition only where a name and `=` follow.
_NEXT_CONDITION = re.compile(r"\s*&\s*(?=[a-z][a-z0-9_]*=)")


def features_of(name: str) -> tuple[str, ...]:
    """The columns of a slice, or of a slice's name with values: `a & b` and `a=1 & b=2` are (a, b)."""
    if "=" in name:
        return tuple(feature for feature, _ in conditions_of(name))
    return tuple(part.strip() for part in name.split("&"))


def conditions_of(name: str) -> tuple[tuple[str, str], ...]:
    """The (column, value) pairs of `a=1 & b=2`; a value is empty where there is no `=`."""
    parts = (part.partition("=") for part in _NEXT_CONDITION.split(name.strip()))
    return tuple((feature, value) for feature, _, value in parts)


def slice_name(conditions: tuple[tuple[str, str], ...]) -> str:
    """The name of a slice: `a=1 & b=2`."""
    return " & ".join(f"{feature}={value}" for feature, value in conditions)

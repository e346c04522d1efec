"""How slices are written: a column, or several crossed with `&`."""


def features_of(name: str) -> tuple[str, ...]:
    """The columns of a slice, or of a slice's name with values: `a & b` and `a=1 & b=2` are (a, b)."""
    return tuple(part.split("=", 1)[0].strip() for part in name.split("&"))

"""Places that are not on this machine: which there are, and which file systems are read."""

import re
from collections.abc import Iterator

from pipeline.recipe.model import Recipe

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
FILE_SYSTEMS = ("s3", "gs", "hdfs")


def scheme(place: str) -> str:
    """Of a URI, in lower case; empty of a path."""
    found = _URI.match(place)
    return found[1].lower() if found else ""


def read_places(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """The paths and patterns of files with rows or vectors, each with its place in the recipe."""
    sources = recipe.sources
    named = {"sources.log": sources.log}
    named |= {f"sources.catalogs.{name}": source for name, source in sources.catalogs.items()}
    named |= {f"sources.events.{name}": source for name, source in sources.events.items()}
    for path, source in named.items():
        yield from ((f"{path}.files", file) for file in source.files)
    for name, feature in recipe.features.items():
        yield from ((f"features.{name}.files", file) for file in getattr(feature, "files", None) or ())


def remote_patterns(recipe: Recipe) -> dict[str, str]:
    """Those of `read_places` that are not on this machine → their place in the recipe."""
    return {place: path for path, place in read_places(recipe) if scheme(place)}

"""Spans: what the rest of a recipe must have for them."""

from collections.abc import Iterator

from pipeline.recipe.errors import Problem
from pipeline.recipe.model import Recipe


def span_problems(recipe: Recipe) -> Iterator[Problem]:
    if recipe.spans is None:
        return
    time = recipe.roles.time
    if time is None or time not in recipe.sources.log.columns:
        yield Problem(
            "spans",
            "need roles.time, a column of the log of type time"
            + ("" if time is None else f"; {time} is a catalog's"),
        )
    if recipe.downsampling is not None:
        yield Problem(
            "spans",
            "cannot go with downsampling: a span is evaluated whole in one run and trained on in the next",
        )

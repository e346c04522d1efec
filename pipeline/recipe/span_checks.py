"""Spans and skew: what the rest of a recipe must have for them."""

from collections.abc import Iterator

from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import near
from pipeline.recipe.model import Recipe


def span_problems(recipe: Recipe) -> Iterator[Problem]:
    for name in recipe.skew.columns if recipe.skew else ():
        if name not in recipe.request_columns:
            known = recipe.request_columns
            yield Problem(f"skew.columns.{name}", f"is no column that a request has{near(name, known)}")
    if recipe.spans is None:
        return
    time = recipe.roles.time
    if time is None or time not in recipe.sources.log.columns:
        yield Problem(
            "spans",
            "need roles.time, a column of the log of type time"
            + ("" if time is None else f"; {time} is a catalog's"),
        )
    for name in recipe.spans.drift.columns if recipe.spans.drift else ():
        if name not in recipe.input_columns:
            yield Problem(
                f"spans.drift.columns.{name}",
                f"is no column that the model reads{near(name, recipe.input_columns)}",
            )
    if recipe.downsampling is not None:
        yield Problem(
            "spans",
            "cannot go with downsampling: a span is evaluated whole in one run and trained on in the next",
        )

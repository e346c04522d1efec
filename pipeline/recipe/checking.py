"""What checks of a recipe share: expressions and columns that it names."""

from collections.abc import Iterator

from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import ExpressionError, near, parse
from pipeline.recipe.model import Recipe


def check_expression(
    path: str, text: str, types: dict[str, str], kinds: tuple[str, ...], need: str
) -> Iterator[Problem]:
    try:
        found = parse(text, types)
    except ExpressionError as error:
        yield Problem(path, str(error), value=text)
        return
    if found.type not in kinds:
        yield Problem(path, f"is a {found.type}; {need}", value=text)


def known_column(path: str, name: str | None, recipe: Recipe, what: str) -> Iterator[Problem]:
    if name is not None and name not in recipe.columns:
        yield Problem(
            path, f"no source has a column of this name, to be {what}{near(name, recipe.columns)}", value=name
        )

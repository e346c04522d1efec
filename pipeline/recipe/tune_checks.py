"""The search space of a tuner: settings that training has, and values that they may take."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from pipeline.recipe.errors import Problem
from pipeline.recipe.model import Recipe
from pipeline.recipe.model_checks import model_problems
from pipeline.recipe.searches import Range
from pipeline.recipe.space import with_values

_TUNED = re.compile(r"(model|weighting|training)(\..+)?|tasks\.[^.]+\.(loss_weight|gamma|list_share)")
_JUDGES = ("training.seed", "training.stopping")


def tune_problems(recipe: Recipe) -> Iterator[Problem]:
    space = recipe.tune.space if recipe.tune else {}
    if recipe.tune and recipe.training.warm_start:
        yield Problem(
            "training.warm_start",
            "cannot go with tune: a search trains models of other forms, from nothing",
        )
    plain = recipe.model_copy(update={"tune": None})
    for path, values in space.items():
        here = f"tune.space.{path}"
        if not _TUNED.fullmatch(path) or path in ("model", "training"):
            yield Problem(
                here,
                "is not a setting to tune: name one of model, weighting or training, or a task's "
                "loss_weight, gamma or list_share",
            )
        elif f"{path}.".startswith(tuple(f"{judge}." for judge in _JUDGES)):
            yield Problem(here, "decides how trials are judged, and would win by luck or by a softer judge")
        elif inside := next((p for p in space if p != path and path.startswith(f"{p}.")), None):
            yield Problem(here, f"is a part of {inside}, which is tuned whole")
        else:
            yield from _values(here, path, values, plain)


def _values(here: str, path: str, values: Range | list[Any], recipe: Recipe) -> Iterator[Problem]:
    of_range = isinstance(values, Range)
    for name, value in ((n, getattr(values, n)) for n in ("min", "max")) if of_range else enumerate(values):
        try:
            found = next(iter(model_problems(with_values(recipe, {path: value}))), None)
            message = found and f"{found.path}: {found.message}"
        except KeyError:
            yield Problem(here, "is not a setting of this recipe")
            return
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["type"] == "extra_forbidden":
                yield Problem(here, "is not a setting of this recipe")
                return
            message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if message:
            yield Problem(f"{here}.{name}", message[0].lower() + message[1:], value=value)

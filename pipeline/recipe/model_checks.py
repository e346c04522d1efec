"""Splits, model and training: settings that name tasks and columns."""

from collections.abc import Iterator
from datetime import datetime

from pipeline.recipe import constructors
from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import near
from pipeline.recipe.features import KEYED
from pipeline.recipe.model import Recipe


def split_problems(recipe: Recipe) -> Iterator[Problem]:
    splits = recipe.splits
    if splits.by == "time":
        if recipe.roles.time is None:
            yield Problem("splits.by", "time needs roles.time", value="time")
        times: list[datetime] = []
        for field in ("validation_from", "test_from"):
            try:
                times.append(datetime.fromisoformat(getattr(splits, field)))
                if times[-1].tzinfo is not None:
                    yield Problem(
                        f"splits.{field}",
                        "has an offset of its own; write it without, and say utc_offset_hours",
                        value=getattr(splits, field),
                    )
                    return
            except ValueError:
                yield Problem(
                    f"splits.{field}",
                    "is not an ISO date or time, such as 2024-03-01 or 2024-03-01T06:00:00",
                    value=getattr(splits, field),
                )
        if len(times) == 2 and times[0] >= times[1]:
            yield Problem(
                "splits.test_from",
                f"must be later than validation_from ({splits.validation_from})",
                value=splits.test_from,
            )
    elif splits.by == "hash" and splits.of != "row" and getattr(recipe.roles, splits.of) is None:
        yield Problem("splits.of", f"needs roles.{splits.of}", value=splits.of)


def known_tasks(recipe: Recipe, path: str, names: object) -> Iterator[Problem]:
    for name in names or ():
        if name not in recipe.tasks:
            yield Problem(f"{path}.{name}", f"is not a task{near(name, recipe.tasks)}")


def model_problems(recipe: Recipe) -> Iterator[Problem]:
    objective = recipe.training.stopping.objective
    yield from known_tasks(recipe, "training.stopping.objective", objective)
    if objective is not None and not sum(objective.values()) > 0:
        yield Problem("training.stopping.objective", "one task at least must count: a weight above 0")
    yield from known_tasks(recipe, "serving.score", recipe.serving.score)
    if recipe.serving.score and not any(recipe.serving.score.values()):
        yield Problem("serving.score", "all weights are 0: `score` would put nothing in order")
    for name in recipe.serving.score or ():
        if name in recipe.tasks and recipe.tasks[name].kind == "multiclass":
            yield Problem(
                f"serving.score.{name}", "is a multiclass task, whose probabilities are no single number"
            )
    yield from _chain(recipe)
    yield from _weighting(recipe)
    yield from _distribution(recipe)
    paired = [n for n, f in recipe.features.items() if f.kind in ("categorical", "buckets", "vector", *KEYED)]
    pairs = getattr(recipe.model, "interactions", None)
    if isinstance(pairs, str) and pairs != "all":
        yield Problem("model.interactions", "is `all` or a list of pairs of features", value=pairs)
    for i, pair in enumerate(pairs if isinstance(pairs, (list, tuple)) else ()):
        if len(set(pair)) != 2:
            yield Problem(f"model.interactions.{i}", "must be a pair of two features", value=list(pair))
        for name in pair:
            if name not in paired:
                yield Problem(
                    f"model.interactions.{i}",
                    f"'{name}' is not a feature with an embedding or vector{near(name, paired)}",
                    value=list(pair),
                )
    if recipe.serving.fusion == "product":
        for name in recipe.score_weights:
            if name in recipe.tasks and recipe.tasks[name].kind != "binary":
                yield Problem(
                    "serving.fusion",
                    f"product takes probabilities; {name} is {recipe.tasks[name].kind}",
                    value="product",
                )


def _weighting(recipe: Recipe) -> Iterator[Problem]:
    """What of a weighting must fit the tasks; of a class of one's own nothing is known."""
    name, tasks = recipe.weighting.name, recipe.tasks
    if ":" in name:
        return
    if name == "fixed" and len(recipe.weighting.weights) != len(tasks):
        yield Problem(
            "weighting.weights",
            f"needs one number for each of the {len(tasks)} tasks, in this order: {', '.join(tasks)}",
            value=list(recipe.weighting.weights),
        )
    if constructors.part_constant("weighting", name, "needs_positive_losses"):
        densities = constructors.module_constant("tasks.py", "DENSITIES")
        for task, of in tasks.items():
            if of.loss in densities:
                yield Problem(
                    "weighting.name",
                    f"{name} needs losses above 0, and loss {of.loss} of {task} may be below; take equal or "
                    "fixed, or a weighting of gradients alone such as upgrad",
                    value=name,
                )


def _distribution(recipe: Recipe) -> Iterator[Problem]:
    training = recipe.training
    if training.distribution == "none":
        return
    if training.jit_compile:
        yield Problem(
            "training.jit_compile",
            f"steps of distribution {training.distribution} are not compiled with XLA; leave it out",
            value=True,
        )
    if training.precision == "mixed_float16":
        yield Problem(
            "training.precision",
            f"losses are not scaled with distribution {training.distribution}; mixed_bfloat16 needs no "
            "scaling",
            value=training.precision,
        )


def _chain(recipe: Recipe) -> Iterator[Problem]:
    """Of architectures over tasks that follow one another."""
    chain = getattr(recipe.model.architecture, "chain", None)
    if chain is None:
        return
    path = "model.architecture.chain"
    yield from known_tasks(recipe, path, chain)
    named = [name for name in chain or recipe.tasks if name in recipe.tasks]
    for name in dict.fromkeys(name for name in named if named.count(name) > 1):
        yield Problem(path, f"names {name} twice", value=list(chain))
    for name in named:
        if recipe.tasks[name].kind != "binary":
            hint = (
                "" if chain else ", and a chain that is left out is all tasks: name the binary ones in order"
            )
            yield Problem(
                path, f"takes binary tasks; {name} is {recipe.tasks[name].kind}{hint}", value=list(chain)
            )
    if len(named) < 2:
        yield Problem(path, "needs at least two tasks, each following the one before", value=list(chain))

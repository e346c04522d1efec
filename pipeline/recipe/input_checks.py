"""What `model:` may say of the inputs: settings that name features, and tasks beside a position."""

from collections.abc import Iterator, Mapping

from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import near
from pipeline.recipe.model import Recipe

_CHOICES = {
    "pooling": ("mean", "sum", "sqrtn"),
    "numeric_embedding": ("piecewise_linear", "periodic"),
}


def input_problems(recipe: Recipe) -> Iterator[Problem]:
    """Mistakes in the input settings of a recipe whose features are right."""
    model = recipe.model
    embedded = [n for n, f in recipe.features.items() if f.kind in ("categorical", "buckets")]
    lists = [n for n in embedded if _is_list(recipe, n)]
    single = [n for n in embedded if n not in lists]
    for setting, choices in _CHOICES.items():
        value = getattr(model, setting)
        if value is not None and value not in choices:
            yield Problem(
                f"model.{setting}", f"is one of {', '.join(choices)}{near(value, choices)}", value=value
            )
    histories = []
    for i, pair in enumerate(model.attention or ()):
        path = f"model.attention.{i}"
        if len(pair) != 2:
            yield Problem(path, "must be a pair: a list and a feature with one value a row", value=list(pair))
            continue
        history, target = pair
        if history not in lists:
            yield Problem(
                path,
                f"'{history}' is not a categorical feature with a list{near(history, lists)}",
                value=list(pair),
            )
        elif history in histories:
            yield Problem(path, f"'{history}' has a target already; it can have one", value=list(pair))
        histories.append(history)
        yield from _single(path, target, single)
    for setting in ("scenario", "personal"):
        for i, name in enumerate(getattr(model, setting)):
            yield from _single(f"model.{setting}.{i}", name, single)
    for setting in ("vector_units", "vector_dropout"):
        value = getattr(model, setting)
        for name in value if isinstance(value, Mapping) else ():
            if name not in recipe.vectors:
                yield Problem(
                    f"model.{setting}.{name}",
                    f"'{name}' is not a vision, text, precomputed or vector feature{near(name, recipe.vectors)}",
                    value=value[name],
                )
    if model.position is not None:
        yield from _position(recipe, single)
    elif model.position_tasks:
        yield Problem("model.position_tasks", "needs model.position")
    has_unknown = any(f.kind == "categorical" and f.hash_buckets is None for f in recipe.features.values())
    if model.id_dropout and not has_unknown:
        yield Problem(
            "model.id_dropout",
            "needs a categorical feature with a vocabulary: hashes and buckets have no unknown row",
            value=model.id_dropout,
        )


def _is_list(recipe: Recipe, name: str) -> bool:
    """Whether the model takes more than one value a row; a list cut to one value is a single one."""
    return (recipe.list_length(name) or 1) > 1


def _single(path: str, name: str, single: list[str]) -> Iterator[Problem]:
    if name not in single:
        yield Problem(
            path, f"'{name}' is not a feature with one embedding a row{near(name, single)}", value=name
        )


def _position(recipe: Recipe, single: list[str]) -> Iterator[Problem]:
    model, name = recipe.model, recipe.model.position
    yield from _single("model.position", name, single)
    if not model.position_tasks:
        yield Problem("model.position_tasks", "must name the tasks whose outputs the position adds to")
    for i, task in enumerate(model.position_tasks):
        if task not in recipe.tasks:
            yield Problem(f"model.position_tasks.{i}", f"is not a task{near(task, recipe.tasks)}", value=task)
        elif recipe.tasks[task].kind == "multiclass":
            yield Problem(
                f"model.position_tasks.{i}",
                f"{task} is multiclass: what is added to every class alike changes nothing",
                value=task,
            )
    pairs = {"attention": model.attention, "interactions": model.interactions}
    named = {
        setting: [n for pair in found or () if not isinstance(found, str) for n in pair]
        for setting, found in pairs.items()
    }
    for setting, names in {**named, "scenario": model.scenario, "personal": model.personal}.items():
        if name in names:
            yield Problem(f"model.{setting}", f"names {name}, which is the position and feeds its own tower")

"""Tasks, their labels, and the negatives they are given."""

from collections.abc import Iterator

from pipeline.recipe.checking import check_expression
from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import near
from pipeline.recipe.model import Recipe
from pipeline.recipe.tasks import CLASS_KINDS, Task

RESERVED_TASKS = ("score", "absent", "row", "total")


LEAST_KEPT = 1e-6  # float32 has 24 bits


def task_problems(recipe: Recipe) -> Iterator[Problem]:
    for name, task in recipe.tasks.items():
        path = f"tasks.{name}"
        if name in RESERVED_TASKS:
            yield Problem(path, f"{name} is a name of our own; choose another")
        yield from _label(path, task, recipe) if task.events is None else _from_events(name, task, recipe)
        if task.where is not None:
            yield from check_expression(
                f"{path}.where",
                task.where,
                recipe.condition_types,
                ("bool",),
                f"a condition is needed, such as `{task.where} > 0`",
            )
        if task.weight is not None:
            yield from check_expression(
                f"{path}.weight", task.weight, recipe.condition_types, ("int", "float"), "a number is needed"
            )
        if task.loss == "listwise" and recipe.roles.request is None:
            yield Problem(
                f"{path}.loss", "listwise ranks within a request and needs roles.request", value="listwise"
            )
        yield from _calibration(path, task)
    yield from _durations(recipe)


def _calibration(path: str, task: Task) -> Iterator[Problem]:
    path, chosen = f"{path}.calibration", task.calibration
    if task.kind == "regression" and chosen != "none":
        yield Problem(
            path,
            "is of probabilities, and a regression predicts a quantity; leave it out (loss log_mse fits a "
            "factor on validation by itself)",
            value=chosen,
        )
    elif task.kind in CLASS_KINDS and chosen not in ("none", "temperature"):
        yield Problem(
            path,
            f"{chosen} maps the one probability of a binary task; a task of classes takes temperature",
            value=chosen,
        )


def _durations(recipe: Recipe) -> Iterator[Problem]:
    types = recipe.column_types | {n: e.type for n, e in recipe.derived_columns.items()}
    for name, task in recipe.tasks.items():
        column, path = getattr(task, "duration", None), f"tasks.{name}.duration"
        if column is None:
            continue
        if column not in types:
            yield Problem(
                path, f"no source or derived column has this name{near(column, types)}", value=column
            )
        elif types[column] not in ("int", "float"):
            yield Problem(path, f"must be a number; {column} is {types[column]}", value=column)
        elif column in recipe.columns and recipe.columns[column].known == "after":
            yield Problem(
                path,
                f"{column} is known only after the impression, and predictions need it before",
                value=column,
            )
        elif column != recipe.duration:
            yield Problem(path, f"all tasks share one duration; another's is {recipe.duration}", value=column)


def _label(path: str, task: Task, recipe: Recipe) -> Iterator[Problem]:
    kinds, need = ("int", "float"), "a number is needed"
    if task.kind == "binary":
        kinds, need = ("int", "float", "bool"), "a condition, or a column of 0 and 1, is needed"
    elif task.kind in CLASS_KINDS:
        if isinstance(task.classes[0], str):
            kinds, need = ("string",), f"a text is needed, as classes are ({', '.join(task.classes[:3])}, …)"
        else:
            need = "a number is needed, as classes are; classes that are texts are listed in `classes:`"
    wrong = list(check_expression(f"{path}.label", task.label, recipe.column_types, kinds, need))
    yield from wrong
    if wrong:
        return
    for column in sorted(recipe.expression(task.label).columns):
        if recipe.columns[column].known == "before":
            yield Problem(
                f"{path}.label",
                f"reads {column}, which is said to be known before the impression; "
                f"a label is not: write `known: after` there",
                value=task.label,
            )


def _from_events(name: str, task: Task, recipe: Recipe) -> Iterator[Problem]:
    path, source = f"tasks.{name}.events", task.events.source
    if name in recipe.columns:
        yield Problem(
            f"tasks.{name}",
            "a source has a column of this name, and conditions could mean both; choose another",
        )
    if source not in recipe.sources.events:
        yield Problem(
            f"{path}.source", f"is not in sources.events{near(source, recipe.sources.events)}", value=source
        )
        return
    types = {n: c.expression_type for n, c in recipe.sources.events[source].columns.items()}
    if task.events.where is not None:
        yield from check_expression(
            f"{path}.where",
            task.events.where,
            types,
            ("bool",),
            f"a condition is needed, such as `{task.events.where} > 0`",
        )
    value = getattr(task.events, "value", None)
    if value is not None:
        yield from check_expression(f"{path}.value", value, types, ("int", "float"), "a number is needed")


def downsampling_problems(recipe: Recipe) -> Iterator[Problem]:
    if recipe.downsampling is None:
        return
    name = recipe.downsampling.task
    if name not in recipe.tasks:
        yield Problem("downsampling.task", f"is not a task{near(name, recipe.tasks)}", value=name)
    elif recipe.tasks[name].kind != "binary":
        yield Problem(
            "downsampling.task",
            f"{name} is a {recipe.tasks[name].kind}; only binary tasks have negatives",
            value=name,
        )
    elif recipe.downsampling.correction == "logit" and recipe.tasks[name].loss != "binary_crossentropy":
        yield Problem(
            "downsampling.correction",
            f"logit corrects probabilities of binary_crossentropy; the loss of {name} is "
            f"{recipe.tasks[name].loss}, which takes weight",
            value="logit",
        )
    if recipe.downsampling.keep < LEAST_KEPT:
        yield Problem(
            "downsampling.keep",
            f"must be at least {LEAST_KEPT:g}: a row kept counts 1/keep times, and in sums rows that count "
            "once would be lost beside it",
            value=recipe.downsampling.keep,
        )

"""What `mtl fuse` is to look for: tasks that a metric fits, and requests to order rows in."""

from collections.abc import Iterator

from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import near
from pipeline.recipe.model import Recipe


def fuse_problems(recipe: Recipe) -> Iterator[Problem]:
    wanted = recipe.fuse
    if wanted is None:
        return
    if recipe.roles.request is None:
        yield Problem(
            "fuse",
            "orders rows within requests and needs roles.request: the column with the id that rows shown "
            "together share",
        )
    named = [(f"fuse.maximize.{task}", task) for task in wanted.maximize]
    named += [(f"fuse.bounds.{i}.task", bound.task) for i, bound in enumerate(wanted.bounds)]
    for path, task in named:
        if task not in recipe.tasks:
            yield Problem(path, f"is not a task{near(task, recipe.tasks)}", value=task)
            continue
        kind = recipe.tasks[task].kind
        if kind == "multiclass":
            yield Problem(
                path, f"{task} is multiclass: its classes have no order to rank rows by", value=task
            )
        elif kind != "binary" and wanted.metric != "ndcg_at_k":
            yield Problem(
                path,
                f"{wanted.metric} takes binary tasks; {task} is {kind}, which takes ndcg_at_k",
                value=task,
            )
    measured = {task for _, task in named}
    for i, task in enumerate(wanted.unknown_as_zero):
        if task not in measured:
            yield Problem(
                f"fuse.unknown_as_zero.{i}",
                f"is in neither maximize nor bounds{near(task, measured)}",
                value=task,
            )
    bounded = [bound.task for bound in wanted.bounds]
    for i, task in enumerate(bounded):
        if task in bounded[:i]:
            yield Problem(f"fuse.bounds.{i}.task", "is bounded above already; write one bound", value=task)

"""Gates and evaluation: tasks, metrics and slices that they name."""

import re
from collections.abc import Iterator
from math import inf

from pipeline.metric_names import COMPARED, DIRECTED, METRICS, OF_RANKINGS, RANGES, role_of
from pipeline.recipe.checking import check_expression, known_column
from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import near
from pipeline.recipe.features import VECTORS
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import Gate
from pipeline.recipe.tasks import CLASS_KINDS
from pipeline.recipe.vector_gates import VectorGate
from pipeline.slice_names import NEW_ROLES, conditions_of, features_of, slice_name

# As slices of int columns are named.
_INTEGER = re.compile("0|-?[1-9][0-9]*")


def gate_problems(recipe: Recipe) -> Iterator[Problem]:
    if not recipe.gates:
        yield Problem("gates", "is an empty list, which asks nothing; write `none` where that is meant")
    for i, gate in enumerate(recipe.gates if recipe.gates != "none" else ()):
        path = f"gates.{i}"
        if isinstance(gate, VectorGate):
            yield from _vectors(path, gate, recipe)
            continue
        if gate.task not in recipe.tasks:
            yield Problem(f"{path}.task", f"is not a task{near(gate.task, recipe.tasks)}", value=gate.task)
        elif gate.metric not in METRICS[recipe.tasks[gate.task].kind]:
            kind = recipe.tasks[gate.task].kind
            yield Problem(
                f"{path}.metric",
                f"{gate.task} is {kind}, which has {', '.join(METRICS[kind])}",
                value=gate.metric,
            )
        role = role_of(gate.metric)
        if role is not None and role not in recipe.roles.named():
            yield Problem(
                f"{path}.metric",
                f"{gate.metric} orders rows within {role}s and needs roles.{role}",
                value=gate.metric,
            )
        if gate.slice is not None:
            known = {features_of(name): name for name in recipe.slices}
            if "=" not in gate.slice or features_of(gate.slice) not in known:
                yield Problem(
                    f"{path}.slice",
                    "must be `column=value` with a column of evaluation.slices (of a cross `a=1 & b=2`, in "
                    f"its order){near(' & '.join(features_of(gate.slice)), list(known.values()))}",
                    value=gate.slice,
                )
            else:
                yield from _values(f"{path}.slice", gate.slice, recipe)
        if gate.lower is not None and gate.upper is not None and gate.lower > gate.upper:
            yield Problem(
                f"{path}.lower", f"is above upper ({gate.upper}); nothing could pass", value=gate.lower
            )
        yield from _out_of_reach(path, gate)
        yield from _comparison(path, gate, recipe.evaluation.replicates)


def _vectors(path: str, gate: VectorGate, recipe: Recipe) -> Iterator[Problem]:
    if gate.vectors not in recipe.vectors:
        yield Problem(
            f"{path}.vectors",
            f"is no feature of kind {', '.join(VECTORS)}{near(gate.vectors, recipe.vectors)}",
            value=gate.vectors,
        )


def _out_of_reach(path: str, gate: Gate) -> Iterator[Problem]:
    """Bounds that no model could keep."""
    least, greatest = RANGES.get(gate.metric, (-inf, inf))
    if gate.lower is not None and gate.lower > greatest:
        yield Problem(
            f"{path}.lower", f"{gate.metric} is at most {greatest:g}; nothing could pass", value=gate.lower
        )
    if gate.upper is not None and gate.upper < least:
        yield Problem(
            f"{path}.upper", f"{gate.metric} is at least {least:g}; nothing could pass", value=gate.upper
        )


def _comparison(path: str, gate: Gate, replicates: int) -> Iterator[Problem]:
    """What is asked of the difference to the serving model, or of an interval."""
    by_interval = gate.better or (gate.max_drop is not None and gate.interval is not None)
    asked = "better" if gate.better else "max_drop"
    if gate.metric in OF_RANKINGS and (gate.max_drop is not None or gate.better):
        yield Problem(
            f"{path}.{asked}",
            f"{gate.metric} is of both models already; give lower",
            value=getattr(gate, asked),
        )
    elif by_interval and gate.metric not in DIRECTED and gate.metric in COMPARED:
        yield Problem(
            f"{path}.{'better' if gate.better else 'interval'}",
            f"{gate.metric} is best at 1, so that a difference does not say which is better; give lower and "
            "upper, or use ece",
            value=gate.better or gate.interval,
        )
    if (gate.better or gate.interval is not None) and not replicates:
        yield Problem(
            f"{path}.{'better' if gate.better else 'interval'}",
            "needs intervals, and evaluation.replicates is 0",
            value=gate.better or gate.interval,
        )


def _values(path: str, name: str, recipe: Recipe) -> Iterator[Problem]:
    """Values that no row can have: the gate would be skipped in every run."""
    for feature, value in conditions_of(name):
        if value != value.strip() or name != name.strip():
            said = slice_name(tuple((f, v.strip()) for f, v in conditions_of(name)))
            why = "white space around a text is no part of it, so that no row has such a value"
            yield Problem(path, f"{why}; write {said!r}", value=name)
            return
        if feature in NEW_ROLES and value not in ("true", "false"):
            yield Problem(path, f"{feature} is `true` or `false`, not {value!r}", value=name)
        elif feature in recipe.columns and recipe.columns[feature].type == "int":
            if not _INTEGER.fullmatch(value):
                yield Problem(path, f"{feature} is int, and {value!r} is not how one is written", value=name)


def _slice(path: str, name: str, recipe: Recipe) -> Iterator[Problem]:
    if name in NEW_ROLES:
        role = NEW_ROLES[name]
        if name in recipe.columns:
            yield Problem(
                path, f"is the slice of new {role}s; a column of that name cannot be one", value=name
            )
        elif role not in recipe.roles.named():
            yield Problem(path, f"needs roles.{role}", value=name)
        return
    yield from known_column(path, name, recipe, "a slice")
    if name in recipe.columns:
        column = recipe.columns[name]
        if column.type not in ("int", "string"):
            yield Problem(
                path, f"slices need single values of type int or string; {name} is {column.type}", value=name
            )
        if column.known == "after":
            yield Problem(path, f"{name} is known only after the impression", value=name)


def evaluation_problems(recipe: Recipe) -> Iterator[Problem]:
    for i, name in enumerate(recipe.evaluation.slices):
        features = features_of(name)
        if len(set(features)) < len(features):
            yield Problem(
                f"evaluation.slices.{i}", "crosses a column with itself, which tells nothing more", value=name
            )
        for feature in features:
            yield from _slice(f"evaluation.slices.{i}", feature, recipe)
    for task, references in recipe.evaluation.references.items():
        if task not in recipe.tasks:
            yield Problem(f"evaluation.references.{task}", f"is not a task{near(task, recipe.tasks)}")
        elif recipe.tasks[task].kind in CLASS_KINDS:
            yield Problem(
                f"evaluation.references.{task}",
                f"is {recipe.tasks[task].kind}; a reference is one number, to put beside a binary task or a "
                "regression",
            )
        for name, text in references.items():
            yield from check_expression(
                f"evaluation.references.{task}.{name}",
                text,
                recipe.column_types,
                ("int", "float"),
                "a number is needed",
            )

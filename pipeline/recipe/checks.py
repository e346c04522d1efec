"""What types alone cannot say of a recipe: names that must exist and parts that must fit."""

from collections.abc import Iterator
from datetime import datetime

from pipeline.metric_names import METRICS, role_of
from pipeline.recipe.durations import milliseconds
from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import ExpressionError, near, parse
from pipeline.recipe.input_checks import input_problems
from pipeline.recipe.model import Recipe
from pipeline.recipe.tasks import CLASS_KINDS, Task
from pipeline.slice_names import NEW_ROLES, features_of

RESERVED_TASKS = ("score", "absent", "row", "total")
_IDENTIFYING = ("int", "string", "time", "date")
LEAST_KEPT = 1e-6  # float32 has 24 bits
_FITTING = {
    "categorical": ("int", "string", "date", "bool", "list[int]", "list[string]"),
    "buckets": ("int", "float", "time", "date"),
    "numeric": ("int", "float", "time", "date", "bool"),
    "vector": ("vector",),
}


def problems(recipe: Recipe) -> list[Problem]:
    """Every mistake in a recipe whose fields are all of the right type."""
    found = list(_sources(recipe)) + list(_events(recipe))
    if not found:
        found += _roles(recipe)
        found += _history(recipe)
    if not found:
        found += _derived(recipe)
    if not found:
        for check in (_features, _tasks, _splits, _downsampling, _model, input_problems, _gates, _evaluation):
            found += check(recipe)
    return found


def _expression(
    path: str, text: str, types: dict[str, str], kinds: tuple[str, ...], need: str
) -> Iterator[Problem]:
    try:
        found = parse(text, types)
    except ExpressionError as error:
        yield Problem(path, str(error), value=text)
        return
    if found.type not in kinds:
        yield Problem(path, f"is a {found.type}; {need}", value=text)


def _column(path: str, name: str | None, recipe: Recipe, what: str) -> Iterator[Problem]:
    if name is not None and name not in recipe.columns:
        yield Problem(
            path, f"no source has a column of this name, to be {what}{near(name, recipe.columns)}", value=name
        )


def _sources(recipe: Recipe) -> Iterator[Problem]:
    log = recipe.sources.log
    owner = {name: "sources.log" for name in log.columns}
    for i, name in enumerate(log.unique):
        if name not in log.columns:
            yield Problem(
                f"sources.log.unique.{i}", f"the log has no such column{near(name, log.columns)}", value=name
            )
        elif log.columns[name].type not in _IDENTIFYING:
            yield Problem(
                f"sources.log.unique.{i}",
                f"identifies no row: it is {log.columns[name].type}; use columns of "
                "type int, string, time or date",
                value=name,
            )
    for name, catalog in recipe.sources.catalogs.items():
        path, on = f"sources.catalogs.{name}", catalog.on or catalog.key
        if catalog.key not in catalog.columns:
            yield Problem(
                f"{path}.key",
                f"is not among its columns{near(catalog.key, catalog.columns)}",
                value=catalog.key,
            )
        if on not in log.columns:
            yield Problem(
                f"{path}.{'on' if catalog.on else 'key'}",
                f"the log has no such column to join with{near(on, log.columns)}",
                value=on,
            )
        elif catalog.key in catalog.columns and log.columns[on].type != catalog.columns[catalog.key].type:
            yield Problem(
                f"{path}.columns.{catalog.key}.type",
                f"must be that of the log's {on}, which is {log.columns[on].type}",
                value=catalog.columns[catalog.key].type,
            )
        elif log.columns[on].type not in _IDENTIFYING:
            yield Problem(
                f"{path}.{'on' if catalog.on else 'key'}",
                f"identifies nothing: it is {log.columns[on].type}; use int, string, time or date",
                value=on,
            )
        elif log.columns[on].known == "after":
            for column, spec in catalog.columns.items():
                if column != catalog.key and spec.known == "before":
                    yield Problem(
                        f"{path}.columns.{column}",
                        f"is found by {on}, which is known only after the impression, and so it is itself: "
                        "write `known: after`",
                    )
        if catalog.time is not None:
            if catalog.time not in catalog.columns or catalog.columns[catalog.time].type != "time":
                yield Problem(f"{path}.time", "must be one of its columns, of type time", value=catalog.time)
            if recipe.roles.time not in log.columns:
                yield Problem(
                    f"{path}.time",
                    "needs roles.time, a column of the log, to know what held at each impression",
                )
        for column in catalog.columns:
            if column == catalog.key:
                continue
            if column in owner:
                yield Problem(
                    f"{path}.columns.{column}",
                    f"{owner[column]} has a column of this name too; give one another name and say `column:`",
                )
            owner[column] = path


def _events(recipe: Recipe) -> Iterator[Problem]:
    log = recipe.sources.log
    for name, events in recipe.sources.events.items():
        path = f"sources.events.{name}"
        for i, key in enumerate(events.keys):
            place = f"{path}.keys.{i}"
            for columns, whose in ((events.columns, "its columns"), (log.columns, "the log's columns")):
                if key not in columns:
                    yield Problem(
                        place,
                        f"is not among {whose}{near(key, columns)}; keys are named alike in both, and "
                        "`column:` says what a file calls it",
                        value=key,
                    )
            if key in events.columns and key in log.columns:
                kind = log.columns[key].type
                if events.columns[key].type != kind:
                    yield Problem(
                        f"{path}.columns.{key}.type",
                        f"must be that of the log's {key}, which is {kind}",
                        value=events.columns[key].type,
                    )
                elif kind not in _IDENTIFYING:
                    yield Problem(
                        place, f"identifies nothing: it is {kind}; use int, string, time or date", value=key
                    )
        if events.time not in events.columns or events.columns[events.time].type != "time":
            yield Problem(f"{path}.time", "must be one of its columns, of type time", value=events.time)
        if recipe.roles.time not in log.columns:
            yield Problem(
                f"{path}.time",
                "needs roles.time, a column of the log, to know which impression an event follows",
            )
        for i, column in enumerate(events.unique):
            if column not in events.columns:
                yield Problem(
                    f"{path}.unique.{i}",
                    f"is not among its columns{near(column, events.columns)}",
                    value=column,
                )
            elif events.columns[column].type not in _IDENTIFYING:
                yield Problem(
                    f"{path}.unique.{i}",
                    f"identifies no event: it is {events.columns[column].type}; use columns of type int, "
                    "string, time or date",
                    value=column,
                )
        if events.complete_until is not None:
            try:
                datetime.fromisoformat(events.complete_until)
            except ValueError:
                yield Problem(
                    f"{path}.complete_until",
                    "is not an ISO date or time, such as 2024-03-01 or 2024-03-01T06:00:00+08:00",
                    value=events.complete_until,
                )


def _history(recipe: Recipe) -> Iterator[Problem]:
    types = {n: c.expression_type for n, c in recipe.source_columns.items()}
    if recipe.history and recipe.roles.time not in recipe.sources.log.columns:
        yield Problem("history", "needs roles.time, a column of the log, to know which rows are earlier")
    for name, earlier in recipe.history.items():
        path = f"history.{name}"
        if name in recipe.source_columns:
            yield Problem(path, "a source has a column of this name; choose another")
        for i, by in enumerate(earlier.by):
            column = recipe.source_columns.get(by)
            if column is None:
                yield Problem(
                    f"{path}.by.{i}", f"no source has this column{near(by, recipe.source_columns)}", value=by
                )
            elif column.type not in ("int", "string", "date"):
                yield Problem(
                    f"{path}.by.{i}", f"must be of type int, string or date; it is {column.type}", value=by
                )
            elif column.known == "after":
                yield Problem(f"{path}.by.{i}", "is known only after the impression", value=by)
        if earlier.kind == "last":
            column = recipe.source_columns.get(earlier.of)
            if column is None or column.type not in ("int", "string"):
                yield Problem(
                    f"{path}.of",
                    f"no source has this column{near(earlier.of, recipe.source_columns)}"
                    if column is None
                    else f"must be of type int or string; it is {column.type}",
                    value=earlier.of,
                )
        elif earlier.kind == "rate":
            yield from _expression(
                f"{path}.of",
                earlier.of,
                types,
                ("bool",),
                f"a condition is needed, such as `{earlier.of} > 0`",
            )
        if earlier.window is not None and milliseconds(earlier.window) < milliseconds(earlier.delay):
            yield Problem(
                f"{path}.window",
                f"ends before delay ({earlier.delay}) begins; nothing would ever be seen",
                value=earlier.window,
            )
        if earlier.where is not None:
            yield from _expression(
                f"{path}.where",
                earlier.where,
                types,
                ("bool",),
                f"a condition is needed, such as `{earlier.where} > 0`",
            )


def _downsampling(recipe: Recipe) -> Iterator[Problem]:
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


def _roles(recipe: Recipe) -> Iterator[Problem]:
    for role, name in recipe.roles.named().items():
        yield from _column(f"roles.{role}", name, recipe, f"the {role}")
        if name not in recipe.columns:
            continue
        column = recipe.columns[name]
        if name in recipe.history:
            yield Problem(f"roles.{role}", "is made from history; a role is a column of a source", value=name)
        if column.known == "after":
            yield Problem(f"roles.{role}", f"{name} is known only after the impression", value=name)
        if role == "time" and column.type != "time":
            yield Problem("roles.time", f"must be of type time; {name} is {column.type}", value=name)
        if role != "time" and column.type not in ("int", "string"):
            yield Problem(
                f"roles.{role}", f"must be of type int or string; {name} is {column.type}", value=name
            )


def _derived(recipe: Recipe) -> Iterator[Problem]:
    types = {n: t for n, t in recipe.column_types.items() if recipe.columns[n].known == "before"}
    for name, text in recipe.derived.items():
        path = f"derived.{name}"
        if name in recipe.columns:
            yield Problem(path, "a source has a column of this name; choose another")
        try:
            types[name] = parse(text, types).type
        except ExpressionError as error:
            after = [n for n, c in recipe.columns.items() if c.known == "after" and f"`{n}`" in str(error)]
            yield Problem(
                path,
                f"`{after[0]}` is known only after the impression; a derived column may read only what "
                "is known before"
                if after
                else str(error),
                value=text,
            )
            types[name] = "float"


def _features(recipe: Recipe) -> Iterator[Problem]:
    types = recipe.column_types | {n: e.type for n, e in recipe.derived_columns.items()}
    if not recipe.features:
        yield Problem("features", "there must be at least one")
    for name, feature in recipe.features.items():
        if feature.kind == "custom":
            continue
        path, column = f"features.{name}", feature.column or name
        if name in ("ids", "numbers") or name.startswith("vector_"):
            yield Problem(path, "is a name of the model's own inputs; choose another, and say `column:`")
        if column not in types:
            yield Problem(
                path if feature.column is None else f"{path}.column",
                f"no source or derived column is named '{column}'{near(column, types)}",
            )
            continue
        if column in recipe.columns and recipe.columns[column].known == "after":
            yield Problem(path, f"{column} is known only after the impression and so can never be a feature")
        kind = recipe.columns[column].type if column in recipe.columns else types[column]
        if feature.kind == "categorical" and feature.shares is not None:
            yield from _shares(path, feature.shares, name, kind, recipe, types)
        if kind not in _FITTING[feature.kind]:
            fits = [k for k, t in _FITTING.items() if kind in t]
            yield Problem(
                f"{path}.kind",
                f"{column} is {kind}, which fits {' or '.join(fits) or 'no kind'}; "
                f"{feature.kind} takes {', '.join(_FITTING[feature.kind])}",
                value=feature.kind,
            )
        elif feature.kind == "categorical" and kind.startswith("list["):
            kept = recipe.columns[column].max_length if column in recipe.columns else None
            if feature.max_length is None and kept is None:
                yield Problem(f"{path}.max_length", f"{column} is {kind}; say how many values of it are kept")
            elif feature.max_length is not None and kept is not None and feature.max_length > kept:
                yield Problem(
                    f"{path}.max_length", f"{column} itself keeps only {kept}", value=feature.max_length
                )
        elif (
            feature.kind == "categorical" and not kind.startswith("list[") and feature.max_length is not None
        ):
            yield Problem(
                f"{path}.max_length",
                f"{column} is {kind}; only lists have a length",
                value=feature.max_length,
            )


def _shares(
    path: str, owner: str, name: str, kind: str, recipe: Recipe, types: dict[str, str]
) -> Iterator[Problem]:
    """`name`, whose column is of type `kind`, uses the rows of `owner`."""
    path = f"{path}.shares"
    categorical = {n: f for n, f in recipe.features.items() if f.kind == "categorical" and n != name}
    if owner not in categorical:
        yield Problem(path, f"is no other categorical feature{near(owner, categorical)}", value=owner)
        return
    other = categorical[owner]
    if other.shares is not None:
        yield Problem(path, f"{owner} itself shares the rows of {other.shares}; name that one", value=owner)
    column = other.column or owner
    if column not in types:
        return
    theirs = recipe.columns[column].type if column in recipe.columns else types[column]
    if _one_value(kind) != _one_value(theirs):
        yield Problem(
            path,
            f"has values of type {_one_value(theirs)}, and {name} of type {_one_value(kind)}; they would "
            "never be the same",
            value=owner,
        )


def _one_value(kind: str) -> str:
    """The type of a single value of a column."""
    return kind.removeprefix("list[").removesuffix("]")


def _tasks(recipe: Recipe) -> Iterator[Problem]:
    for name, task in recipe.tasks.items():
        path = f"tasks.{name}"
        if name in RESERVED_TASKS:
            yield Problem(path, f"{name} is a name of our own; choose another")
        yield from _label(path, task, recipe) if task.events is None else _from_events(name, task, recipe)
        if task.where is not None:
            yield from _expression(
                f"{path}.where",
                task.where,
                recipe.condition_types,
                ("bool",),
                f"a condition is needed, such as `{task.where} > 0`",
            )
        if task.weight is not None:
            yield from _expression(
                f"{path}.weight", task.weight, recipe.condition_types, ("int", "float"), "a number is needed"
            )
        if task.loss == "listwise" and recipe.roles.request is None:
            yield Problem(
                f"{path}.loss", "listwise ranks within a request and needs roles.request", value="listwise"
            )
    yield from _durations(recipe)


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
    wrong = list(_expression(f"{path}.label", task.label, recipe.column_types, kinds, need))
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
        yield from _expression(
            f"{path}.where",
            task.events.where,
            types,
            ("bool",),
            f"a condition is needed, such as `{task.events.where} > 0`",
        )
    value = getattr(task.events, "value", None)
    if value is not None:
        yield from _expression(f"{path}.value", value, types, ("int", "float"), "a number is needed")


def _splits(recipe: Recipe) -> Iterator[Problem]:
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


def _known_tasks(recipe: Recipe, path: str, names: object) -> Iterator[Problem]:
    for name in names or ():
        if name not in recipe.tasks:
            yield Problem(f"{path}.{name}", f"is not a task{near(name, recipe.tasks)}")


def _model(recipe: Recipe) -> Iterator[Problem]:
    objective = recipe.training.stopping.objective
    yield from _known_tasks(recipe, "training.stopping.objective", objective)
    if objective is not None and not sum(objective.values()) > 0:
        yield Problem("training.stopping.objective", "one task at least must count: a weight above 0")
    yield from _known_tasks(recipe, "serving.score", recipe.serving.score)
    for name in recipe.serving.score or ():
        if name in recipe.tasks and recipe.tasks[name].kind == "multiclass":
            yield Problem(
                f"serving.score.{name}", "is a multiclass task, whose probabilities are no single number"
            )
    embedded = [n for n, f in recipe.features.items() if f.kind in ("categorical", "buckets")]
    pairs = getattr(recipe.model, "interactions", None)
    if isinstance(pairs, str) and pairs != "all":
        yield Problem("model.interactions", "is `all` or a list of pairs of features", value=pairs)
    for i, pair in enumerate(pairs if isinstance(pairs, (list, tuple)) else ()):
        if len(set(pair)) != 2:
            yield Problem(f"model.interactions.{i}", "must be a pair of two features", value=list(pair))
        for name in pair:
            if name not in embedded:
                yield Problem(
                    f"model.interactions.{i}",
                    f"'{name}' is not a feature with an embedding{near(name, embedded)}",
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


def _gates(recipe: Recipe) -> Iterator[Problem]:
    for i, gate in enumerate(recipe.gates if recipe.gates != "none" else ()):
        path = f"gates.{i}"
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
        if gate.lower is not None and gate.upper is not None and gate.lower > gate.upper:
            yield Problem(
                f"{path}.lower", f"is above upper ({gate.upper}); nothing could pass", value=gate.lower
            )


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
    yield from _column(path, name, recipe, "a slice")
    if name in recipe.columns:
        column = recipe.columns[name]
        if column.type not in ("int", "string"):
            yield Problem(
                path, f"slices need single values of type int or string; {name} is {column.type}", value=name
            )
        if column.known == "after":
            yield Problem(path, f"{name} is known only after the impression", value=name)


def _evaluation(recipe: Recipe) -> Iterator[Problem]:
    for i, name in enumerate(recipe.evaluation.slices):
        for feature in features_of(name):
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
            yield from _expression(
                f"evaluation.references.{task}.{name}",
                text,
                recipe.column_types,
                ("int", "float"),
                "a number is needed",
            )

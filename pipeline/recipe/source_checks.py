"""Sources, their roles: columns that must be there and be of a type that fits."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from pipeline.recipe.checking import known_column
from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import near
from pipeline.recipe.model import Recipe
from pipeline.recipe.parts import Column

_IDENTIFYING = ("int", "string", "time", "date")


def source_problems(recipe: Recipe) -> Iterator[Problem]:
    log = recipe.sources.log
    owner = {name: "sources.log" for name in log.columns}
    yield from _read_twice("sources.log", log.columns)
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
        yield from _read_twice(path, catalog.columns)
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
            if catalog.serving == "in_model":
                yield Problem(
                    f"{path}.serving",
                    "in_model holds one row a key, and `time` says that there are several: write on_request",
                    value=catalog.serving,
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


def _read_twice(path: str, columns: Mapping[str, Column]) -> Iterator[Problem]:
    reader: dict[str, str] = {}
    for name, column in columns.items():
        written = column.column or name
        if written in reader:
            yield Problem(
                f"{path}.columns.{name}",
                f"reads what the file calls '{written}', as {reader[written]} does; a feature's `column:` or a "
                "derived column may use one column several times",
            )
        reader.setdefault(written, name)


def event_problems(recipe: Recipe) -> Iterator[Problem]:
    log = recipe.sources.log
    for name, events in recipe.sources.events.items():
        path = f"sources.events.{name}"
        yield from _read_twice(path, events.columns)
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


def role_problems(recipe: Recipe) -> Iterator[Problem]:
    for role, name in recipe.roles.named().items():
        yield from known_column(f"roles.{role}", name, recipe, f"the {role}")
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

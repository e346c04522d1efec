"""Private columns: a hash can be joined, counted and looked up, and nothing else."""

from collections.abc import Iterator

from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import ExpressionError, parse
from pipeline.recipe.features import KEYED
from pipeline.recipe.model import Recipe
from pipeline.slice_names import features_of


def private_problems(recipe: Recipe) -> Iterator[Problem]:
    """Mistakes of a recipe whose columns and expressions are right in themselves."""
    private = {name for name, column in recipe.columns.items() if column.private}
    yield from _joins(recipe)
    for path, text, types in _expressions(recipe):
        yield from _reads(path, text, types, private)
    for name, events in recipe.sources.events.items():
        own = {n for n, column in events.columns.items() if column.private}
        types = {n: column.expression_type for n, column in events.columns.items()}
        for task, spec in recipe.tasks.items():
            if spec.events is not None and spec.events.source == name:
                for part in ("where", "value"):
                    text = getattr(spec.events, part, None)
                    if text is not None:
                        yield from _reads(f"tasks.{task}.events.{part}", text, types, own)
    yield from _features(recipe, private)
    for i, gate in enumerate(() if recipe.gates == "none" else recipe.gates):
        read = set(features_of(getattr(gate, "slice", None) or "")) & private
        if read:
            yield Problem(
                f"gates.{i}.slice", f"{min(read)} is private, and its values are hashes", value=gate.slice
            )


def _joins(recipe: Recipe) -> Iterator[Problem]:
    """Both sides of a join are hashed, or neither is."""
    log = recipe.sources.log.columns
    for name, catalog in recipe.sources.catalogs.items():
        on = catalog.on or catalog.key
        if log[on].private != catalog.columns[catalog.key].private:
            here, there = (
                (catalog.key, f"the log's {on}") if log[on].private else (on, f"{name}'s {catalog.key}")
            )
            path = (
                f"sources.catalogs.{name}.columns.{catalog.key}"
                if log[on].private
                else f"sources.log.columns.{on}"
            )
            yield Problem(path, f"{here} must be `private: true` too, as it is joined with {there}")
    for name, events in recipe.sources.events.items():
        for key in events.keys:
            if log[key].private != events.columns[key].private:
                path = f"sources.events.{name}" if log[key].private else "sources.log"
                yield Problem(
                    f"{path}.columns.{key}",
                    f"{key} must be `private: true` too, as it is on the join's other side",
                )


def _expressions(recipe: Recipe) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Those over the columns of a row: path, text, types of what they may read."""
    types = recipe.condition_types
    for name, task in recipe.tasks.items():
        for part in ("label", "where", "weight"):
            if getattr(task, part) is not None:
                yield f"tasks.{name}.{part}", getattr(task, part), types
    for name, earlier in recipe.history.items():
        if earlier.where is not None:
            yield f"history.{name}.where", earlier.where, types
        if earlier.kind == "rate":
            yield f"history.{name}.of", earlier.of, types
    for name, text in recipe.derived.items():
        yield f"derived.{name}", text, types | {n: e.type for n, e in recipe.derived_columns.items()}
    for task, references in recipe.evaluation.references.items():
        for name, text in references.items():
            yield f"evaluation.references.{task}.{name}", text, types


def _reads(path: str, text: str, types: dict[str, str], private: set[str]) -> Iterator[Problem]:
    try:
        read = parse(text, types).columns & private
    except ExpressionError:
        return  # told elsewhere
    if read:
        yield Problem(path, f"{min(read)} is private: nothing can be computed of its hash", value=text)


def _features(recipe: Recipe, private: set[str]) -> Iterator[Problem]:
    for name, feature in recipe.features.items():
        if feature.kind == "custom":
            continue
        column = recipe.column_of(name)
        if feature.kind in KEYED and column in private:
            yield Problem(
                f"features.{name}",
                f"{column} is private, and tables of vectors are found by their key as it is",
            )
        elif feature.kind != "categorical" and column in private:
            yield Problem(
                f"features.{name}.kind", f"{column} is private, and its hash is no quantity; say categorical"
            )
        elif feature.kind == "categorical" and feature.shares is not None:
            if (column in private) != (recipe.column_of(feature.shares) in private):
                yield Problem(
                    f"features.{name}.shares",
                    f"of {name} and {feature.shares} one is private; they would never be the same",
                    value=feature.shares,
                )

"""History, derived columns and features: what they read."""

from collections.abc import Iterator

from pipeline.recipe.checking import check_expression
from pipeline.recipe.durations import milliseconds
from pipeline.recipe.errors import Problem
from pipeline.recipe.expressions import ExpressionError, near, parse
from pipeline.recipe.features import KEYED
from pipeline.recipe.model import Recipe

_FITTING = {
    "categorical": ("int", "string", "date", "bool", "list[int]", "list[string]"),
    "buckets": ("int", "float", "time", "date"),
    "numeric": ("int", "float", "time", "date", "bool"),
    "vector": ("vector",),
}
_READS = {"vision": "image", "text": "text"}


def history_problems(recipe: Recipe) -> Iterator[Problem]:
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
            yield from check_expression(
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
            yield from check_expression(
                f"{path}.where",
                earlier.where,
                types,
                ("bool",),
                f"a condition is needed, such as `{earlier.where} > 0`",
            )


def derived_problems(recipe: Recipe) -> Iterator[Problem]:
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


def feature_problems(recipe: Recipe) -> Iterator[Problem]:
    types = recipe.column_types | {n: e.type for n, e in recipe.derived_columns.items()}
    if not recipe.features:
        yield Problem("features", "there must be at least one")
    for name, feature in recipe.features.items():
        if feature.kind == "custom":
            continue
        path = f"features.{name}"
        if name in ("ids", "numbers") or name.startswith("vector_"):
            yield Problem(path, "is a name of the model's own inputs; choose another, and say `column:`")
        if feature.kind in KEYED:
            yield from _keyed(path, name, recipe)
            continue
        column = feature.column or name
        if name in recipe.side:
            yield Problem(
                path,
                f"is a name of the model's own inputs, as a loss reads the {name}; choose another, and say "
                f"`column: {column}`",
            )
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


def _keyed(path: str, name: str, recipe: Recipe) -> Iterator[Problem]:
    """Vectors by key: where the key and the content come from."""
    feature = recipe.features[name]
    if feature.kind == "precomputed":
        column = recipe.columns.get(feature.on)
        if column is None:
            yield Problem(
                f"{path}.on", f"no source has this column{near(feature.on, recipe.columns)}", value=feature.on
            )
        elif column.type not in ("int", "string"):
            yield Problem(
                f"{path}.on", f"must be of type int or string; it is {column.type}", value=feature.on
            )
        elif column.known == "after":
            yield Problem(f"{path}.on", "is known only after the impression", value=feature.on)
        return
    if feature.encoder not in recipe.encoders:
        yield Problem(
            f"{path}.encoder",
            f"is none of `encoders`{near(feature.encoder, recipe.encoders)}",
            value=feature.encoder,
        )
    elif recipe.encoders[feature.encoder].kind not in (None, _READS[feature.kind]):
        yield Problem(
            f"{path}.encoder",
            f"reads {recipe.encoders[feature.encoder].kind}s; {feature.kind} needs one that reads "
            f"{_READS[feature.kind]}s",
            value=feature.encoder,
        )
    catalog = recipe.sources.catalogs.get(feature.catalog)
    if catalog is None:
        yield Problem(
            f"{path}.catalog",
            f"is none of sources.catalogs{near(feature.catalog, recipe.sources.catalogs)}",
            value=feature.catalog,
        )
    elif catalog.time is not None:
        yield Problem(
            f"{path}.catalog",
            "has rows that change in time (`time:`); a vector is of one content a key",
            value=feature.catalog,
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

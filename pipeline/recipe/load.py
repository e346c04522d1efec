"""YAML → Recipe, or one error that lists every mistake with its place in the file."""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.recipe.checks import problems
from pipeline.recipe.errors import Problem, RecipeError
from pipeline.recipe.expressions import near
from pipeline.recipe.model import Recipe
from pipeline.recipe.patch import Patch
from pipeline.recipe.yaml_text import Loader, NotYaml, mapping, with_line


def load(path: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Loads and validates a recipe.

    Args:
      path: the YAML file.
      settings: overrides in order: `dotted.path=value`, the value in YAML, or `@FILE`, a YAML file whose
        mappings are laid over the recipe's, key by key; anything else in it takes the place of what is there.

    Raises:
      RecipeError: with every mistake found.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(str(path), [Problem("", f"cannot be read: {reason}")]) from None
    return loads(text, str(path), settings)


def loads(text: str, source: str = "recipe", settings: Sequence[str] = ()) -> Recipe:
    """The same from the text of a recipe; `source` names it in errors."""
    try:
        node, data, found = mapping(text, "`version: 1` and `name: …`")
    except NotYaml as error:
        raise RecipeError(source, [error.problem]) from None
    patches = []
    for setting in settings:
        if setting.startswith("@"):
            patches.append(Patch(setting[1:]))
            patches[-1].apply(data)
            found += patches[-1].problems
        elif problem := _set(data, setting):
            found.append(problem)
    if not found:
        try:
            recipe = Recipe.model_validate(data)
            found = problems(recipe)
        except ValidationError as error:
            found = [_problem(e) for e in _told_once(error.errors(include_url=False))]
    if found:
        overridden = [s.partition("=")[0] for s in settings if not s.startswith("@")]
        found = [_placed(_from_command(p, overridden), patches, node) for p in found]
        raise RecipeError(source, found)
    return recipe


def _set(data: dict[str, Any], setting: str) -> Problem | None:
    path, equals, text = setting.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        return Problem(
            "--set", "must be dotted.path=value, such as training.epochs=3, or @FILE", value=setting
        )
    try:
        value = yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return Problem(f"--set {path}", "the value is not YAML", value=text)
    at: Any = data
    for i, key in enumerate(keys):
        last = i == len(keys) - 1
        if isinstance(at, list):
            if not key.isdigit() or int(key) >= len(at):
                return Problem(f"--set {path}", f"'{key}' is not a place in a list of {len(at)}")
            if last:
                at[int(key)] = value
            else:
                at = at[int(key)]
        elif not isinstance(at, dict):
            return Problem(
                f"--set {path}", f"{'.'.join(keys[:i])} is a single value and has no '{key}'", value=at
            )
        elif last:
            at[key] = value
        else:
            at = at.setdefault(key, {})
    return None


@functools.cache
def _json_schema() -> Mapping[str, Any]:
    return Recipe.model_json_schema()


def _schema_at(loc: Sequence[str | int]) -> tuple[list[str], Mapping[str, Any]]:
    """Follows a pydantic error's location through the JSON Schema: the real path (locations hold the
    tags of unions as well) and the schema there."""
    root = _json_schema()

    def resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def step(schema: Mapping[str, Any], key: str | int) -> tuple[bool, Mapping[str, Any]] | None:
        schema = resolve(schema)
        if key in schema.get("properties", {}):
            return True, schema["properties"][key]
        if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
            return True, schema["additionalProperties"]
        if isinstance(key, int) and "items" in schema:
            return True, schema["items"]
        mapping = schema.get("discriminator", {}).get("mapping", {})
        if key in mapping:
            return False, {"$ref": mapping[key]}
        options = [o for k in ("anyOf", "oneOf") for o in schema.get(k, [])]
        for option in options:  # a tag of a union whose discriminator is a function
            found = resolve(option)
            name = found.get("properties", {}).get("name", {}).get("const")
            if key in (found.get("title"), found.get("type"), name):
                return False, option
        if key == "outside" and options:
            return False, options[-1]
        for option in options:
            if (found := step(option, key)) is not None:
                return found
        return None

    path: list[str] = []
    schema: Mapping[str, Any] = root
    for key in loc:
        if _CHOICE.match(str(key)):
            continue
        found = step(schema, key)
        if found is None:
            if not (isinstance(key, str) and ("[" in key or key in ("str", "literal['none']"))):
                path.append(str(key))
            continue
        if found[0]:
            path.append(str(key))
        schema = found[1]
    return path, resolve(schema)


# what pydantic calls the choices of "a number, or name -> number" in a location
_CHOICE = re.compile(r"constrained-(int|float)$|dict\[str,constrained-(int|float)\]$")


def _told_once(errors: list[Any]) -> list[Any]:
    """Without what a union says of a choice that was not meant: `gates` as a list is not a wrong `none`, a
    wrong number is not meant as a mapping, and what is no number at all is not a wrong whole one."""
    places = {error["loc"]: error["type"] for error in errors}

    def twin(error: Any, name: str, kind: str) -> bool:
        """Whether the same value was tried as the number that is called so."""
        return places.get((*error["loc"][:-1], name), "").startswith(kind)

    def not_meant(error: Any) -> bool:
        last = str(error["loc"][-1])
        if last.startswith("literal["):
            return any(o is not error and o["loc"][0] == error["loc"][0] for o in errors)
        if last == "int" and error["type"].startswith("int_"):
            return twin(error, "float", "float_")
        return bool(_CHOICE.match(last)) and (
            error["type"] == "dict_type" or isinstance(error["input"], Mapping)
        )

    def placed(error: Any) -> Any:
        last = error["loc"][-1]
        number = last == "float" and error["type"].startswith("float_") and twin(error, "int", "int_")
        return {**error, "loc": error["loc"][:-1]} if number else error

    return [placed(error) for error in errors if not not_meant(error)]


def _problem(error: Mapping[str, Any]) -> Problem:
    loc, kind, value = list(error["loc"]), error["type"], error.get("input")
    context = error.get("ctx", {})
    if loc and loc[-1] == "[key]":
        path, _ = _schema_at(loc[:-2])
        return Problem(".".join([*path, str(loc[-2])]), error["msg"].removeprefix("Value error, "))
    if kind == "extra_forbidden":
        path, parent = _schema_at(loc[:-1])
        return Problem(
            ".".join([*path, str(loc[-1])]),
            f"is not a setting here{near(str(loc[-1]), parent.get('properties', {}))}",
        )
    path, schema = _schema_at(loc)
    place = ".".join(path)
    if path == ["gates"] and kind == "list_type":
        return Problem(place, "must be a list of gates, or the word `none`", value=value)
    if kind == "missing":
        meaning = schema.get("description")
        return Problem(place, "is missing" + (f": {meaning}" if meaning else ""))
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        tag = "name" if tag.startswith("_tag") else tag
        return Problem(f"{place}.{tag}", f"is missing; it is one of {_choices(schema)}")
    if kind == "union_tag_invalid":
        tag = context["discriminator"].strip("'")
        tag = "name" if tag.startswith("_tag") else tag
        names = _choices(schema)
        meant = near(context["tag"], names.split(", "))
        return Problem(
            f"{place}.{tag}",
            f"must be one of {names}{meant if 'did you mean' in meant else ''}",
            value=context["tag"],
        )
    if kind == "literal_error":
        one = " or " not in context["expected"]
        return Problem(place, f"must be {'' if one else 'one of '}{context['expected']}", value=value)
    if kind == "too_short":
        least = context["min_length"]
        return Problem(place, f"must have at least {least} {'value' if least == 1 else 'values'}")
    shown = value if isinstance(value, (str, int, float, bool)) or value is None else type(value).__name__
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = next((said for begin, said in _PLAIN.items() if kind.startswith(begin)), message)
    if kind == "value_error" and isinstance(value, Mapping):  # of a whole part; its settings are named
        return Problem(place, message[0].lower() + message[1:])
    return Problem(place, message[0].lower() + message[1:], value="nothing" if shown is None else shown)


# pydantic's error types, by how they begin -> what a recipe's writer calls it
_PLAIN = {
    "dict_type": "must be a mapping, `name: value`",
    "model_": "must be a mapping, `setting: value`",
    "list_type": "must be a list, such as `[a, b]`",
    "tuple_type": "must be a list, such as `[a, b]`",
    "is_instance_of": "must be a list, such as `[a, b]`",
    "sequence_str": "must be a list, such as `[a, b]`",
    "string_type": "must be a text; a number or a truth value in quotes is one",
    "float_": "must be a number",
    "int_": "must be a whole number",
    "bool_": "must be true or false",
}


def _choices(schema: Mapping[str, Any]) -> str:
    names = list(schema.get("discriminator", {}).get("mapping", {}))
    if not names:
        defs = _json_schema()["$defs"]
        for option in schema.get("oneOf", schema.get("anyOf", [])):
            found = (
                defs.get(option.get("$ref", "").rsplit("/", 1)[-1], {}).get("properties", {}).get("name", {})
            )
            names.append(found.get("const") or "package.module:Class")
    return ", ".join(names)


def _from_command(problem: Problem, overridden: list[str]) -> Problem:
    """A mistake made by `--set` is at that option, and not on a line of the file."""
    for path in overridden:
        if f"{problem.path}.".startswith(f"{path}."):
            return Problem(f"--set {problem.path}", problem.message, value=problem.value)
    return problem


def _placed(problem: Problem, patches: Sequence[Patch], node: yaml.Node) -> Problem:
    """The problem with its line in the recipe, or in the patch that made it."""
    if problem.line is not None or problem.path.startswith("--set"):
        return problem
    made = (patch.locate(problem) for patch in reversed(patches))
    return next((p for p in made if p is not None), None) or with_line(problem, node)

"""The recipe's reference for people (docs/recipe.md) and its JSON Schema for editors, from the code.

`python -m pipeline.recipe.reference` writes both; a test says when they are out of date.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.recipe.expressions import FUNCTIONS
from pipeline.recipe.model import Recipe

MARKDOWN, SCHEMA = Path("docs/recipe.md"), Path("docs/recipe.schema.json")

_HEAD = """# Recipe reference

Written from the code by `make docs`. Editors complete and check recipes with `docs/recipe.schema.json`
(the first line of the recipes in `data/` points there). `mtl recipe check FILE` says everything that is
wrong with a recipe, and where; `mtl recipe show FILE` prints it with every default.

"""


def schema() -> str:
    """The JSON Schema."""
    return (
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **_short_forms()}, indent=1)
        + "\n"
    )


def _short_forms() -> dict[str, Any]:
    """Adds what the validators accept beyond pydantic's schema: `name: int`, one file instead of a list."""
    whole = Recipe.model_json_schema()
    column = whole["$defs"]["Column"]
    whole["$defs"]["Column"] = {"anyOf": [column["properties"]["type"], column]}
    for part in whole["$defs"].values():
        for name in ("files", "train", "validation", "test"):
            field = part.get("properties", {}).get(name, {})
            if field.get("type") == "array":
                part["properties"][name] = {"anyOf": [{"type": "string"}, field]}
    return whole


def markdown() -> str:
    """The reference."""
    whole = Recipe.model_json_schema()
    parts = [_HEAD, "\n".join(_part("Recipe", whole))]
    parts += ["\n".join(_part(name, part)) for name, part in whole["$defs"].items() if "properties" in part]
    functions = "\n".join(
        f"| `{name}({', '.join(args)})` | {what} |" for name, (args, _, what) in FUNCTIONS.items()
    )
    parts.append(
        "## Expressions\n\nLabels, conditions and derived columns are Python's syntax over whole columns: "
        "columns, numbers, texts, `+ - * / // %`, comparisons, `and` `or` `not`, `a if c else b`, and\n\n"
        f"| function | gives |\n|---|---|\n{functions}\n\nA missing number makes the result missing; a "
        "comparison with a missing number is false. Numbers are float64 inside an expression: whole "
        "numbers beyond "
        "2**53 lose their last digits there (ids as features do not).\n"
    )
    return "\n".join(parts)


def _part(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}\n\n{' '.join(part.get('description', '').split())}\n"
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    for field, spec in part.get("properties", {}).items():
        default = (
            "**required**" if field in part.get("required", ()) else f"`{json.dumps(spec.get('default'))}`"
        )
        meaning = " ".join(spec.get("description", "").split()).replace("|", "\\|")
        yield f"| `{field}` | {_type(spec)} | {default} | {meaning} |"
    yield ""


def _type(spec: Mapping[str, Any]) -> str:
    if "$ref" in spec:
        name = spec["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "const" in spec:
        return f"`{spec['const']}`"
    if "enum" in spec:
        return " \\| ".join(f"`{v}`" for v in spec["enum"])
    for several in ("anyOf", "oneOf"):
        if several in spec:
            return " or ".join(_type(s) for s in spec[several] if s.get("type") != "null")
    if spec.get("type") == "array":
        return f"list of {_type(spec.get('items', {}))}" if spec.get("items") else "list"
    if spec.get("type") == "object":
        return (
            f"name → {_type(spec['additionalProperties'])}"
            if isinstance(spec.get("additionalProperties"), dict)
            else "mapping"
        )
    return spec.get("type", "any")


if __name__ == "__main__":
    for path, text in ((MARKDOWN, markdown()), (SCHEMA, schema())):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        sys.stdout.write(f"{path}\n")

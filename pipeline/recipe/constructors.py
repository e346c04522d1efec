"""Reads the settings of `mtl_models` parts from their constructors without importing Keras.

A part (an architecture, a weighting, an embedding optimizer) is a file of its own with one public
class; its name in a recipe is the file's. The constructor owns names, types and defaults, and its
docstring their meaning: this module reads them from the source, so `mtl recipe check` knows them in
milliseconds and nothing is written twice.
"""

import ast
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

_ROOT = Path(__file__).resolve().parents[2] / "mtl_models"
_TYPES = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "tuple": tuple,
    "Sequence": Sequence,
    "Mapping": Mapping,
}


@functools.cache
def part_names(folder: str) -> tuple[str, ...]:
    """The names a recipe may use for the parts in `mtl_models/<folder>/`."""
    return tuple(
        sorted(
            path.stem
            for path in (_ROOT / folder).glob("*.py")
            if not path.stem.startswith("_") and _public_class(path) is not None
        )
    )


def part_class(folder: str, name: str) -> str:
    """The class of a part, as `module:Class`."""
    found = _public_class(_ROOT / folder / f"{name}.py")
    assert found is not None, name
    return f"mtl_models.{folder}.{name}:{found.name}"


@functools.cache
def part_settings(folder: str, name: str, exclude: tuple[str, ...] = ()) -> type[BaseModel]:
    """A strict pydantic model of the constructor of `mtl_models/<folder>/<name>.py`."""
    found = _public_class(_ROOT / folder / f"{name}.py")
    assert found is not None, name
    return _settings(found, exclude)


@functools.cache
def class_settings(file: str, name: str, exclude: tuple[str, ...] = ()) -> type[BaseModel]:
    """A strict pydantic model of the constructor of class `name` in `mtl_models/<file>`."""
    tree = ast.parse((_ROOT / file).read_text())
    return _settings(next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), exclude)


def part_constant(folder: str, name: str, constant: str) -> Any:
    """What a part's class says of itself in its own file, such as `needs_positive_losses`; None: nothing."""
    found = _public_class(_ROOT / folder / f"{name}.py")
    assert found is not None, name
    return _constant(found, constant)


def module_constant(file: str, constant: str) -> Any:
    """A literal of `mtl_models/<file>`."""
    return _constant(ast.parse((_ROOT / file).read_text()), constant)


def _constant(found: ast.Module | ast.ClassDef, name: str, default: Any = None) -> Any:
    return next(
        (
            ast.literal_eval(n.value)
            for n in found.body
            if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", None) == name
        ),
        default,
    )


def _public_class(path: Path) -> ast.ClassDef | None:
    classes = [
        n
        for n in ast.parse(path.read_text()).body
        if isinstance(n, ast.ClassDef) and not n.name.startswith("_")
    ]
    return classes[0] if len(classes) == 1 else None


def _settings(found: ast.ClassDef, exclude: tuple[str, ...]) -> type[BaseModel]:
    init = next(n for n in found.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    bounds = _constant(found, "BOUNDS", {})
    meanings = _meanings(ast.get_docstring(found) or "") | _meanings(ast.get_docstring(init) or "")
    args = init.args
    positional = list(zip(args.args[1:], [None] * (len(args.args) - 1 - len(args.defaults)) + args.defaults))
    fields: dict[str, Any] = {}
    for arg, default in positional + list(zip(args.kwonlyargs, args.kw_defaults)):
        if arg.arg in exclude or arg.arg in ("name", "dtype"):
            continue
        value = ... if default is None else ast.literal_eval(default)
        fields[arg.arg] = (
            _annotation(arg.annotation, bounds.get(arg.arg, (None, None))),
            Field(value, description=meanings.get(arg.arg)),
        )
    doc = (ast.get_docstring(found) or "").split("\n\n")[0]
    return create_model(
        found.name,
        __config__=ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False),
        __doc__=doc,
        **fields,
    )


def _annotation(node: ast.expr | None, bounds: tuple[float | None, float | None]) -> Any:
    if node is None:
        return Any
    number = Field(ge=bounds[0], le=bounds[1])
    bounded = (
        {"int": Annotated[int, number], "float": Annotated[float, number]} if bounds != (None, None) else {}
    )
    return eval(ast.unparse(node), {"__builtins__": {}}, _TYPES | bounded)


def _meanings(doc: str) -> dict[str, str]:
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", doc, re.M)
    if section is None:
        return {}
    found = re.findall(r"^ {2,4}(\w+): ((?:.+\n?(?: {5,}.+\n?)*))", section.group(1), re.M)
    return {name: " ".join(text.split()) for name, text in found}

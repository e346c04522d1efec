"""A patch: a YAML file with some of a recipe's settings, laid over it with `--set @FILE`."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from pipeline.recipe.errors import Problem
from pipeline.recipe.yaml_text import NotYaml, mapping, with_line


class Patch:
    """A patch file. Mappings go over the recipe's key by key; any other value takes the place of what is
    there.

    Attributes:
      problems: what is wrong with the file itself.
    """

    def __init__(self, file: str):
        """Reads the file."""
        self.file = file
        self.problems: list[Problem] = []
        self._node: yaml.Node | None = None
        self._data: dict[str, Any] = {}
        try:
            text = Path(file).read_text(encoding="utf-8")
            self._node, self._data, repeated = mapping(text, "a section of a recipe, such as `serving:`")
            self.problems = [self._here(p) for p in repeated]
        except NotYaml as error:
            self.problems = [self._here(error.problem)]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self.problems = [self._here(Problem("", f"cannot be read: {reason}"))]

    def apply(self, data: dict[str, Any]) -> None:
        """Lays it over a recipe's data, in place."""
        _merge(data, self._data)

    def locate(self, problem: Problem) -> Problem | None:
        """A mistake that this patch made, with its line here; None of another's."""
        if any(f"{problem.path}.".startswith(f"{path}.") for path in _leaves(self._data)):
            return self._here(with_line(problem, self._node))
        return None

    def _here(self, problem: Problem) -> Problem:
        path = f"--set @{self.file}" + (f" {problem.path}" if problem.path else "")
        return Problem(path, problem.message, problem.line, problem.value)


def _merge(below: dict[str, Any], above: dict[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = deepcopy(value)


def _leaves(data: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in data.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, here)
        else:
            yield here

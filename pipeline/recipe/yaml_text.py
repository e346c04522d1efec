"""YAML as recipes and their patches are written: one mapping, each key once."""

import re
from typing import Any

import yaml

from pipeline.recipe.errors import Problem

_MOST = (
    1_000_000  # values of a text, each alias counted as what it stands for: a few lines can stand for 10^9
)


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without its date type: a date in a recipe is the text that was written. And with the booleans of
    YAML 1.2: a key `on`, or a value `no`, is a text."""

    yaml_implicit_resolvers = {
        first: [r for r in resolvers if r[0] not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class NotYaml(ValueError):
    """A text that is no mapping in YAML; `problem` says where and why."""

    def __init__(self, problem: Problem):
        self.problem = problem
        super().__init__(str(problem))


def mapping(text: str, begins: str) -> tuple[yaml.Node, dict[str, Any], list[Problem]]:
    """A text's nodes, which know their lines, its data, and its keys that are written twice.

    Args:
      text: the YAML.
      begins: what such a mapping begins with, for the error.

    Raises:
      NotYaml: it is no YAML, or no mapping.
    """
    try:
        node = yaml.compose(text, Loader=Loader)
        values = _written_out(node, {}) if node is not None else 0
        if values <= _MOST:
            data = yaml.load(text, Loader=Loader)
            if isinstance(data, dict):
                return node, data, _repeated(node)
    except RecursionError:
        raise NotYaml(Problem("", "is nested too deeply, or holds an alias of itself")) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYaml(Problem("", f"is not YAML: {error.reason} [U+{error.character:04X}]", line)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or error
        line = "".join(text.splitlines()[mark.line : mark.line + 1]) if mark else ""
        if "\t" in line[: len(line) - len(line.lstrip())]:
            reason = "the line begins with a tab; YAML indents by spaces"
        raise NotYaml(Problem("", f"is not YAML: {reason}", mark and mark.line + 1)) from None
    except ValueError as error:  # a number of thousands of digits
        raise NotYaml(Problem("", f"cannot be read: {str(error).partition(';')[0]}")) from None
    if values > _MOST:
        raise NotYaml(Problem("", f"its aliases make {values:,} values; at most {_MOST:,} are read"))
    raise NotYaml(Problem("", f"must be a mapping, beginning with {begins}"))


def with_line(problem: Problem, node: yaml.Node) -> Problem:
    """The problem with the line of its path, or of the last part of it that is written."""
    line = 1
    for key in problem.path.split(".") if problem.path else ():
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == key), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
            node = node.value[int(key)]
            line = node.start_mark.line + 1
        else:
            break
    return Problem(problem.path, problem.message, line, problem.value)


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node is, an alias for each time that it is named."""
    if id(node) not in known:
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        known[id(node)] = 1 + sum(_written_out(part, known) for part in parts)
    return known[id(node)]


def _repeated(node: yaml.Node, path: str = "") -> list[Problem]:
    found = []
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            here = f"{path}.{key.value}" if path else str(key.value)
            line = key.start_mark.line + 1
            if key.value in first:
                found.append(Problem(here, f"is written twice; first on line {first[key.value]}", line))
            first.setdefault(key.value, line)
            found += _repeated(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            found += _repeated(value, f"{path}.{i}")
    return found

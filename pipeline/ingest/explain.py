"""What the dead letters of a run say: how many there are of each kind, and the first of each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEAD_LETTERS = "dead_letters.jsonl"
# How ingestion begins a line; what else may follow is only read of the first letter of a kind.
_TEXT = rb'"((?:[^"\\]|\\.)*)"'
_HEAD = re.compile(
    rb'\{"source": ' + _TEXT + rb', "file": "(?:[^"\\]|\\.)*", "position": \d+, "kind": ' + _TEXT + rb","
)


@dataclass
class DeadKind:
    """Dead letters of one kind.

    Attributes:
      source: `log`, `catalogs.<name>` or `events.<name>`.
      kind: of problem.
      rows: how many there are.
      reason, file, position, row: of the first one.
    """

    source: str
    kind: str
    rows: int
    reason: str
    file: str
    position: int
    row: Any


def find_letters(where: Path) -> Path | None:
    """The dead letters of a run's folder or a recommender's, or the file itself; None if there are none.

    Raises:
      ValueError: it is no such folder.
    """
    if where.is_file():
        return where
    for path in (where / DEAD_LETTERS, where / "dead" / DEAD_LETTERS):
        if path.is_file():
            return path
    if any((where / name).exists() for name in ("report", "recipe.yaml", "runs", "dead")):
        return None
    raise ValueError(
        f"{where} is no run: give a run's folder, a recommender's (such as output/demo), or a {DEAD_LETTERS}"
    )


def dead_kinds(path: Path) -> list[DeadKind]:
    """Reads a file of dead letters once; the most frequent kind comes first.

    Raises:
      ValueError: a line is no dead letter.
    """
    found: dict[tuple[bytes, bytes], DeadKind] = {}
    kinds: dict[tuple[str, str], DeadKind] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            head = _HEAD.match(line)
            key = head.groups() if head else None
            if key in found:
                found[key].rows += 1
                continue
            letter = _letter(line, path, number)
            kind = kinds.setdefault((letter.source, letter.kind), letter)
            kind.rows += 1
            if key is not None:
                found[key] = kind
    return sorted(kinds.values(), key=lambda kind: -kind.rows)


def _letter(line: bytes, path: Path, number: int) -> DeadKind:
    try:
        letter = json.loads(line)
        return DeadKind(
            letter.get("source", "log"),
            letter["kind"],
            0,
            letter["reason"],
            letter["file"],
            letter["position"],
            letter["row"],
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(f"{path}: line {number} is not a dead letter") from None

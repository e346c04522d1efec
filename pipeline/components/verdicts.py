"""Verdicts on disk: what a gate decided, for the gates and the report that come after it."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from pipeline.evaluation.gates import Verdict

FILE = "verdicts.json"


def write_verdicts(folder: str | Path, verdicts: Iterable[Verdict]) -> None:
    """Writes them to `folder`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, FILE).write_text(json.dumps([asdict(v) for v in verdicts], indent=1))


def read_verdicts(folder: str | Path) -> list[Verdict]:
    """Reads what `write_verdicts` wrote."""
    return [Verdict(**v) for v in json.loads(Path(folder, FILE).read_text())]


def passed(verdicts: Iterable[Verdict]) -> bool:
    """Whether nothing failed; what was skipped said why and does not stand in the way."""
    return all(v.status != "failed" for v in verdicts)

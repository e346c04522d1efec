"""`mtl models`: served folders below an output folder, and their versions as a table."""

import datetime
import json
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.digests import text_digest
from serving import audit, model_config, versions

_MANY = 3  # canaries beside a stable version


def served_folders(output: Path) -> list[Path]:
    """The served folders of `--output` of `mtl run`, of a recommender in it, or the one given itself."""
    for found in ([output], [output / "serving"], sorted(output.glob("*/serving"))):
        there = [f for f in found if versions.versions(f) or (f / versions.POINTER).is_file()]
        if there:
            return there
    return []


def listing(folder: Path) -> Group:
    """The versions of a served folder: what serves, when and by which run each was pushed, from which recipe,
    what its gates' metrics came to, and what its files lack as far as their names and sizes tell."""
    current = versions.pointed(folder)
    labels = model_config.labels(folder, current) if current is not None else {}
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("version", "serves", "pushed", "run", "recipe", "metrics of its gates", "files"):
        table.add_column(heading, justify="right" if heading == "version" else "left", overflow="fold")
    for number in versions.versions(folder):
        version = folder / str(number)
        fault = versions.incomplete(version)
        record = _record(version)
        same = f" (is {record['of']})" if "of" in record else ""
        names = [label for label, v in labels.items() if v == number]
        table.add_row(
            f"{number}{same}",
            ", ".join((["serves"] if number == current else []) + names),
            record.get("at") or _made(version),
            record.get("run", "by hand"),
            record.get("recipe") or _recipe(folder, record),
            _metrics(folder, record),
            fault or "all there",
            style="bold green" if number == current else "red" if fault else "",
        )
    return Group(
        Text(str(folder)), table, *(Text(said, style="yellow") for said in _oddities(folder, current))
    )


def _record(version: Path) -> dict[str, Any]:
    try:
        return versions.record(version)
    except ValueError:
        return {}


def _made(version: Path) -> str:
    made = datetime.datetime.fromtimestamp(version.stat().st_mtime, datetime.UTC)
    return made.isoformat(timespec="seconds")


def _recipe(folder: Path, record: dict[str, Any]) -> str:
    path = folder.parent / "runs" / record.get("run", "") / "recipe.yaml"
    return text_digest(path.read_text()) if path.is_file() else ""


def _metrics(folder: Path, record: dict[str, Any]) -> str:
    path = folder.parent / "runs" / record.get("run", "") / "report" / "metrics.json"
    try:
        found = json.loads(path.read_text())
        asked = {(g["task"], g["metric"]) for g in found["gates"] if g["slice"] == "overall" and g["metric"]}
    except (OSError, ValueError, KeyError, TypeError):  # runs may be deleted, and files cut off
        return ""
    values = [
        (task, metric, found["tasks"].get(task, {}).get("metrics", {}).get(metric))
        for task, metric in sorted(asked)
    ]
    return ", ".join(f"{task} {metric} {value:.4f}" for task, metric, value in values if value is not None)


def _oddities(folder: Path, current: int | None) -> list[str]:
    """What whoever is called should know before anything else."""
    found = []
    there = versions.versions(folder)
    entries, unreadable = audit.entries(folder)
    if current is None:
        found.append(f"{versions.POINTER} names no version: `mtl models promote` gives it one")
    elif current not in there:
        found.append(f"{versions.POINTER} names version {current}, which is not there")
    elif there[-1] > current:
        found.append(
            f"version {there[-1]} is above version {current}, which {versions.POINTER} names: a change was "
            f"cut off, or {versions.POINTER} was written by hand; TensorFlow Serving loads the highest. "
            "`mtl models promote` with the one that is wanted makes both agree"
        )
    if entries and entries[-1]["to"] != current:
        found.append(
            f"the last change in {audit.LOG} is to version {entries[-1]['to']}, and {versions.POINTER} names "
            f"{current}: the change was cut off, or {versions.POINTER} was written by hand"
        )
    since = [v for v in there if current is not None and model_config.labels(folder, current)["stable"] < v]
    if len(since) > _MANY:
        found.append(
            f"{len(since)} versions were pushed since the one that is stable, and servers that read "
            f"{model_config.FILE} hold them all in memory: `mtl models promote` one that is well"
        )
    if unreadable:
        found.append(f"{audit.LOG}: not readable: line {', '.join(map(str, unreadable))}")
    return found

"""`mtl runs list|show`: what runs came to, what they hold on the disk, and why `mtl runs gc` keeps it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.only_one import is_busy
from pipeline.report.form import read
from pipeline.report.sentences import beginning
from pipeline.runners.kept_steps import PIPELINES, read_rows
from pipeline.runs import sizes
from pipeline.runs.artifacts import Artifact, Artifacts
from pipeline.runs.needed import needed, run_names


def listing(home: Path, last: int) -> Group:
    """A recommender's runs, oldest first."""
    keep = needed(home, last)
    known = Artifacts(home).all()
    names = run_names(home)
    spans = {name: ((_content(home / "runs" / name) or {}).get("span") or {}).get("name") for name in names}
    of_spans = any(spans.values())
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("run", *(["span"] if of_spans else []), "ended", "version", "its own", "gc keeps it"):
        table.add_column(heading, justify="right" if heading in ("version", "its own") else "left")
    for name in names:
        ended, version = _ended(home, name, newest=name == names[-1])
        own = [home / "runs" / name, *(a.path for a in known if a.runs == {name})]
        span = [spans[name] or ""] if of_spans else []
        table.add_row(name, *span, ended, version, sizes.shown(sizes.freed(own)), keep.runs.get(name, "no"))
    return Group(Text(str(home)), table)


def showing(run_dir: Path, last: int) -> Group:
    """One run: what came of it, and what each step left, where, and how large.

    Raises:
      ValueError: `run_dir` is no run's folder.
    """
    run_dir = run_dir.resolve()
    home = run_dir.parent.parent
    if run_dir.parent.name != "runs" or not (run_dir / "recipe.yaml").is_file():
        raise ValueError(f"{run_dir} is no run's folder; those are OUTPUT/<name>/runs/<run>, or .../latest")
    content = _content(run_dir) or {}
    ended, version = _ended(home, run_dir.name, newest=run_dir.name == run_names(home)[-1])
    why = needed(home, last).runs.get(run_dir.name)
    head = [f"{run_dir}: {ended}" + (f", version {version}" if version else "")]
    if content:
        head.append(f"  {content['reason']}")
    if content.get("warm_start"):
        head.append(f"  {beginning(content['warm_start'])}")
    head += [f"  on Vertex AI: {name}" for name in _pipelines(run_dir)]
    head.append(f"  gc keeps it: {why}" if why else "  gc would delete it")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("step", "seconds", "size", "runs that have it", "where"):
        table.add_column(heading, justify="left" if heading in ("step", "where") else "right")
    seconds, cached = content.get("seconds", {}), content.get("cached", [])
    mine = [a for a in Artifacts(home).all() if run_dir.name in a.runs]
    for artifact in sorted(mine, key=lambda a: a.number):
        took = "cached" if artifact.step in cached else _number(seconds.get(artifact.step))
        table.add_row(artifact.step, took, _size(artifact), str(len(artifact.runs)), str(artifact.path))
    for step, folder in ({} if mine else _kept(run_dir)).items():
        took = "cached" if step in cached else _number(seconds.get(step))
        size = sizes.shown(sizes.freed([folder])) if folder.is_dir() else "deleted"
        table.add_row(step, took, size, "", os.path.relpath(folder, home))
    table.add_row("(the run's folder)", "", sizes.shown(sizes.freed([run_dir])), "1", str(run_dir))
    return Group(*(Text(line) for line in head), table)


def _ended(home: Path, name: str, newest: bool) -> tuple[str, str]:
    """How a run ended, in a word or two, and the version it pushed."""
    run_dir = home / "runs" / name
    if not (run_dir / "report" / "metrics.json").is_file():
        if newest and _pipelines(run_dir):
            return "at work on Vertex AI, or cut off", ""
        return ("at work" if newest and is_busy(home) else "cut off"), ""
    content = _content(run_dir)
    if content is None:
        return "its metrics.json cannot be read", ""
    return content["status"], Path(content["pushed"]).name if content["pushed"] else ""


def _content(run_dir: Path) -> Mapping[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        return read(run_dir / "report" / "metrics.json")
    return None


def _pipelines(run_dir: Path) -> list[str]:
    """What Vertex AI calls the pipelines of a run there."""
    with contextlib.suppress(FileNotFoundError):
        return (run_dir / PIPELINES).read_text().split()
    return []


def _kept(run_dir: Path) -> dict[str, Path]:
    """The folders of the steps of a run that no metadata here know of."""
    return {
        step: Path(made["uri"]).parent
        for step, row in read_rows(run_dir).items()
        for artifacts in row["outputs"].values()
        for made in artifacts
    }


def _size(artifact: Artifact) -> str:
    if not artifact.path.is_dir():
        return "deleted"
    size = sizes.shown(sizes.freed([artifact.path]))
    return size if artifact.whole else f"{size}, cut off"


def _number(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"

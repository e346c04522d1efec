"""Which runs and versions are needed, and why."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.recipe.yaml_text import Loader
from pipeline.spans.store import SpanStore
from serving import model_config, versions
from serving.history import history


@dataclass(frozen=True)
class Needed:
    """Reasons by what they keep.

    Attributes:
      runs: names, with why each is kept.
      versions: numbers, with why each is kept.
    """

    runs: dict[str, str]
    versions: dict[int, str]


def run_names(home: Path) -> list[str]:
    """All runs, oldest first: names begin with the time."""
    return sorted(path.name for path in (home / "runs").iterdir() if path.is_dir())


def needed(home: Path, last: int) -> Needed:
    """What must stay: the last runs, the versions that serve, are labelled or would serve after a roll-back,
    those that the kept runs pushed, those that nobody pushed by `mtl run`, and the runs that made any of
    these. A kept run is kept whole, with all that its steps made."""
    names = run_names(home)
    runs = {name: f"one of the last {last}" if last > 1 else "the last" for name in names[-last:]}
    latest = os.readlink(home / "latest") if (home / "latest").is_symlink() else ""
    if Path(latest).name in names:
        runs.setdefault(Path(latest).name, "`latest` names it")
    folder = home / "serving"
    made_by = {v: _run_of(folder / str(v)) for v in versions.versions(folder)}
    kept = _of_serving(folder)
    for version, run in made_by.items():
        if version in kept:
            continue
        if run is None:
            kept[version] = "no run pushed it"
        elif run in runs:
            kept[version] = f"run {run}, which is kept, pushed it"
    for version, why in sorted(kept.items()):
        run = made_by.get(version)
        if run in names:
            runs.setdefault(run, f"made version {version}, which {why}")
    return Needed(runs, kept)


def spans_of_a_window(home: Path) -> set[Path]:
    """Folders of the spans that the next runs train on, whichever run ingested them, as their logs may be
    gone: the newest one and a window before it, by the newest recipe with spans; all where none says."""
    for name in reversed(run_names(home)):
        with contextlib.suppress(OSError, yaml.YAMLError, TypeError, KeyError):  # a run cut off at its start
            recipe = yaml.load((home / "runs" / name / "recipe.yaml").read_text(), Loader=Loader)
            return SpanStore(home).folders(recipe["spans"]["window"] + 1)
    return SpanStore(home).folders(None)


def _of_serving(folder: Path) -> dict[int, str]:
    there = versions.versions(folder)
    current = versions.pointed(folder)
    if current is None:  # nothing is known of what serves: TensorFlow Serving may have any of them loaded
        return {version: f"is in a folder without {versions.POINTER}" for version in there}
    found = {current: "serves"}
    for label, version in model_config.labels(folder, current).items():
        found.setdefault(version, f"is labelled {label}")
    before = history(folder, current).served[:-1]
    if before:
        found.setdefault(before[-1], "a roll-back would serve")
    for version in there:
        if version > current:
            found.setdefault(version, f"is above the one that {versions.POINTER} names")
    return {version: why for version, why in found.items() if version in there}


def _run_of(version: Path) -> str | None:
    try:
        return versions.record(version).get("run")
    except json.JSONDecodeError:
        return None

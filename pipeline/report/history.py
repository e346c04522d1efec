"""Every run below a folder, for the index: how it ended, and its metrics over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.metric_names import DIRECTIONS
from pipeline.report.form import read

_PATTERNS = ("{}runs/*/report/metrics.json", "{}evaluations/*/report/metrics.json")


@dataclass(frozen=True)
class PastRun:
    """A run as the index tells it.

    Attributes:
      folder: of the run.
      content: of metrics.json, without slices and curves; None where it cannot be read.
      problem: why not.
    """

    folder: Path
    content: Mapping[str, Any] | None
    problem: str = ""

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass
class Recommender:
    """The runs of one recipe, oldest first; those of `mtl evaluate` apart, as they may be of other data."""

    name: str
    runs: list[PastRun] = field(default_factory=list)
    evaluations: list[PastRun] = field(default_factory=list)

    @property
    def measured(self) -> list[PastRun]:
        """The runs that evaluated a model."""
        return [
            run for run in self.runs if run.content and any(_known(t) for t in run.content["tasks"].values())
        ]

    def series(self) -> dict[tuple[str, str], list[tuple[int, float, tuple[float, float] | None]]]:
        """(task, metric) -> (place in `measured`, value, interval or None) of each run that has it."""
        found: dict[tuple[str, str], list] = {}
        for place, run in enumerate(self.measured):
            for task, of in run.content["tasks"].items():  # type: ignore[index]
                for metric, value in of["metrics"].items():
                    if metric in DIRECTIONS and value is not None:
                        ends = of["intervals"].get(metric)
                        found.setdefault((task, metric), []).append((place, value, ends and tuple(ends)))
        return found


def _known(task: Mapping[str, Any]) -> bool:
    return any(value is not None for value in task["metrics"].values())


def recommenders(folder: Path) -> list[Recommender]:
    """What lies below an output folder, or below one recommender's: by name; empty where there is no run."""
    found: dict[Path, Recommender] = {}
    for below in ("", "*/"):
        for pattern in _PATTERNS:
            for path in sorted(folder.glob(pattern.format(below))):
                run_dir = path.parents[1]
                home = run_dir.parents[1]
                of = found.setdefault(home, Recommender(home.resolve().name))
                (of.runs if run_dir.parent.name == "runs" else of.evaluations).append(_read(path))
    for of in found.values():
        of.runs.sort(key=lambda run: run.name)
        of.evaluations.sort(key=lambda run: run.name)
    return sorted(found.values(), key=lambda of: of.name)


def _read(path: Path) -> PastRun:
    run_dir = path.parents[1]
    try:
        content = read(path)
    except (OSError, ValueError) as error:
        return PastRun(run_dir, None, f"metrics.json cannot be read: {error}")
    return PastRun(run_dir, {k: v for k, v in content.items() if k not in ("slices", "reliability")})

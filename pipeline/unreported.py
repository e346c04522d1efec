"""A version that serves, of a run that was killed after its push: no report tells of it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.report.form import read
from serving import audit, versions

if TYPE_CHECKING:
    from pipeline.plan import Plan


def finishing(plan: Plan) -> Plan:
    """The plan that goes on where a run of exactly this was killed after its push: compared with what that run
    compared with, its steps come from the cache, and its report tells what that run's would have told. Any
    other plan as it is."""
    if not plan.is_unchanged() or _is_reported(plan.home / "runs", plan.baseline):
        return plan
    pushes = [e for e in audit.entries(plan.serving_dir)[0] if e["what"] == "push"]
    before = [e["from"] for e in pushes if e["to"] == int(plan.baseline.name)]
    if not before:
        return plan
    baseline = None if before[-1] is None else plan.serving_dir / str(before[-1])
    if baseline and versions.incomplete(baseline):
        return plan
    return replace(plan, baseline=baseline, finishes=plan.baseline)


def _is_reported(runs: Path, version: Path) -> bool:
    """Whether the run that made a version, or one that went on where it was killed, has its report; also where
    nothing is left of it."""
    run = versions.record(version).get("run", "")
    if not (runs / run).is_dir() or _is_whole(runs / run):
        return True
    for later in runs.iterdir():
        if later.name > run and _is_whole(later):
            with contextlib.suppress(OSError, ValueError):
                pushed = read(later / "report" / "metrics.json")["pushed"]
                if pushed and Path(pushed).name == version.name:
                    return True
    return False


def _is_whole(run_dir: Path) -> bool:
    return (run_dir / "report" / "index.html").is_file()  # the last that is written

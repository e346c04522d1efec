"""`mtl runs gc`: what no kept run and no version needs is deleted, in step with the metadata.

Deleting is three moves, so that a kill or a power cut between any two of them leaves nothing that could be
read as whole: the metadata say that artifacts are deleted, which takes them out of TFX's cache; folders are
renamed into one that nobody reads; that one is deleted. The next call deletes what is left of it. The first
two take moments, and hold the folder as a run does, so that none is at work; the last holds nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.artifact_root import FOLDER
from pipeline.only_one import only_one
from pipeline.runs import sizes
from pipeline.runs.artifacts import Artifact, Artifacts
from pipeline.runs.needed import Needed, needed, run_names, spans_of_a_window
from pipeline.scratch import abandoned
from serving import releases, versions

_CUT_OFF = "folders left by what was cut off"


@dataclass(frozen=True)
class Unneeded:
    """What can go.

    Attributes:
      keep: what is needed.
      runs: folders of runs.
      versions: folders of versions.
      artifacts: of no kept run and no span that may be trained on, or cut off.
      stray: artifacts' folders that the metadata do not know, or say are deleted.
      leftovers: what killed runs and earlier calls left half-done.
    """

    keep: Needed
    runs: list[Path] = field(default_factory=list)
    versions: list[Path] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    stray: list[Path] = field(default_factory=list)
    leftovers: list[Path] = field(default_factory=list)

    def sentences(self, home: Path, dry_run: bool) -> list[str]:
        """What goes and what stays, for a person: a line, and one more for each kind of thing that goes."""
        paths = self.paths()
        total = sizes.shown(sizes.freed(path for of in paths.values() for path in of))
        stay = f"keeps {_counted(len(self.keep.runs), 'run')}"
        if self.keep.versions:
            stay += f" and {_counted(len(self.keep.versions), 'version')}"
        if not any(paths.values()):
            return [f"{home}: nothing to delete; {stay}"]
        lines = [f"{home}: {'would delete' if dry_run else 'deletes'} {total}; {stay}"]
        for what, of in paths.items():
            if of:
                names = Counter(p.parts[-3] for p in of) if what == "artifacts" else [p.name for p in of]
                shown = [f"{n} {step}" for step, n in names.items()] if isinstance(names, Counter) else names
                listed = "" if what == _CUT_OFF else f": {', '.join(shown)}"
                lines.append(f"  {len(of)} {what}, {sizes.shown(sizes.freed(of))}{listed}")
        return lines

    def paths(self) -> dict[str, list[Path]]:
        """What it is in words → where."""
        return {
            "runs": self.runs,
            "versions": self.versions,
            "artifacts": [a.path for a in self.artifacts if a.path.is_dir()] + self.stray,
            _CUT_OFF: self.leftovers,
        }


def unneeded(home: Path, last: int) -> Unneeded:
    """What `collect` deletes; only while no run is at work, as what that makes looks cut off."""
    keep = needed(home, last)
    linked = _linked(home, keep) | spans_of_a_window(home)
    known = Artifacts(home).all()
    gone = [a for a in known if not a.deleted and (not a.whole or not _is_kept(a, keep, linked))]
    stays = {a.path for a in known if not a.deleted} | linked
    folders = (home / FOLDER).glob("[!.]*/[!.]*/*")
    served = home / "serving"
    return Unneeded(
        keep,
        runs=[home / "runs" / name for name in run_names(home) if name not in keep.runs],
        versions=[served / str(v) for v in versions.versions(served) if v not in keep.versions],
        artifacts=gone,
        stray=sorted(path for path in folders if path not in stays),
        leftovers=sorted(
            [
                # empty where a step ended
                *(f for f in (home / FOLDER).glob("*/.system/executor_execution/*") if sizes.freed([f])),
                *home.glob(f"{releases.GONE}*"),
                *(home / FOLDER).glob(f"{releases.GONE}*"),
                *releases.leftovers(served),
                *abandoned(home),
            ]
        ),
    )


def collect(home: Path, last: int, tell: Callable[[Unneeded], None], dry_run: bool = False) -> None:
    """Takes out of use what is not needed, and deletes it.

    Args:
      home: of the recommender.
      last: this many runs are kept at least.
      tell: called with what is going to be deleted, while it is all there.
      dry_run: nothing more is done then.

    Raises:
      Busy: a run is at work there; nothing was touched.
    """
    with contextlib.ExitStack() as stack:
        # what a run at work makes looks cut off; a comparison reads an older run's artifacts
        for place in (home, home / "compare"):
            if place.is_dir():
                stack.enter_context(only_one(place, "mtl runs gc"))
        found = unneeded(home, last)
        tell(found)
        if dry_run:
            return
        Artifacts(home).mark_deleted(a.number for a in found.artifacts)
        # artifacts may be on another disk, or in a bucket
        gone = {p: p / f"{releases.GONE}{uuid.uuid4().hex}" for p in (home / FOLDER, home) if p.is_dir()}
        for folder in gone.values():
            folder.mkdir()
        withdrawn = []
        if found.versions:
            withdrawn = [releases.withdraw(home / "serving", {int(v.name) for v in found.versions})]
        rest = (path for what, paths in found.paths().items() if what != "versions" for path in paths)
        for number, path in enumerate(rest):
            to = next(folder for place, folder in gone.items() if path.is_relative_to(place))
            os.rename(path, to / f"{number}")
    for folder in (*gone.values(), *withdrawn):
        with contextlib.suppress(FileNotFoundError):  # another call found it left over
            shutil.rmtree(folder)


def _is_kept(artifact: Artifact, keep: Needed, linked: set[Path]) -> bool:
    return artifact.path in linked or any(run in keep.runs for run in artifact.runs)


def _linked(home: Path, keep: Needed) -> set[Path]:
    """Artifacts' folders that kept runs' folders have links to, or into."""
    found = set()
    root = (home / FOLDER).resolve()
    for name in keep.runs:
        for link in (home / "runs" / name).iterdir():
            target = link.resolve() if link.is_symlink() else root
            if target.is_relative_to(root) and target != root:
                found.add((home / FOLDER).joinpath(*target.relative_to(root).parts[:3]))
    return found


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

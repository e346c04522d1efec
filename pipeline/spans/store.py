"""What is remembered of each span: the versions that were ingested, and the runs that were of it.

A version is known here once its data gate has let it pass, and `OUTPUT/<name>/spans/<span>.json` is replaced
whole: what a killed run left half-done is not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.digests import text_digest
from pipeline.ingest.counts import Counts

FOLDER = "spans"
_COUNTS = "counts.json"


@dataclass(frozen=True)
class Version:
    """One ingestion of a span. Only the newest of a span is ever trained on.

    Attributes:
      version: from 1.
      content: digest of its rows, and of the events that label them.
      made: digest of the code and of the part of the recipe that ingestion depends on.
      examples, statistics: folders of the artifacts, below the recommender's.
      run: that ingested it.
      rows, tail_rows: that were written, in all and in its tail.
      known: task → rows of the span whose label is known, in all (`all`) and in its tail (`tail`).
      catalogs: catalog → digest of what it said when it was joined; empty of versions of an earlier release.
    """

    version: int
    content: str
    made: str
    examples: str
    statistics: str
    run: str
    rows: int
    tail_rows: int
    known: dict[str, dict[str, int]]
    catalogs: dict[str, str] = field(default_factory=dict)


def version_of(home: Path, examples: Path, statistics: Path, **given: Any) -> Version:
    """The version that an ingestion made.

    Args:
      home: the recommender's folder.
      examples, statistics: folders of the artifacts, below it.
      given: `version`, `content`, `made` and `run`.
    """
    counts = Counts.load(examples / _COUNTS)
    # a span's head and tail are counted as training and validation
    known = {
        task: {"all": of["train"] + of["validation"], "tail": of["validation"]}
        for task, of in counts.known.items()
    }
    return Version(
        examples=os.path.relpath(examples, home),
        statistics=os.path.relpath(statistics, home),
        rows=counts.rows_written,
        tail_rows=counts.written["validation"],
        known=known,
        catalogs={
            source.removeprefix("catalogs."): catalog_digest(files.values())
            for source, files in counts.digests.items()
            if source.startswith("catalogs.")
        },
        **given,
    )


def catalog_digest(files: Iterable[str]) -> str:
    """Of a catalog, by those of its files, whatever they are called."""
    return text_digest(*sorted(files))


class SpanStore:
    """The spans of a recommender.

    Args:
      home: its folder.
    """

    def __init__(self, home: Path):
        self._home = home
        self._folder = home / FOLDER

    @property
    def index(self) -> Path:
        """Where it is remembered what is in the files of sources."""
        return self._folder / "index"

    def newest(self, name: str) -> Version | None:
        """A span's newest version; None where there is none, or `mtl runs gc` or a person took its files."""
        found = self._load(name)["versions"]
        version = Version(**found[-1]) if found else None
        if version and all((self._home / p).is_dir() for p in (version.examples, version.statistics)):
            return version
        return None

    def counts(self, name: str) -> Counts:
        """What was counted of the newest version of a span, which there must be."""
        return Counts.load(self._home / self.newest(name).examples / _COUNTS)

    def last_number(self, name: str) -> int:
        """Of its newest version; 0 where there is none."""
        return max((v["version"] for v in self._load(name)["versions"]), default=0)

    def has_later(self, name: str) -> bool:
        """Whether a later span was ingested."""
        names = [path.stem for path in self._folder.glob("*.json")]
        return any(
            of > name for of in names if len(of) == len(name)
        )  # days of when spans were days are others

    def folders(self, last: int | None) -> set[Path]:
        """Those of the newest versions of the last spans that were ingested, of days and of hours where there are
        both; of all where `last` is None."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        by_length = [[n for n in names if len(n) == length] for length in set(map(len, names))]
        found = [self.newest(name) for of in by_length for name in (of if last is None else of[-last:])]
        return {self._home / p for of in found if of is not None for p in (of.examples, of.statistics)}

    def last_run(self, until: str) -> str | None:
        """The newest span, up to one, of which a run came to an end; None where there is none."""
        names = [path.stem for path in self._folder.glob("*.json") if path.stem <= until]
        return next((name for name in sorted(names, reverse=True) if self.runs(name)), None)

    def add(self, name: str, version: Version) -> None:
        """Makes a version the newest."""
        kept = self._load(name)
        kept["versions"].append(asdict(version))
        self._write(name, kept)

    def drifted(self, name: str) -> bool:
        """Whether the drift gate refused the newest version of a span in its last run."""
        runs, newest = self.runs(name), self.newest(name)
        return bool(runs and newest and runs[-1].get("drifted") and newest.run <= runs[-1]["run"])

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of a span that came to an end, oldest first: `run`, `fingerprint`, `status`, `reason`,
        `drifted`."""
        return self._load(name)["runs"]

    def add_run(self, name: str, run: str, fingerprint: str, status: str, reason: str, drifted: bool) -> None:
        """Remembers how a run of a span ended, and whether the drift gate refused it."""
        kept = self._load(name)
        ended = {"run": run, "fingerprint": fingerprint, "status": status, "reason": reason}
        kept["runs"].append(ended | {"drifted": drifted})
        self._write(name, kept)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _load(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self._path(name).read_text())
        except FileNotFoundError:
            return {"versions": [], "runs": []}

    def _write(self, name: str, kept: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._path(name).with_suffix(".partial")
        with part.open("w", encoding="utf-8") as file:
            json.dump(kept, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self._path(name))

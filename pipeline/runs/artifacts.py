"""The artifacts of a recommender as TFX's metadata have them: which run has which, and which are whole."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifact_root import FOLDER, METADATA

_RUN = "pipeline_run"  # TFX's type of context; its name is the run's


@dataclass(frozen=True)
class Artifact:
    """A step's output.

    Attributes:
      number: its id in the metadata.
      path: `artifacts/<step>/<output>/<n>`.
      runs: names of the runs that made it or took it from the cache.
      whole: its step ended; what is not was cut off, or was deleted.
      deleted: the metadata say that it was deleted.
    """

    number: int
    path: Path
    runs: frozenset[str]
    whole: bool
    deleted: bool

    @property
    def step(self) -> str:
        return self.path.parts[-3]


class Artifacts:
    """Reads and marks artifacts in `home/metadata.sqlite`; there are none where no run has got that far."""

    def __init__(self, home: Path):
        self._folder = home / FOLDER
        self._store = None
        if (home / METADATA).is_file():
            from ml_metadata.metadata_store import metadata_store
            from ml_metadata.proto import metadata_store_pb2

            config = metadata_store_pb2.ConnectionConfig()
            config.sqlite.filename_uri = str(home / METADATA)
            config.sqlite.connection_mode = 2  # READWRITE: makes none
            self._store = metadata_store.MetadataStore(config)
            self._states = metadata_store_pb2.Artifact

    def all(self) -> list[Artifact]:
        """Those below the folder of artifacts; a recommender's folder may have been moved since."""
        if self._store is None:
            return []
        runs: dict[int, set[str]] = {}
        for context in self._store.get_contexts_by_type(_RUN):
            for found in self._store.get_artifacts_by_context(context.id):
                runs.setdefault(found.id, set()).add(context.name)
        return [
            Artifact(
                found.id,
                path,
                frozenset(runs.get(found.id, ())),
                found.state == self._states.LIVE,
                found.state == self._states.DELETED,
            )
            for found in self._store.get_artifacts()
            if (path := self._place(found.uri)) is not None
        ]

    def mark_deleted(self, numbers: Iterable[int]) -> None:
        """Says of artifacts that they are deleted: from then on TFX's cache answers with none of them."""
        wanted = list(numbers)
        if self._store is None or not wanted:
            return
        found = self._store.get_artifacts_by_id(wanted)
        for artifact in found:
            artifact.state = self._states.DELETED
        self._store.put_artifacts(found)

    def _place(self, uri: str) -> Path | None:
        parts = Path(urllib.parse.urlsplit(uri).path).parts
        if len(parts) < 4 or parts[-4] != FOLDER:
            return None
        return self._folder.joinpath(*parts[-3:])

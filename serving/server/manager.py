"""The versions that are loaded, and the change from one to the next without a request in between failing."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from serving.server.errors import RequestError, invalid
from serving.server.folder import Stamp, is_same, is_settled, is_whole, preferred, served_until, stamp
from serving.server.replay import replay
from serving.server.servable import Servable
from serving.versions import incomplete, pointed, versions

STABLE = "stable"
SETTLE_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """What requests see; replaced whole, never changed."""

    loaded: Mapping[int, Servable] = field(default_factory=dict)
    default: int | None = None
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Status:
    """A version's state by the names of get_model_status.proto, and why it could not be loaded."""

    state: str
    error: str = ""


class Manager:
    """Loads versions of one model from a folder and gives each request exactly one of them.

    The version that `CURRENT` names (the highest without a pointer) answers requests that name none, and is
    labelled `stable`. TensorFlow Serving does not read `CURRENT`: its default is the highest version.
    """

    def __init__(self, folder: Path, name: str, labels: Mapping[str, int], every_version: bool = False):
        """
        Args:
          folder: of the versions.
          name: of the model in requests.
          labels: versions by label, loaded beside the one that serves.
          every_version: load all that are there.
        """
        self.name = name
        self._folder = folder
        self._labels = dict(labels)
        self._every = every_version
        self._served = Served()
        self._status: dict[int, Status] = {}
        self._failed: dict[int, tuple[Stamp, ...] | None] = {}
        self._swap = threading.Lock()

    @property
    def served(self) -> Served:
        """What requests see now."""
        return self._served

    def status(self) -> dict[int, Status]:
        """States by version, the highest first."""
        return dict(sorted(self._status.items(), reverse=True))

    def failures(self) -> dict[int, str]:
        """Why versions are not loaded, the highest first: what loading them raised, or what they lack."""
        found = {v: incomplete(self._folder / str(v)) for v in versions(self._folder)}
        found |= {v: s.error for v, s in self._status.items() if s.error}
        return {v: found[v] for v in sorted(found, reverse=True) if found[v]}

    def look(self) -> None:
        """Brings what is loaded in line with the folder, and returns when it is. One caller at a time."""
        wanted = self._wanted()
        loaded = dict(self._served.loaded)
        for version in sorted(wanted - set(loaded)):
            if servable := self._load(version):
                loaded[version] = servable
                # at once, so that it waits for no other's loading
                self._publish(loaded)
        self._publish(loaded)
        # what is not wanted stays while what should replace it is not there
        if loaded and (wanted & set(loaded) or not wanted):
            for version in sorted(set(loaded) - wanted - {self._served.default}):
                del loaded[version]
                self._status[version] = Status("END")
            self._publish(loaded)

    def _wanted(self) -> set[int]:
        there = {v for v in versions(self._folder) if is_whole(self._folder / str(v))}
        wanted = set(there) if self._every else set(self._labels.values()) & there
        serves = preferred(self._folder)
        return wanted | ({serves} if serves is not None else set())

    def _load(self, version: int) -> Servable | None:
        folder, now = self._folder / str(version), None
        try:
            now = stamp(folder)
            # what the pointer names was whole when it was named
            if self._failed.get(version) == now or not (
                version == pointed(self._folder) or is_settled(now, SETTLE_SECONDS)
            ):
                return None
            self._status[version] = Status("LOADING")
            servable = Servable(folder, version)
            self._warm_up(servable, folder)
            if not is_same(now, stamp(folder)):
                servable.retire()
                raise ValueError("its files changed while they were read")
        except Exception as error:  # whatever a half-written or foreign file makes TensorFlow raise
            self._failed[version] = now  # as it was read: what changed since is tried again
            self._status[version] = Status("END", str(error).splitlines()[0] if str(error) else repr(error))
            _LOG.warning("version %s was not loaded: %s", version, self._status[version].error)
            return None
        self._failed.pop(version, None)
        self._status[version] = Status("AVAILABLE")
        _LOG.info("version %s is loaded", version)
        return servable

    @staticmethod
    def _warm_up(servable: Servable, folder: Path) -> None:
        try:
            replay(servable, folder)
        except ValueError:
            servable.retire()
            raise

    def _default(self, loaded: dict[int, Servable]) -> int | None:
        """The version that should serve, or until it is loaded, the last before it that is and that nobody
        rolled back from: so a version comes to serve where the next is pushed while it loads, and the next
        where another follows."""
        serves = preferred(self._folder)
        if serves in loaded:
            return serves
        before = [v for v in served_until(self._folder, serves) if v in loaded]
        if before:
            return before[-1]
        return self._served.default if self._served.default in loaded else max(loaded, default=None)

    def _publish(self, loaded: dict[int, Servable]) -> None:
        default = self._default(loaded)
        labels = {n: v for n, v in self._labels.items() if v in loaded}
        if default is not None:
            labels.setdefault(STABLE, default)
        with self._swap:
            before = self._served
            self._served = Served(MappingProxyType(dict(loaded)), default, labels)
        for version, servable in before.loaded.items():
            if version not in loaded:
                servable.retire()

    @contextmanager
    def hold(self, name: str, version: int | None = None, label: str = "") -> Iterator[Servable]:
        """The servable that a request asks for, open until the block ends.

        Raises:
          RequestError: NOT_FOUND for another name or a version that is not loaded, INVALID_ARGUMENT for no
            name or an unknown label.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        with self._swap:  # so that no version is retired between being found and being held
            found = self._find(name, version, label)
            found.hold()
        try:
            yield found
        finally:
            found.let_go()

    def _find(self, name: str, version: int | None, label: str) -> Servable:
        served = self._served
        if label and name == self.name:
            if label not in served.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = served.labels[label]
        wanted = served.default if version is None else version
        if name != self.name or wanted not in served.loaded:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError("NOT_FOUND", f"Servable not found for request: {asked}")
        return served.loaded[wanted]

    def close(self) -> None:
        """Retires everything."""
        with self._swap:
            before, self._served = self._served, Served()
        for servable in before.loaded.values():
            servable.retire()

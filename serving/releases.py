"""What serves, and how that changes: pushes, promotions and roll-backs of a served folder.

TensorFlow Serving, given a folder, loads its highest version and knows nothing of CURRENT. So a version that
shall serve again is published again, under the next number: hard links of the same files, with `of` in its
record. Numbers only grow, what serves is always the highest, every server and every reader of CURRENT agrees
without being told, and the version that was rolled back from stays where it is. Only `withdraw` takes any
away.

Every change holds the folder's lock, which the kernel lets go of when a process ends, however it ends; it
publishes, then writes the audit log, models.config and the pointer, in this order. Killed in between, it
leaves a whole version in the pointer, and the same command finishes what it began: a version that was
already published and not yet pointed to is taken. A push that was cut off is told from a model that was rolled
back from by a file that is there only while one is at work; the run after it publishes the model anew.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import audit, model_config, versions
from serving.contents import folder_digest
from serving.history import history

GONE = ".gone-"  # begins the names of folders that things are deleted in
_LOCK = ".lock"
_PUSHING = ".pushing"  # the digest of the model that is being pushed


class CannotServe(Exception):
    """A version that was asked for cannot serve; the message says why, and which can."""


@dataclass(frozen=True)
class Pushed:
    """What became of a push.

    Attributes:
      version: the new version's folder, or None where nothing was pushed.
      withdrawn: the version with this very model that was rolled back from.
      moved: what serves changed since the run compared its model with `baseline`.
    """

    version: Path | None = None
    withdrawn: int | None = None
    moved: bool = False


@dataclass(frozen=True)
class Change:
    """A promotion or roll-back: `before` and `to` are versions, `of` the one that `to` is a copy of, or
    itself. `before` is `to` where only the label `stable` moved, and `changed` is false where not even that
    did."""

    before: int | None
    to: int
    of: int
    changed: bool = True


def push(
    model: str | Path, folder: str | Path, note: dict[str, Any], baseline: str, kept: Path | None = None
) -> Pushed:
    """Makes a run's model the version that serves, unless its model serves already or was rolled back from.

    Args:
      model: the SavedModel.
      folder: the served folder.
      note: of `versions.push`; has `run`.
      baseline: the version (its number) that the run's gates compared with, or empty.
      kept: of `versions.add`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = folder_digest(model)
    with _alone(folder):
        serving = versions.current(folder)
        if serving is not None and versions.record(serving).get("model") == content:
            return Pushed()
        if (serving.name if serving else "") != baseline:
            return Pushed(moved=True)
        if serving is not None and _pushing(folder) != content:
            ledger = versions.pushed(folder)
            later = [v for v, model in ledger.items() if v > origin(serving) and model == content]
            if later:
                return Pushed(withdrawn=later[-1])
        versions.write(folder / _PUSHING, content)
        version = versions.add(model, folder, {**note, "model": content, "at": audit.now()}, kept=kept)
        number = int(version.name)
        before = int(serving.name) if serving else None
        _switch(folder, "push", before, number, number, f"run {note['run']} was blessed")
        return Pushed(version)


def promote(folder: str | Path, version: int, reason: str) -> Change:
    """Makes a version the one that serves, and that the label `stable` names.

    Raises:
      CannotServe: it is not there, half-written, or not what was pushed.
    """
    folder = Path(folder)
    with _alone(folder):
        before = versions.pointed(folder)
        fault = damage(folder / str(version))
        if fault:
            raise CannotServe(f"version {version} cannot serve: {fault}; {_others(folder, version)}")
        serving = folder / str(before)
        highest = before == versions.versions(folder)[-1]
        if highest and not damage(serving) and origin(serving) == origin(folder / str(version)):
            return _keep(folder, before, reason)
        return _serve_again(folder, "promote", before, version, reason)


def rollback(folder: str | Path, reason: str) -> Change:
    """Makes the version that served before serve again; called again, it goes further back.

    Raises:
      CannotServe: none served before, or the one that did is gone or damaged.
    """
    folder = Path(folder)
    with _alone(folder):
        before = versions.pointed(folder)
        served = history(folder, before).served
        if len(served) < 2:
            raise CannotServe(
                "there is nothing to roll back to: "
                f"{f'no version served before {before}' if before else 'no version serves'}; "
                f"{_others(folder, before)}"
            )
        version = served[-2]
        fault = damage(folder / str(version))
        if fault:
            raise CannotServe(
                f"version {version}, which served before {before}, cannot serve: {fault}; "
                f"{_others(folder, version, before)}"
            )
        return _serve_again(folder, "rollback", before, version, reason)


def withdraw(folder: str | Path, numbers: set[int]) -> Path:
    """Takes versions out of a served folder, for good: none but those below the one in the pointer, as a
    change may be about to point to one above it. Their numbers are never given again.

    Args:
      folder: the served folder.
      numbers: of versions that are there.

    Returns:
      A folder in it, with a name that TensorFlow Serving ignores, that they were moved to; delete it.
    """
    folder = Path(folder)
    gone = folder / f"{GONE}{uuid.uuid4().hex}"
    with _alone(folder):
        gone.mkdir()
        serving = versions.pointed(folder) or 0
        for number in numbers:
            if number < serving:
                os.rename(folder / str(number), gone / str(number))
        if serving:
            model_config.write(folder, serving)
    return gone


def leftovers(folder: str | Path) -> list[Path]:
    """What changes that were cut off, and versions whose deletion was, left in a served folder. What a change
    that is at work makes looks the same, so this waits for its end."""
    folder = Path(folder)
    if not (folder / _LOCK).is_file():
        return []
    with _alone(folder):
        return sorted([*folder.glob(f"{versions.PART}*"), *folder.glob(f"{GONE}*")])


def origin(version: Path) -> int:
    """The version that one is a copy of; itself where a run pushed it."""
    return int(versions.record(version).get("of", version.name))


def damage(version: Path) -> str:
    """What is wrong with a version's files, in words; empty where nothing is. Reads all of them."""
    fault = versions.incomplete(version)
    if fault:
        return fault
    try:
        said = versions.record(version).get("model")
    except ValueError:
        return f"assets.extra/{versions.RECORD} is not JSON"
    beside = {f"assets.extra/{name}" for name in (versions.RECORD, versions.KEPT)}
    if said and folder_digest(version, beside) != said:
        return "its files are not those that were pushed: something was changed, added or lost since"
    return ""


def _keep(folder: Path, version: int, reason: str) -> Change:
    stands = history(folder, version).stable == version
    of = origin(folder / str(version))
    if not stands:
        audit.append(folder, "promote", version, version, of, reason)
    model_config.write(folder, version)
    return Change(version, version, of, changed=not stands)


def _serve_again(folder: Path, what: str, before: int | None, version: int, reason: str) -> Change:
    of = origin(folder / str(version))
    number = _published(folder, of, above=before or 0) or _publish_again(folder, version, of)
    _switch(folder, what, before, number, of, reason)
    return Change(before, number, of)


def _published(folder: Path, of: int, above: int) -> int | None:
    """The highest version, where it is that model and was published but never pointed to."""
    highest = folder / str(versions.versions(folder)[-1])
    if int(highest.name) > above and not damage(highest) and origin(highest) == of:
        return int(highest.name)
    return None


def _publish_again(folder: Path, version: int, of: int) -> int:
    source = folder / str(version)
    note = {n: x for n, x in versions.record(source).items() if n != "version"}
    again = versions.add(source, folder, {**note, "at": audit.now(), "of": of}, copy=_link)
    return int(again.name)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system has hard links, and none has endlessly many to one file
        shutil.copy2(source, target)


def _switch(folder: Path, what: str, before: int | None, to: int, of: int, why: str) -> None:
    audit.append(folder, what, before, to, of, why)
    model_config.write(folder, to)
    versions.point(folder, to)
    (folder / _PUSHING).unlink(missing_ok=True)  # also of one before that was cut off: this is newer


def _pushing(folder: Path) -> str:
    """The digest of the model whose push was cut off; empty where none was."""
    path = folder / _PUSHING
    return path.read_text() if path.is_file() else ""


def _others(folder: Path, *but: int | None) -> str:
    whole = [
        v for v in versions.versions(folder) if v not in but and not versions.incomplete(folder / str(v))
    ]
    if not whole:
        return "no other version has all files"
    return f"versions that have all files: {', '.join(map(str, whole))}"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits for its turn; a change takes no longer than a model's files take to copy."""
    with (folder / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

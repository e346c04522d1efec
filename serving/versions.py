"""The folder that TensorFlow Serving watches: numbered versions, and a pointer to the one that serves.

`FOLDER/<version>/` are SavedModels; `FOLDER/CURRENT` names the version that serves, which is the
baseline of the next run. TensorFlow Serving ignores names that are not numbers, and CURRENT too: told
nothing else it loads the highest version, so what shall serve is always given the highest number (see
`serving.releases`). `FOLDER/.pushed.json` remembers every version's model, wherever its folder went.
"""

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

POINTER = "CURRENT"
RECORD = "push.json"
KEPT = "vectors.npz"  # beside RECORD: what the run measured of its vectors; no part of the model
PART = ".part-"  # begins the name of a version that is being written
_LEDGER = ".pushed.json"


def versions(folder: str | Path) -> list[int]:
    """The versions there, ascending."""
    path = Path(folder)
    return (
        sorted(int(p.name) for p in path.iterdir() if _is_number(p.name) and p.is_dir())
        if path.is_dir()
        else []
    )


def current(folder: str | Path) -> Path | None:
    """The version that serves, or None where nothing was pushed yet.

    Raises:
      ValueError: the pointer names a version that is not there.
    """
    pointer = Path(folder, POINTER)
    if not pointer.is_file():
        return None
    named = pointer.read_text(errors="replace").strip()
    version = Path(folder, named)

    def whole(version: Path) -> bool:
        return all((version / part).is_file() for part in ("saved_model.pb", "variables/variables.index"))

    if not _is_number(named) or not whole(version):
        others = [v for v in versions(folder) if whole(Path(folder, str(v)))]
        instead = (
            f"`mtl models promote {Path(folder).parent} {others[-1]}` has a whole one serve (there are {others}); or "
            "delete it"
            if others
            else "no other is; delete it"
        )
        raise ValueError(
            f"{pointer} names version '{named}', which is not a whole model in {folder}; "
            f"{instead} to start afresh"
        )
    return version


def saved_model(path: str | Path) -> Path:
    """The SavedModel that a path means: itself, or of a folder of versions the one that serves.

    Raises:
      ValueError: it is neither, or the pointer names a version that is not there.
    """
    found = Path(path) if Path(path, "saved_model.pb").is_file() else current(path)
    if found is None:
        raise ValueError(f"{path} is neither a SavedModel nor a folder with a pushed version")
    return found


def incomplete(version: Path) -> str:
    """What a version lacks to be a SavedModel, in words; empty where it lacks nothing. Reads no file."""
    if not version.is_dir():
        return f"it is not in {version.parent}"
    for part in ("saved_model.pb", "variables/variables.index"):
        if not (version / part).is_file() or not (version / part).stat().st_size:
            return f"{part} is missing or empty: it is half-written or was damaged"
    shards = sorted(p.name for p in (version / "variables").glob("variables.data-*"))
    count = int(shards[0].rpartition("-")[2]) if shards else 0
    if len(shards) != count or not count:
        return "variables/variables.data-* are not all there: it is half-written or was damaged"
    return ""


def _is_number(name: str) -> bool:
    """As TensorFlow Serving reads one; `isdigit` holds of "²" too, of which int makes none."""
    return name.isascii() and name.isdigit()


def pointed(folder: str | Path) -> int | None:
    """The number in the pointer, whole or not; None where there is no number in it."""
    pointer = Path(folder, POINTER)
    named = pointer.read_text(errors="replace").strip() if pointer.is_file() else ""
    return int(named) if _is_number(named) else None


def record(version: Path) -> dict[str, Any]:
    """What was noted when a version was pushed; empty for one that was put there by hand."""
    path = version / "assets.extra" / RECORD
    return json.loads(path.read_text()) if path.is_file() else {}


def pushed(folder: str | Path) -> dict[int, str]:
    """Every version ever pushed, with the digest of its model."""
    path = Path(folder, _LEDGER)
    return {int(v): d for v, d in json.loads(path.read_text()).items()} if path.is_file() else {}


def push(model: str | Path, folder: str | Path, note: dict[str, Any]) -> Path:
    """Copies a SavedModel to the next version and points to it, so that a reader sees all of it or nothing.

    Args:
      model: the SavedModel.
      folder: the served folder.
      note: kept in `assets.extra/push.json` of the version; its `model`, a digest, in the ledger as well.

    Returns:
      The new version's folder.
    """
    version = add(model, folder, note)
    point(folder, int(version.name))
    return version


def add(
    model: str | Path,
    folder: str | Path,
    note: dict[str, Any],
    copy: Callable[[str, str], object] = shutil.copy2,
    kept: Path | None = None,
) -> Path:
    """Copies a SavedModel to the next version, as `push` does, and leaves the pointer where it is.

    Args:
      model, folder, note: as of `push`.
      copy: makes one file from another.
      kept: a file to keep as `KEPT`.

    Returns:
      The new version's folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = pushed(folder)
    version = max([*versions(folder), *ledger], default=0) + 1
    part = folder / f"{PART}{uuid.uuid4().hex}"
    try:
        shutil.copytree(model, part, copy_function=copy)
        extra = part / "assets.extra"
        extra.mkdir(exist_ok=True)
        # as a new file: the one that was copied may share its bytes with another version's
        if kept is not None:
            shutil.copy(kept, extra / KEPT)
        write(extra / RECORD, json.dumps({"version": version, **note}, indent=1))
        for path in [*part.rglob("*"), part]:
            _sync(path)
        write(folder / _LEDGER, json.dumps(ledger | {version: note.get("model", "")}, indent=1))
        os.rename(part, folder / str(version))
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _sync(folder)
    return folder / str(version)


def point(folder: str | Path, version: int) -> None:
    """Makes a version the one that serves."""
    write(Path(folder, POINTER), str(version))


def write(path: Path, text: str) -> None:
    """Replaces a file so that a reader sees the old text or the new one, also after a power cut."""
    part = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    part.write_text(text)
    _sync(part)
    os.replace(part, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

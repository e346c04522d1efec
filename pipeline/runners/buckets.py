"""Buckets of Cloud Storage as folders: where Vertex AI mounts them, and so does who runs things here."""

from __future__ import annotations

import os
from pathlib import Path

MOUNT = Path("/gcs")  # in every container of Vertex AI; elsewhere `gcsfuse` does it
FSTAB = Path("/etc/fstab")
SCHEME = "gs://"


class NoBucket(ValueError):
    """A place is in no bucket, or the bucket is not mounted here."""


def folder(uri: str, what: str) -> Path:
    """Where a place in a bucket is mounted.

    Args:
      uri: `gs://BUCKET/...`.
      what: names it in messages.

    Raises:
      NoBucket: it is no such place, or not mounted here.
      OSError: what is mounted does not answer.
    """
    bucket, _, inside = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not bucket:
        raise NoBucket(f"{what}: Vertex AI keeps all things in buckets: give gs://BUCKET/FOLDER, not {uri}")
    at = MOUNT / bucket
    if not at.is_dir():
        raise NoBucket(
            f"{what}: {at} is not there, by which the bucket is read and written here: mount it, "
            f"`gcsfuse --implicit-dirs {bucket} {at}`"
        )
    for place in (at, MOUNT):
        if _is_to_be_mounted(place) and not os.path.ismount(place):
            raise NoBucket(
                f"{what}: {FSTAB} has {place} mounted, and it is not, so {at} is no bucket: "
                f"mount it, `mount {place}`"
            )
    return at / inside.strip("/")


def doubt(uri: str) -> str:
    """Why a bucket may not be one, for a person: the folder in its place is on this machine's own disk. That
    may be meant, to try things out, or be another folder of this disk, bound there. Empty of any other."""
    at = MOUNT / uri.removeprefix(SCHEME).partition("/")[0]
    if at.stat().st_dev != Path("/").stat().st_dev:
        return ""
    return f"{at} is on this machine's own disk: if it is to be a bucket, it is not mounted"


def _is_to_be_mounted(place: Path) -> bool:
    lines = FSTAB.read_text().splitlines() if FSTAB.is_file() else []
    return any(line.split()[1:2] == [str(place)] for line in lines if not line.lstrip().startswith("#"))


def locally(uri: str) -> str:
    """`gs://BUCKET/x` → `/gcs/BUCKET/x`; anything else as it is."""
    return f"{MOUNT}/{uri.removeprefix(SCHEME)}" if uri.startswith(SCHEME) else uri


def remotely(path: str) -> str:
    """`/gcs/BUCKET/x` → `gs://BUCKET/x`; anything else as it is."""
    return SCHEME + path.removeprefix(f"{MOUNT}/") if path.startswith(f"{MOUNT}/") else path

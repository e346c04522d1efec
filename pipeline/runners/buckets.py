"""Buckets of Cloud Storage as folders: where Vertex AI mounts them, and so does who runs things here."""

from __future__ import annotations

from pathlib import Path

MOUNT = Path("/gcs")  # in every container of Vertex AI; elsewhere `gcsfuse` does it
SCHEME = "gs://"


class NoBucket(ValueError):
    """A place is in no bucket, or the bucket is not mounted here."""


def folder(uri: str, what: str) -> Path:
    """Where a place in a bucket is mounted.

    Args:
      uri: `gs://BUCKET/...`.
      what: names it in messages.

    Raises:
      NoBucket: it is no such place, or not here.
    """
    bucket, _, inside = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not bucket:
        raise NoBucket(f"{what}: Vertex AI keeps all things in buckets: give gs://BUCKET/FOLDER, not {uri}")
    if not (MOUNT / bucket).is_dir():
        raise NoBucket(
            f"{what}: {MOUNT / bucket} is not there, by which the bucket is read and written here: mount it, "
            f"`gcsfuse --implicit-dirs {bucket} {MOUNT / bucket}`"
        )
    return MOUNT / bucket / inside.strip("/")


def locally(uri: str) -> str:
    """`gs://BUCKET/x` → `/gcs/BUCKET/x`; anything else as it is."""
    return f"{MOUNT}/{uri.removeprefix(SCHEME)}" if uri.startswith(SCHEME) else uri


def remotely(path: str) -> str:
    """`/gcs/BUCKET/x` → `gs://BUCKET/x`; anything else as it is."""
    return SCHEME + path.removeprefix(f"{MOUNT}/") if path.startswith(f"{MOUNT}/") else path

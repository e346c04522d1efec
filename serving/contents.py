"""What a folder holds, as one digest."""

import hashlib
from collections.abc import Collection
from pathlib import Path


def folder_digest(folder: str | Path, without: Collection[str] = ()) -> str:
    """Digest of the names and contents of all files below a folder.

    Args:
      folder: it exists.
      without: paths from the folder on, such as `assets.extra/push.json`, that are left out.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if name in without:
            continue
        digest.update(name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]

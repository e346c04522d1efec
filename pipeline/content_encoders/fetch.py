"""Content from where it is: bytes of local files and of URIs that Beam's FileSystems know."""

from __future__ import annotations

import hashlib
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.content_encoders.errors import BadContent
from pipeline.content_encoders.located import is_uri, local_path

MAX_BYTES = 64 << 20
DIGEST_BYTES = 16


def fetch(place: str, input_dir: Path) -> bytes:
    """A file's bytes.

    Raises:
      BadContent: it is not there, cannot be read, or has more than `MAX_BYTES`.
    """
    try:
        if is_uri(place) and not place.startswith("file:"):
            opened = FileSystems.open(
                place, "application/octet-stream", compression_type=CompressionTypes.UNCOMPRESSED
            )
        else:
            opened = open(local_path(place, input_dir), "rb")
        with opened:
            found = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise BadContent("file not found") from None
    except Exception as error:  # of as many kinds as there are file systems
        missing = "not found" in str(error).lower() or "no such file" in str(error).lower()
        raise BadContent("file not found" if missing else "file cannot be read") from None
    if len(found) > MAX_BYTES:
        raise BadContent(f"more than {MAX_BYTES >> 20} MiB")
    return found


def content_digest(content: bytes) -> bytes:
    """BLAKE2b of content, 128 bits."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()

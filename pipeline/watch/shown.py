"""What people see of an item: the beginning of its text, or its picture, small."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.errors import DataError
from pipeline.ingest.files import resolve
from pipeline.recipe import Recipe

LETTERS, PIXELS = 80, 48
_LARGEST = 4 << 20  # bytes of a picture's file; larger ones are not shown


@dataclass(frozen=True)
class Shown:
    """Attributes:
    texts: key → the beginning of its text.
    pictures: key → its first picture as a `data:` URI, a JPEG of `PIXELS` a side.
    """

    texts: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)


def show(recipe: Recipe, feature: str, keys: set[str], input_dir: Path) -> Shown:
    """Looks up some items' content where it came from: texts, and pictures that are small local files.

    Content in a column that the recipe says is private is not shown. Whatever cannot be read is left out: a
    page is none the worse for it.
    """
    spec = recipe.features[feature]
    if spec.kind not in ("vision", "text") or _private(recipe, feature):
        return Shown()
    try:
        found = dict(_lookup(recipe, feature, keys, input_dir))
    except (DataError, OSError):  # it was there when it was encoded
        return Shown()
    if spec.kind == "text":
        return Shown(texts={key: _short(content[0]) for key, content in found.items()})
    small = {key: _small(content[0], input_dir) for key, content in found.items()}
    return Shown(pictures={key: uri for key, uri in small.items() if uri})


def _private(recipe: Recipe, feature: str) -> bool:
    spec = recipe.features[feature]
    declared = recipe.sources.catalogs[spec.catalog].columns
    return any(declared[column].private for column in spec.columns if column in declared)


def _lookup(
    recipe: Recipe, feature: str, keys: set[str], input_dir: Path
) -> Iterator[tuple[str, list[bytes]]]:
    """Key → its contents, of those that have any; nothing where a catalog holds pictures themselves."""
    from pipeline.content_encoders.references import PATHS, content_batches

    spec = recipe.features[feature]
    files = resolve(recipe.sources.catalogs[spec.catalog], input_dir, f"sources.catalogs.{spec.catalog}")
    wanted, left = pa.array(sorted(keys), pa.string()), len(keys)
    for file in files:
        for batch in content_batches(recipe, feature, input_dir, file):
            if spec.kind == "vision" and (batch.schema.metadata or {}) != PATHS:
                return
            for row in batch.filter(pc.is_in(batch["key"], value_set=wanted)).to_pylist():
                left -= 1
                if row["contents"]:
                    yield row["key"], row["contents"]
            if not left:
                return


def _short(text: bytes) -> str:
    words = " ".join(text[: 8 * LETTERS].decode(errors="replace").split())
    return words if len(words) <= LETTERS else words[: LETTERS - 1] + "…"


def _small(place: bytes, input_dir: Path) -> str | None:
    from PIL import Image

    from pipeline.content_encoders.declaration import ImageInput
    from pipeline.content_encoders.errors import BadContent
    from pipeline.content_encoders.images import image_array
    from pipeline.content_encoders.located import is_uri, local_path

    named = place.decode(errors="replace")
    if is_uri(named) and not named.startswith("file:"):
        return None
    try:
        path = local_path(named, input_dir)
        if path.stat().st_size > _LARGEST:
            return None
        whole = ImageInput(size=(PIXELS, PIXELS), resize=PIXELS, std=(1.0, 1.0, 1.0))
        array = image_array(path.read_bytes(), whole)
    except (OSError, ValueError, BadContent):
        return None
    made = io.BytesIO()
    Image.fromarray(np.clip(array, 0, 255).astype(np.uint8)).save(made, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(made.getvalue()).decode()}"

"""A recipe's encoder → files on this machine, with the digest that its vectors are kept under."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from pipeline.content_encoders import builtin
from pipeline.content_encoders.declaration import FILE, Declaration, read_declaration
from pipeline.content_encoders.models import check_installed, find_model
from pipeline.digests import text_digest
from pipeline.ingest.errors import DataError
from pipeline.recipe.encoders import BUILTIN, Encoder
from serving.contents import folder_digest

# What the code here makes of the same declaration; a change of it makes other vectors, so count it up then.
PREPROCESSING = 1
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Located:
    """An encoder's files.

    Attributes:
      name: in the recipe.
      folder: of its files.
      model: its file, or a SavedModel's folder.
      declared: its `encoder.yaml`.
      digest: of model, tokenizer, declaration and the preprocessing here; vectors of two never mix.
      batch_size: items given to it at once.
    """

    name: str
    folder: Path
    model: Path
    declared: Declaration
    digest: str
    batch_size: int


def is_uri(place: str) -> bool:
    """Whether a place is a URI with a scheme, and not a local path."""
    return bool(_SCHEME.match(place)) or place.startswith("file:")


def local_path(place: str, input_dir: Path) -> Path:
    """A local path, or `file:` URI, below the input folder where it is relative."""
    return input_dir / re.sub(r"^file:(//(localhost)?(?=/))?", "", place)


def locate(name: str, encoder: Encoder, input_dir: Path, content_dir: Path) -> Located:
    """Finds an encoder's files and reads its declaration; a remote folder is copied below `content_dir`.

    Raises:
      DataError: it is not there, or its declaration is wrong or disagrees with the recipe.
      NeedsExtra: it needs a package that is not installed.
    """
    if encoder.uri in BUILTIN:
        folder, declared, model, files = builtin.find(encoder.uri)
    else:
        folder = _folder(name, encoder.uri, input_dir, content_dir)
        declared = read_declaration(folder)
        model = find_model(folder, declared)
        check_installed(model)
        files = folder_digest(folder, (FILE,))
    if declared.text is not None and declared.text.tokenizer is not None:
        tokenizer = folder / declared.text.tokenizer
        if not tokenizer.is_file():
            raise DataError(
                f"encoders.{name}: {folder} has no {declared.text.tokenizer}, which encoder.yaml names"
            )
    if declared.dimension != encoder.dimension:
        raise DataError(
            f"encoders.{name}: the recipe says dimension {encoder.dimension}, and {folder / FILE} says "
            f"{declared.dimension}"
        )
    digest = text_digest(
        files, json.dumps(declared.model_dump(mode="json"), sort_keys=True), str(PREPROCESSING)
    )
    return Located(name, folder, model, declared, digest, encoder.batch_size)


def _folder(name: str, uri: str, input_dir: Path, content_dir: Path) -> Path:
    if is_uri(uri) and not uri.startswith("file:"):
        return _fetched(name, uri, content_dir)
    folder = local_path(uri, input_dir)
    if not folder.is_dir():
        raise DataError(
            f"encoders.{name}: there is no folder {folder}; relative paths are below the input folder"
        )
    return folder.resolve()


def _fetched(name: str, uri: str, content_dir: Path) -> Path:
    """A copy of a remote folder, made anew each run: only so is a changed model seen."""
    root = uri.rstrip("/") + "/"
    target = content_dir / "encoders" / f"{name}-{text_digest(uri)}"
    part = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        found = [m.path for m in FileSystems.match([root + "**"])[0].metadata_list]
        for path in found:
            to = part / path.removeprefix(root)
            to.parent.mkdir(parents=True, exist_ok=True)
            with FileSystems.open(path, "application/octet-stream") as source, to.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    except Exception as error:
        shutil.rmtree(part, ignore_errors=True)
        raise DataError(f"encoders.{name}: {uri} cannot be read: {error}") from None
    if not found:
        raise DataError(f"encoders.{name}: there is nothing below {uri}")
    same = target.with_name(f"{target.name}-{folder_digest(part)}")
    try:
        os.rename(part, same)
    except OSError:  # an earlier run has brought exactly this
        shutil.rmtree(part)
    return same

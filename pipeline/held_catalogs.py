"""The catalogs that the exported model will hold, on their way to it.

Ingestion writes them beside its examples; vocabularies and the transform graph have hard links to them, as to
vectors, because the graph is what the Trainer gets. Where they go in the model: `serving/catalogs.py`.
"""

import os
import shutil
from pathlib import Path

import pyarrow as pa

from pipeline.recipe import Recipe

FOLDER = "catalogs"


def held_catalog(folder: str | Path, name: str) -> Path:
    """The file of a catalog in an artifact's folder: its key and what is known before, in Arrow's form."""
    return Path(folder, FOLDER, f"{name}.arrow")


def link_catalogs(source: str | Path, folder: str | Path) -> None:
    """The same files below another folder, without a second copy where the disk allows it."""
    for path in sorted(Path(source, FOLDER).glob("*.arrow")):
        to = Path(folder, FOLDER, path.name)
        to.parent.mkdir(exist_ok=True)
        try:
            os.link(path, to)
        except OSError:
            shutil.copy(path, to)


def read_catalogs(folder: str | Path, recipe: Recipe) -> dict[str, pa.Table]:
    """The catalogs that a recipe's model holds, mapped into memory."""
    return {
        name: pa.ipc.open_file(pa.memory_map(str(held_catalog(folder, name)))).read_all()
        for name in recipe.held_columns
    }

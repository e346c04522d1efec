"""A shop's items with pictures and texts, and encoders small enough to compute by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from pipeline.recipe import Recipe, loads

SHOP = """
version: 1
name: shop
sources:
  log: {files: log.csv, columns: {user: int, item: string, clicked: {type: int, known: after}}}
  catalogs: {items: {files: "items*.parquet", key: item, columns: {item: string}}}
roles: {user: user, item: item}
encoders: {colour: {uri: colour, dimension: 3, batch_size: 4}, letters: {uri: letters, dimension: 2}}
features:
  image: {kind: vision, catalog: items, columns: picture, encoder: colour}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""
COLOUR = "version: 1\nkind: image\ndimension: 3\nimage: {size: [4, 4], resize: stretch}\n"
LETTERS = "version: 1\nkind: text\ndimension: 2\ntext: {max_length: 16}\n"


def _shop(**changes: Any) -> Recipe:
    """The shop's recipe; `a__b=c` sets the setting a.b."""
    recipe = yaml.safe_load(SHOP)
    for path, value in changes.items():
        at = recipe
        *keys, last = path.split("__")
        for key in keys:
            at = at[key]
        at[last] = value
    return loads(yaml.safe_dump(recipe))


def _png(colour: tuple[int, int, int], size: tuple[int, int] = (6, 5)) -> bytes:
    """A picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def _write_items(folder: Path, name: str = "items.parquet", **columns: list) -> None:
    pq.write_table(pa.table(columns), folder / name)


def _vectors(table: Any) -> dict[str, list[float] | str]:
    """Key → its vector, or the reason why there is none."""
    rows = pq.read_table(table.path).to_pylist()
    assert all((row["vector"] is None) == (row["reason"] is not None) for row in rows)
    assert all(row["vector"] is None or len(row["vector"]) == table.dimension for row in rows)
    return {row["key"]: row["reason"] or row["vector"] for row in rows}


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`colour`: the mean red, green and blue, in Keras. `letters`: how many bytes, and whether that is over
    10, of a text, in a SavedModel that reads texts."""
    import keras
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("encoders")
    image = keras.Input((4, 4, 3), name="image")
    (folder / "colour").mkdir()
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)).save(folder / "colour" / "model.keras")
    (folder / "colour" / "encoder.yaml").write_text(COLOUR)

    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, name="text")

    @tf.function(input_signature=[spec])
    def lengths(text):
        length = tf.cast(tf.strings.length(text), tf.float32)
        return {"vector": tf.stack([length, tf.cast(length > 10, tf.float32)], 1)}

    module.lengths = lengths
    (folder / "letters").mkdir()
    tf.saved_model.save(module, str(folder / "letters"), signatures={"serving_default": lengths})
    (folder / "letters" / "encoder.yaml").write_text(LETTERS)
    return folder


@pytest.fixture
def world(tmp_path: Path, encoders: Path) -> Path:
    """An input folder with the encoders and a folder for pictures."""
    for name in ("colour", "letters"):
        (tmp_path / name).symlink_to(encoders / name)
    (tmp_path / "pictures").mkdir()
    return tmp_path


@pytest.fixture(scope="session")
def shop() -> Callable[..., Recipe]:
    return _shop


@pytest.fixture(scope="session")
def png() -> Callable[..., bytes]:
    return _png


@pytest.fixture(scope="session")
def write_items() -> Callable[..., None]:
    return _write_items


@pytest.fixture(scope="session")
def vectors() -> Callable[[Any], dict[str, Any]]:
    return _vectors

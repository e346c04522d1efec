"""The demo's pictures: a sky and a ground in colours of the item's content, and a thing of its category."""

import struct
import zlib
from pathlib import Path

import numpy as np

from pipeline.demo import words
from pipeline.demo.catalogs import Items
from pipeline.demo.draws import Stream, generator

SIDE = 48  # pixels
_SWING, _NOISE = 100.0, 12.0  # of 255


def draw_pictures(seed: int, items: Items) -> np.ndarray:
    """uint8 [items, SIDE, SIDE, 3].

    The sky goes from blue to red with the first number of an item's content, the ground from brown to green
    with the second. Before them stands a disc in the category's colour, of any size and place; grain and
    light differ from picture to picture and mean nothing.
    """
    rng = generator(seed, Stream.PICTURES)
    count = len(items.ids)
    shown = np.tanh(items.content / 1.5) * _SWING
    sky = np.stack([128 + shown[:, 0], np.full(count, 120.0), 128 - shown[:, 0]], axis=1)
    ground = np.stack([128 - shown[:, 1], 128 + shown[:, 1], np.full(count, 60.0)], axis=1)
    horizon = rng.integers(SIDE * 2 // 5, SIDE * 3 // 5, count)
    row, column = np.mgrid[:SIDE, :SIDE]
    above = (row < horizon[:, None, None])[..., None]
    pictures = np.where(above, sky[:, None, None, :], ground[:, None, None, :])
    colours = rng.uniform(0, 255, (len(words.CATEGORY_NAMES), 3))[items.category]
    middle = rng.uniform(SIDE * 0.3, SIDE * 0.7, (count, 2))
    radius = rng.uniform(SIDE * 0.1, SIDE * 0.25, count)
    far = np.hypot(row - middle[:, 0, None, None], column - middle[:, 1, None, None])
    pictures = np.where((far < radius[:, None, None])[..., None], colours[:, None, None, :], pictures)
    pictures += rng.normal(0, _NOISE, (count, 1, 1, 1)) + rng.normal(0, _NOISE, pictures.shape)
    return np.clip(pictures, 0, 255).astype(np.uint8)


def write_pictures(folder: Path, seed: int, items: Items) -> None:
    """Writes `<item>.png` for every item."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(items.ids, draw_pictures(seed, items), strict=True):
        (folder / f"{name}.png").write_bytes(png(picture))


def png(picture: np.ndarray) -> bytes:
    """uint8 [height, width, 3] as a PNG file (ISO/IEC 15948), without filters; the same bytes everywhere that
    zlib is the same."""
    height, width, _ = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 1))
        + chunk(b"IEND", b"")
    )

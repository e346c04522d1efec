"""Encoding pictures and texts: beside the same encoder in a plain batched loop, again with nothing new, and
in flat memory.

- Speed: distinct JPEGs of 400 x 300 by EfficientNet-Lite0, and distinct texts of 8 to 60 words by MiniLM,
  through `content_encoders.encode` with an empty cache; and the same files and models in a loop over batches
  of the same size, with nothing around it. Each side pays for loading its model; both run in this process,
  in turns, twice, and the sums of seconds count. The loop takes texts as they come; the pipeline puts those
  alike in length together.
- Again: the same once more with nothing new, as a share of the first time.
- Memory: the peak of a process of its own that encodes 20,000 and 100,000 pictures (bytes in a Parquet
  column) with a tiny encoder, and the ratio of the two.

    python benchmarks/encode.py [--pictures 1000] [--texts 1000] [--items 100000] [--only speed|memory]

Needs `make setup EXTRAS=encoders`. Bars are in `encode.json`; exits 1 where one is missed.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

BARS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
TINY = 16  # dimension
RECIPE = """
version: 1
name: bench
sources:
  log: {files: log.csv, columns: {user: int, item: string, clicked: {type: int, known: after}}}
  catalogs: {items: {files: items.parquet, key: item, columns: {item: string}}}
roles: {user: user, item: item}
features: {user: {kind: categorical}}
tasks: {click: {kind: binary, label: clicked}}
splits: {by: hash, of: row, validation: 0.2, test: 0.2}
model: {architecture: {name: hard_sharing}}
weighting: {name: equal}
gates: none
"""


def recipe(kind: str, encoder: dict):
    """One feature `x` of the column `content`."""
    from pipeline.recipe import loads

    found = yaml.safe_load(RECIPE)
    found["encoders"] = {"one": encoder}
    found["features"]["x"] = {"kind": kind, "catalog": "items", "columns": "content", "encoder": "one"}
    return loads(yaml.safe_dump(found))


def write_items(folder: Path, content: pa.Array) -> None:
    keys = [f"i{n}" for n in range(len(content))]
    pq.write_table(
        pa.table({"item": keys, "content": content}), folder / "items.parquet", row_group_size=2000
    )


def pictures(folder: Path, count: int) -> list[str]:
    draw = np.random.default_rng(1)
    (folder / "pictures").mkdir()
    names = [f"pictures/{n}.jpg" for n in range(count)]
    for name in names:
        coarse = Image.fromarray(draw.integers(0, 256, (12, 16, 3), np.uint8))
        coarse.resize((400, 300), Image.Resampling.BICUBIC).save(folder / name, quality=85)
    return names


def texts(count: int) -> list[str]:
    draw = np.random.default_rng(2)
    words = (
        "red blue old new wooden chair table lamp garden with for the and of small large hardly used".split()
    )
    return [f"item {n} {' '.join(draw.choice(words, draw.integers(8, 61)))}" for n in range(count)]


def plain(uri: str, folder: Path, contents: list[str], batch_size: int) -> float:
    """Seconds of a loop over batches, the model's loading with it."""
    from pipeline.content_encoders import builtin
    from pipeline.content_encoders.images import image_array
    from pipeline.content_encoders.infer import encode_batch
    from pipeline.content_encoders.located import Located
    from pipeline.content_encoders.models import load_model
    from pipeline.content_encoders.tokens import Texts

    begin = time.perf_counter()
    at, declared, path, digest = builtin.find(uri)
    located = Located("one", at, path, declared, digest, batch_size)
    model = load_model(path, declared)
    tokens = Texts(declared.text, at) if declared.text else None
    kept = []
    for start in range(0, len(contents), batch_size):
        batch = contents[start : start + batch_size]
        if tokens is not None:
            inputs = tokens(batch)
        else:
            inputs = {
                "image": np.stack([image_array((folder / n).read_bytes(), declared.image) for n in batch])
            }
        kept.append(encode_batch(model, inputs, located))
    np.concatenate(kept)
    return time.perf_counter() - begin


def piped(kind: str, encoder: dict, folder: Path, home: Path) -> tuple[float, dict]:
    """Seconds of `encode`, and its counts."""
    from pipeline.content_encoders import encode

    begin = time.perf_counter()
    table = encode(recipe(kind, encoder), folder, home)["x"]
    return time.perf_counter() - begin, table.counts


def speed(kind: str, uri: str, count: int, work: Path) -> list[bool]:
    folder = work / kind
    folder.mkdir()
    contents = pictures(folder, count) if kind == "vision" else texts(count)
    write_items(folder, pa.array(contents))
    encoder = {"uri": uri, "batch_size": 32}
    loop = pipe = again = 0.0
    plain(uri, folder, contents[:32], 32)  # TensorFlow's and the encoder's first use
    for turn in range(2):
        seconds, counts = piped(kind, encoder, folder, work / f"{kind}-{turn}")
        assert counts["encoded"] == counts["vectors"] == count, counts
        pipe += seconds
        loop += plain(uri, folder, contents, 32)
        seconds, counts = piped(kind, encoder, folder, work / f"{kind}-{turn}")
        assert counts["encoded"] == 0, counts
        again += seconds
    share, second = loop / pipe, again / pipe
    what = "pictures" if kind == "vision" else "texts"
    print(
        f"{what}: {2 * count / pipe:,.1f}/s through Beam, {2 * count / loop:,.1f}/s in a plain loop: "
        f"{share:.2f} of it (bar {BARS['of_plain_loop']}); again with nothing new {again / 2:.2f} s, "
        f"{second:.1%} of the first (bar {BARS['second_run']:.0%})",
        flush=True,
    )
    return [share >= BARS["of_plain_loop"], second <= BARS["second_run"]]


def memory(items: int, work: Path) -> list[bool]:
    peaks = {}
    for count in (items // 5, items):
        command = [sys.executable, __file__, "--child", str(work), "--items", str(count)]
        found = json.loads(
            subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1]
        )
        peaks[count] = found["peak"]
        print(
            f"{count:,} pictures with a tiny encoder: {found['seconds']:.1f} s "
            f"({count / found['seconds']:,.0f}/s), again "
            f"{found['again']:.1f} s, peak {found['peak'] / 2**20:,.0f} MiB",
            flush=True,
        )
    growth = peaks[items] / peaks[items // 5]
    print(
        f"memory: {growth:.3f} times that of a fifth of the items (bar {BARS['memory_growth']})", flush=True
    )
    return [growth <= BARS["memory_growth"]]


def child(items: int, work: Path) -> None:
    """One encoding in this process; its last line says what it took."""
    import keras

    from pipeline import memory

    folder = work / f"tiny-{items}"
    (folder / "tiny").mkdir(parents=True)
    image = keras.Input((8, 8, 3), name="image")
    keras.Model(image, keras.layers.Dense(TINY)(keras.layers.Flatten()(image))).save(
        folder / "tiny" / "model.keras"
    )
    (folder / "tiny" / "encoder.yaml").write_text(
        f"version: 1\nkind: image\ndimension: {TINY}\nimage: {{size: [8, 8], resize: stretch}}\n"
    )
    _write_tiny(folder, items)
    encoder = {"uri": "tiny", "dimension": TINY, "batch_size": 256}
    memory.restart_peak()
    seconds, counts = piped("vision", encoder, folder, folder / "out")
    assert counts["encoded"] == counts["vectors"] == items, counts
    peak = memory.peak()
    again, counts = piped("vision", encoder, folder, folder / "out")
    assert counts["encoded"] == 0
    print(json.dumps({"seconds": seconds, "again": again, "peak": peak}))
    shutil.rmtree(folder)


def _write_tiny(folder: Path, items: int) -> None:
    """Distinct pictures of 8 x 8, a row group at a time: what writes them must not set the peak."""
    draw = np.random.default_rng(3)
    schema = pa.schema({"item": pa.string(), "content": pa.binary()})
    with pq.ParquetWriter(folder / "items.parquet", schema) as writer:
        for start in range(0, items, 2000):
            rows = []
            for values in draw.integers(0, 256, (min(2000, items - start), 8, 8, 3), np.uint8):
                file = io.BytesIO()
                Image.fromarray(values).save(file, "PNG", compress_level=1)
                rows.append(file.getvalue())
            keys = [f"i{start + n}" for n in range(len(rows))]
            writer.write_table(pa.table([keys, rows], schema=schema))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--only", choices=["speed", "memory"])
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if given.child is not None:
        child(given.items, given.child)
        return 0
    kept: list[bool] = []
    with tempfile.TemporaryDirectory() as work:
        if given.only != "memory":
            kept += speed("vision", "builtin:efficientnet_lite0", given.pictures, Path(work))
            kept += speed("text", "builtin:minilm", given.texts, Path(work))
        if given.only != "speed":
            kept += memory(given.items, Path(work))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())

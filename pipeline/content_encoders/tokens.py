"""Texts → what a text encoder takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.content_encoders.declaration import TextInput
from pipeline.content_encoders.errors import NeedsExtra

# What is given to a tokenizer of a long text, in characters a token kept: it would read all of 10 MB.
CHARACTERS_A_TOKEN = 100


class Texts:
    """Makes a text encoder's inputs."""

    def __init__(self, declared: TextInput, folder: Path):
        self._longest = CHARACTERS_A_TOKEN * declared.max_length
        self._tokenizer = None
        if declared.tokenizer is not None:
            try:
                from tokenizers import Tokenizer
            except ImportError:
                raise NeedsExtra("tokenizers", f"the tokenizer of {folder}") from None
            self._tokenizer = Tokenizer.from_file(str(folder / declared.tokenizer))
            self._tokenizer.enable_truncation(declared.max_length)
            pad = self._tokenizer.padding or {}
            self._tokenizer.enable_padding(
                pad_id=pad.get("pad_id", 0), pad_token=pad.get("pad_token", "[PAD]"), length=None
            )

    def __call__(self, texts: list[str]) -> dict[str, np.ndarray]:
        """Texts → `{"text": object [B]}`, or int64 `[B, T]` `input_ids`, `attention_mask`, `token_type_ids`,
        padded to the longest."""
        texts = [text[: self._longest] for text in texts]
        if self._tokenizer is None:
            return {"text": np.array(texts, object)}
        found = self._tokenizer.encode_batch(texts)
        columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        return {
            name: np.array([getattr(encoding, attribute) for encoding in found], np.int64)
            for name, attribute in columns.items()
        }

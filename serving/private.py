"""Private values: what stands for them in examples, vocabularies and requests is a keyed hash of them.

HMAC-SHA-256 (RFC 2104) with the UTF-8 bytes of the key, over the value as UTF-8 text without white space
around it; a whole number is written in decimal. Of a text the first 16 bytes stand for it, in lower-case
hexadecimal; of a whole number the first 53 bits, which JSON's numbers hold. So any language can make them,
and equal values are equal in every column, file and request that is made with the same key. Two of n numbers
are alike with a probability of about n²/2^54: 0.6 % of 10 million.

The key is in the environment variable `MTL_PRIVATE_KEY`, or in a file that it names as `@PATH`.
"""

from __future__ import annotations

import hmac
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

VARIABLE = "MTL_PRIVATE_KEY"
LEAST = 32  # characters: 128 bits in hexadecimal
_HASH = re.compile(rb"[0-9a-f]{32}")
_TEXT_BYTES, _NUMBER_BYTES, _NUMBER_BITS = 16, 8, 53


def private_inputs(model: Path) -> dict[str, str]:
    """The private inputs of a SavedModel, with their types in the recipe, as its card says."""
    card = model / "assets.extra" / "model_card.json"
    inputs = json.loads(card.read_text(encoding="utf-8"))["inputs"] if card.is_file() else {}
    return {name: about["type"] for name, about in inputs.items() if about.get("private")}


def hashes_alone(values: np.ndarray) -> np.ndarray:
    """Values of a private input, with missing ones in place of those that are no hash: someone's id as it is.

    A text that is not 32 hexadecimal digits is none, and nor is a number that is not in [2^43, 2^53): as small
    are most ids, and one hash in 1,024. Numbers of 13 digits and more may be either.

    Args:
      values: of any shape, bytes or int64.
    """
    import numpy as np

    if values.dtype == object:
        kept = [value if _HASH.fullmatch(value) else b"" for value in values.reshape(-1).tolist()]
        return np.array(kept, object).reshape(values.shape)
    return np.where((values >= 1 << 43) & (values < 1 << 53), values, np.iinfo(np.int64).min)


class NoKey(ValueError):
    """There is no usable key; the message says why, and what would be right."""


class Hasher:
    """Hashes private values with a key.

    Args:
      key: at least `LEAST` characters; white space around it is no part of it.

    Raises:
      NoKey: it is shorter.
    """

    def __init__(self, key: str):
        key = key.strip()
        if len(key) < LEAST:
            raise NoKey(
                f"{VARIABLE} has {len(key)} characters; a key has {LEAST} or more, such as "
                '`python -c "import secrets; print(secrets.token_hex(32))"` prints'
            )
        self._key = key.encode()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Hasher:
        """With the key in `MTL_PRIVATE_KEY`, or in the file that it names.

        Raises:
          NoKey: the variable is not set, the file cannot be read, or the key is too short.
        """
        given = environment.get(VARIABLE, "")
        if not given:
            raise NoKey(
                f"the environment variable {VARIABLE} is not set: it has the key, or @FILE that holds it"
            )
        if not given.startswith("@"):
            return cls(given)
        try:
            return cls(Path(given[1:]).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise NoKey(f"{VARIABLE} names the file {given[1:]}, which cannot be read: {error}") from None

    @property
    def key_id(self) -> str:
        """Tells keys apart, and says nothing of them."""
        return self._digest("\0key")[:8].hex()

    def text(self, value: str) -> str:
        """What stands for a text: 32 hexadecimal digits."""
        return self._digest(value.strip())[:_TEXT_BYTES].hex()

    def number(self, value: int) -> int:
        """What stands for a whole number: one from 0 up to 2^53."""
        found = int.from_bytes(self._digest(str(int(value)))[:_NUMBER_BYTES], "big")
        return found >> (8 * _NUMBER_BYTES - _NUMBER_BITS)

    def value(self, value: Any) -> Any:
        """What stands for a text, a whole number or a list of either; a missing value (None) is itself.

        Raises:
          TypeError: it is something else.
        """
        if value is None:
            return None
        if isinstance(value, (list, tuple)):
            return [self.value(v) for v in value]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{type(value).__name__} is neither a text nor a whole number, which ids are")
        return self.number(value)

    def column(self, column: pa.Array) -> pa.Array:
        """The same for an Arrow array of strings, int64 or lists of these; each distinct value once."""
        import pyarrow as pa

        if pa.types.is_list(column.type):
            if column.offset:  # Arrow makes no list with a mask from a slice
                column = pa.concat_arrays([column])
            return pa.ListArray.from_arrays(column.offsets, self.column(column.values), mask=column.is_null())
        encoded = column.dictionary_encode()
        one = self.text if pa.types.is_string(column.type) else self.number
        found = pa.array([one(v) for v in encoded.dictionary.to_pylist()], column.type)
        return found.take(encoded.indices)

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), "sha256")

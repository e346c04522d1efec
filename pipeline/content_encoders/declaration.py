"""`encoder.yaml`: stands beside a model and says how content becomes its input, and its output a vector."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.ingest.errors import DataError
from pipeline.recipe.parts import Part
from pipeline.recipe.yaml_text import Loader

FILE = "encoder.yaml"


class ImageInput(Part):
    """A picture, upright, as RGB → numbers `[height, width, 3]`."""

    size: tuple[int, int] = Field(description="height and width that the model takes")
    resize: int | Literal["stretch"] = Field(
        description="the shorter side's length before the middle is cut out; stretch: both sides to `size`"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: tuple[float, float, float] = Field(
        (0.0, 0.0, 0.0), description="of red, green, blue, taken from 0–255"
    )
    std: tuple[float, float, float] = Field(
        (255.0, 255.0, 255.0), description="then the difference is divided by these"
    )
    layout: Literal["channels_last", "channels_first"] = "channels_last"

    @model_validator(mode="after")
    def _fits(self) -> ImageInput:
        if min(self.size) < 1 or max(self.size) > 4096:
            raise ValueError("size is from 1 to 4096")
        if self.resize != "stretch" and not max(self.size) <= self.resize <= 8192:
            raise ValueError(f"resize is at least {max(self.size)}, or nothing could be cut out")
        if 0 in self.std:
            raise ValueError("std must not hold 0")
        return self


class TextInput(Part):
    """A text → token ids, or the text itself where the model reads texts."""

    tokenizer: str | None = Field(
        None, description="a `tokenizer.json` beside the model; null: the model takes texts"
    )
    max_length: int = Field(256, ge=2, le=8192, description="tokens kept of a text")


class Declaration(Part):
    """What `encoder.yaml` says."""

    version: str = Field(description="of the encoder, for people; vectors of two versions never mix")
    kind: Literal["image", "text"]
    dimension: int = Field(ge=1, le=65_536, description="numbers in a vector")
    model: str | None = Field(
        None, description="the model's file or folder beside this one, where there are several"
    )
    image: ImageInput | None = None
    text: TextInput | None = None
    output: str | None = Field(None, description="name of the output, where the model has several")
    pooling: Literal["none", "mean", "first"] = Field(
        "none", description="how one vector is made of an output with one a token: over those of the text"
    )
    normalize: bool = Field(False, description="whether vectors are brought to length 1")

    @model_validator(mode="before")
    @classmethod
    def _version_as_text(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("version"), (int, float)):
            return {**value, "version": str(value["version"])}
        return value

    @model_validator(mode="after")
    def _agree(self) -> Declaration:
        if self.kind == "image" and (self.image is None or self.text is not None):
            raise ValueError("an image encoder needs `image:` and no `text:`")
        if self.kind == "text" and (self.text is None or self.image is not None):
            raise ValueError("a text encoder needs `text:` and no `image:`")
        if self.pooling != "none" and (self.text is None or self.text.tokenizer is None):
            raise ValueError("pooling is over tokens; this encoder has no tokenizer")
        return self


def read_declaration(folder: Path) -> Declaration:
    """Reads a folder's `encoder.yaml`.

    Raises:
      DataError: it is not there, or wrong; the message says all that is.
    """
    path = folder / FILE
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except FileNotFoundError:
        raise DataError(f"{folder} has no {FILE}, which says how content becomes the model's input") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    try:
        return Declaration.model_validate(found)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_url=False)
        )
        raise DataError(f"{path}: {wrong}") from None

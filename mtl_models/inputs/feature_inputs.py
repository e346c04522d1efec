import itertools
from collections.abc import Sequence

import keras
from keras import ops

from mtl_models.inputs.layout import Layout
from mtl_models.rows import gather_rows
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class FeatureInputs(keras.layers.Layer):
    """Features to one dense vector: [B, D].

    One embedding table holds every categorical feature's rows. A single-valued feature contributes its
    row, a multi-valued one the mean of its rows (zeros where it has none), numbers stand as they are,
    vectors as they are or projected, and each interaction is the dot product of two features'
    embeddings (the second-order term of factorization machines, Rendle 2010).

    Args:
        layout: the packed inputs' layout.
        embedding_dim: length of a table row.
        interactions: pairs of categorical features, "all" for every pair, None for none.
        vector_units: length that vectors are projected to; None leaves them as they are.
        dropout: share of the dense vector's entries that training sets to 0.
        embedding_scale: standard deviation of the table's first values.
        seed: of the table, the projections and dropout.

    Raises:
        ValueError: if an interaction names a feature that is not categorical.
    """

    def __init__(
        self,
        layout: Layout,
        embedding_dim: int = 16,
        interactions: str | Sequence[Sequence[str]] | None = None,
        vector_units: int | None = None,
        dropout: float = 0.0,
        embedding_scale: float = 0.01,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layout = layout
        self.embedding_dim = embedding_dim
        self.interactions = interactions
        self.vector_units = vector_units
        self.dropout_rate = dropout
        self.embedding_scale = embedding_scale
        self.seed = seed
        self.pairs = interaction_pairs(layout, interactions)
        self.table = None
        self.dropout = keras.layers.Dropout(dropout, seed=derive_seed(seed, "dropout"))
        self.projections = (
            {}
            if vector_units is None
            else {
                vector.name: keras.layers.Dense(
                    vector_units,
                    name=f"project_{vector.name}",
                    kernel_initializer=keras.initializers.GlorotUniform(derive_seed(seed, vector.name)),
                )
                for vector in layout.vectors
            }
        )

    def build(self, input_shape=None):
        if self.layout.categorical:
            self.table = self.add_weight(
                (self.layout.table_rows, self.embedding_dim),
                name="table",
                initializer=keras.initializers.RandomNormal(
                    stddev=self.embedding_scale, seed=derive_seed(self.seed, "table")
                ),
            )
        for vector in self.layout.vectors:
            if vector.name in self.projections:
                self.projections[vector.name].build((None, vector.dim))
        self.built = True

    @property
    def width(self) -> int:
        """D, the length of the dense vector."""
        vectors = sum(self.vector_units or vector.dim for vector in self.layout.vectors)
        return (
            len(self.layout.categorical) * self.embedding_dim
            + len(self.layout.numbers)
            + vectors
            + len(self.pairs)
        )

    def lookup(self, packed: dict):
        """Table rows of `packed["ids"]`: [B, id_slots, embedding_dim], zeros where there is no value."""
        return gather_rows(self.table, packed["ids"]) if self.layout.categorical else None

    def combine(self, rows, packed: dict, training=None):
        """The dense vector [B, D] from looked-up rows (None without categorical features) and the rest."""
        parts = []
        if self.layout.categorical:
            embeddings = self._feature_embeddings(rows, packed["ids"])
            parts.append(ops.reshape(embeddings, (-1, len(self.layout.categorical) * self.embedding_dim)))
            if self.pairs:
                left, right = zip(*self.pairs)
                # every dot product at once, then the pairs asked for
                dots = ops.einsum("bfd,bgd->bfg", embeddings, embeddings)
                features = len(self.layout.categorical)
                flat = ops.reshape(dots, (-1, features * features))
                parts.append(ops.take(flat, [i * features + j for i, j in zip(left, right)], axis=1))
        if self.layout.numbers:
            parts.append(ops.cast(packed["numbers"], self.compute_dtype))
        for vector in self.layout.vectors:
            values = ops.cast(packed[vector.key], self.compute_dtype)
            projection = self.projections.get(vector.name)
            parts.append(projection(values) if projection else values)
        return self.dropout(ops.concatenate(parts, axis=1), training=training)

    def call(self, packed: dict, training=None):
        return self.combine(self.lookup(packed), packed, training=training)

    def _feature_embeddings(self, rows, ids):
        """[B, features, embedding_dim]: the row, or the mean of the rows, of each categorical feature."""
        rows = ops.cast(rows, self.compute_dtype)
        parts = []
        # runs of single-valued features are one slice
        for multivalued, run in itertools.groupby(self.layout.categorical, lambda f: f.length > 1):
            for first, last in _consecutive(list(run), joined=not multivalued):
                columns = slice(first.first_slot, last.first_slot + last.length)
                part = rows[:, columns]
                if multivalued:
                    count = ops.sum(ops.cast(ids[:, columns] >= 0, part.dtype), axis=1, keepdims=True)
                    part = (ops.sum(part, axis=1) / ops.maximum(count, 1.0))[:, None]
                parts.append(part)
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "layout": self.layout.to_dict(),
            "embedding_dim": self.embedding_dim,
            "interactions": self.interactions,
            "vector_units": self.vector_units,
            "dropout": self.dropout_rate,
            "embedding_scale": self.embedding_scale,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict) -> "FeatureInputs":
        return cls(**{**config, "layout": Layout.from_dict(config["layout"])})


def interaction_pairs(
    layout: Layout, interactions: str | Sequence[Sequence[str]] | None
) -> list[tuple[int, int]]:
    """The interactions as pairs of positions among the categorical features.

    Raises:
        ValueError: if an interaction is no pair, or names a feature that is not categorical.
    """
    positions = {feature.name: i for i, feature in enumerate(layout.categorical)}
    if interactions == "all":
        return list(itertools.combinations(range(len(positions)), 2))
    pairs = []
    for pair in interactions or ():
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"interaction {pair!r} is not a pair of features, nor is it 'all'")
        for name in pair:
            if name not in positions:
                raise ValueError(
                    f"interaction {list(pair)}: '{name}' is not a categorical feature; "
                    f"those are {', '.join(positions)}"
                )
        pairs.append((positions[pair[0]], positions[pair[1]]))
    return pairs


def _consecutive(features, joined):
    """(first, last) of each run of features whose columns follow each other."""
    runs = []
    for feature in features:
        if joined and runs and runs[-1][1].first_slot + 1 == feature.first_slot:
            runs[-1] = (runs[-1][0], feature)
        else:
            runs.append((feature, feature))
    return runs

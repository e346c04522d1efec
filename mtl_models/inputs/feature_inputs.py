import itertools
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.inputs.categorical_embeddings import CategoricalEmbeddings
from mtl_models.inputs.feature_names import attention_targets, interaction_pairs, single_valued
from mtl_models.inputs.layout import Layout
from mtl_models.inputs.numeric_embeddings import NumericEmbeddings
from mtl_models.inputs.per_vector import per_vector
from mtl_models.layers.absent_vector import AbsentVector
from mtl_models.layers.cross_network import CrossNetwork
from mtl_models.layers.dropout import Dropout
from mtl_models.layers.epnet_gate import EPNetGate
from mtl_models.layers.id_dropout import IdDropout
from mtl_models.layers.position_bias import PositionBias
from mtl_models.rows import gather_rows
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class FeatureInputs(keras.layers.Layer):
    """Features to one dense vector: [B, D].

    One embedding table holds every categorical feature's rows. A single-valued feature contributes its
    row, a list its pooled rows (zeros where it is empty), numbers stand as they are or embedded, vectors as
    they are or projected, and each interaction is the dot product of two features' embeddings (the
    second-order term of factorization machines, Rendle 2010); a vector has an embedding for that, a linear
    map of it. Vectors that the layout says the model holds are in `vectors`, frozen, for whoever builds the
    model to fill (see `hold`). Then, where asked for, a scenario's gate
    scales the vector (`EPNetGate`), a cross network crosses it (`CrossNetwork`, stacked below the
    architecture), and dropout thins it out.

    The table is read by `lookup` alone; everything else takes the rows looked up, so that a step costs what
    its batch reads. In training call `drop_ids` before it.

    Args:
        layout: the packed inputs' layout.
        embedding_dim: length of a table row.
        interactions: pairs of categorical features and vectors, "all" for every pair of categorical ones,
            None for none.
        vector_units: length that vectors are projected to, of all or vector → length; None, or a vector
            that is not named, is left as it is.
        dropout: share of the dense vector's entries that training sets to 0.
        embedding_scale: standard deviation of the table's first values.
        id_dropout: share of ids that training replaces by their feature's unknown row, of features that
            have one: see `IdDropout`.
        pooling: how the rows of a list become one: "mean", "sum" or "sqrtn" (see `MaskedPooling`).
        attention: pairs of a list and a single-valued feature, such as the items of a history and the item;
            the list is then pooled by target attention (DIN): see `TargetAttention`.
        attention_units: width of the attention's activation unit.
        cross_layers: layers of the cross network (DCN-v2); 0 for none.
        cross_rank: rank of its kernels; None for full ones.
        numeric_embedding: None leaves numbers as they are; "piecewise_linear" or "periodic" makes a vector
            of each.
        numeric_units: length of a number's vector.
        numeric_bins: piecewise_linear: the edges of each number's bins, as `quantile_bins` makes them.
        numeric_frequencies: periodic: how many frequencies a number has.
        numeric_scale: periodic: standard deviation of the frequencies' first values, to be tuned.
        learned_absent: whether a learned vector stands for an absent one, and not zeros.
        vector_dropout: share of a projected vector's entries that training sets to 0, of all or
            vector → share.
        position: the single-valued feature that says where an item stood; it then feeds a tower of its own
            and nothing else, and counts nothing at serving: see `PositionBias`.
        position_tasks: names of the tasks whose outputs the position's tower adds to.
        position_dropout: share of training's rows whose position is left out.
        scenario: single-valued features, such as the page, whose gate scales the dense vector (EPNet).
        personal: single-valued features, such as user, item and author, whose gates scale the towers
            (PPNet): see `gates_input`.
        gate_units: width of the hidden layer of the scenario's gate.
        seed: of every weight and draw.

    Raises:
        ValueError: if a setting names a feature that is not of the kind it needs, or is out of bounds.

    Example:

    >>> import numpy as np
    >>> from mtl_models import FeatureInputs, Layout
    >>> layout = Layout.of({"item": 50, "last_items": ("item", 3)}, ["age"])
    >>> inputs = FeatureInputs(layout, embedding_dim=4, attention=[("last_items", "item")])
    >>> inputs.build()
    >>> x = {"ids": np.array([[7, 1, 7, -1]]), "numbers": np.array([[0.5]], "float32")}
    >>> tuple(inputs(x).shape), inputs.width
    ((1, 9), 9)
    """

    BOUNDS = {
        "id_dropout": (0.0, 0.99),
        "attention_units": (1, 4096),
        "cross_layers": (0, 64),
        "cross_rank": (1, 100_000),
        "numeric_units": (1, 4096),
        "numeric_frequencies": (1, 4096),
        "numeric_scale": (0.0, 1000.0),
        "vector_dropout": (0.0, 0.99),
        "position_dropout": (0.0, 0.99),
        "gate_units": (1, 100_000),
    }

    def __init__(
        self,
        layout: Layout,
        embedding_dim: int = 16,
        interactions: str | Sequence[Sequence[str]] | None = None,
        vector_units: int | Mapping[str, int] | None = None,
        dropout: float = 0.0,
        embedding_scale: float = 0.01,
        id_dropout: float = 0.0,
        pooling: str = "mean",
        attention: Sequence[Sequence[str]] | None = None,
        attention_units: int = 36,
        cross_layers: int = 0,
        cross_rank: int | None = None,
        numeric_embedding: str | None = None,
        numeric_units: int = 16,
        numeric_bins: Sequence[Sequence[float]] | None = None,
        numeric_frequencies: int = 48,
        numeric_scale: float = 0.01,
        learned_absent: bool = False,
        vector_dropout: float | Mapping[str, float] = 0.0,
        position: str | None = None,
        position_tasks: tuple[str, ...] = (),
        position_dropout: float = 0.1,
        scenario: tuple[str, ...] = (),
        personal: tuple[str, ...] = (),
        gate_units: int = 32,
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
        self.id_dropout = id_dropout
        self.pooling = pooling
        self.attention = [list(pair) for pair in attention or ()]
        self.attention_units = attention_units
        self.cross_layers = cross_layers
        self.cross_rank = cross_rank
        self.numeric_embedding = numeric_embedding
        self.numeric_units = numeric_units
        self.numeric_bins = None if numeric_bins is None else [list(edges) for edges in numeric_bins]
        self.numeric_frequencies = numeric_frequencies
        self.numeric_scale = numeric_scale
        self.learned_absent = learned_absent
        self.vector_dropout = vector_dropout
        self.position = position
        self.position_tasks = tuple(position_tasks)
        self.position_dropout = position_dropout
        self.scenario = tuple(scenario)
        self.personal = tuple(personal)
        self.gate_units = gate_units
        self.seed = seed
        check_bounds(self)
        self._vector_units = per_vector("vector_units", vector_units, [v.name for v in layout.vectors])
        self._find_features()
        self._make_layers()

    def _find_features(self):
        named = [("attention", self.attention), ("scenario", self.scenario), ("personal", self.personal)]
        for setting, entries in named:
            for name in itertools.chain.from_iterable([e] if isinstance(e, str) else e for e in entries):
                if name == self.position:
                    raise ValueError(f"{setting}: '{name}' is the position, which feeds its own tower alone")
        if self.position is not None and not self.position_tasks:
            raise ValueError("position: position_tasks must name the tasks whose outputs it adds to")
        self.position_slots = (
            [] if self.position is None else single_valued(self.layout, "position", [self.position])
        )
        self.scenario_slots = single_valued(self.layout, "scenario", self.scenario)
        self.personal_slots = single_valued(self.layout, "personal", self.personal)
        self.features = [f for f in self.layout.categorical if f.name != self.position]
        names = [f.name for f in self.features]
        pairs = interaction_pairs(names, self.interactions, [v.name for v in self.layout.vectors])
        # of the vectors only those that interactions name have an embedding
        met = sorted({i - len(names) for pair in pairs for i in pair if i >= len(names)})
        self.met = [self.layout.vectors[i] for i in met]
        place = {len(names) + i: len(names) + n for n, i in enumerate(met)}
        self.pairs = [(place.get(i, i), place.get(j, j)) for i, j in pairs]
        self.targets = attention_targets(self.layout, self.attention)

    def _make_layers(self):
        """Layers without weights of their own are always there, others where they are asked for."""
        policy, vectors = {"dtype": self.dtype_policy}, self.layout.vectors
        self.table = None
        self.dropout = Dropout(self.dropout_rate, seed=derive_seed(self.seed, "dropout"), **policy)
        self.embeddings = CategoricalEmbeddings(
            self.features,
            self.layout.id_slots,
            self.pooling,
            self.targets,
            self.attention_units,
            derive_seed(self.seed, "attention"),
            **policy,
        )
        self.absent = {
            vector.name: AbsentVector(self.learned_absent, name=f"absent_{vector.name}", **policy)
            for vector in vectors
        }
        self.projections = {
            vector: keras.layers.Dense(
                units,
                name=f"project_{vector}",
                kernel_initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, vector)),
                **policy,
            )
            for vector, units in self._vector_units.items()
        }
        self.vectors = {}
        self.meetings = {
            vector.name: keras.layers.Dense(
                self.embedding_dim,
                name=f"embed_{vector.name}",
                kernel_initializer=keras.initializers.GlorotUniform(
                    derive_seed(self.seed, f"embed_{vector.name}")
                ),
                **policy,
            )
            for vector in self.met
        }
        dropouts = per_vector("vector_dropout", self.vector_dropout, self.absent)
        self.vector_drops = {
            vector: Dropout(rate, seed=derive_seed(self.seed, f"vector_dropout_{vector}"), **policy)
            for vector, rate in dropouts.items()
            if rate
        }
        self.id_drop = self.numeric = self.epnet = self.cross = self.position_bias = None
        if self.id_dropout:
            self.id_drop = self._make_id_dropout()
        if self.numeric_embedding is not None and self.layout.numbers:
            self.numeric = NumericEmbeddings(
                self.layout.numbers,
                self.numeric_embedding,
                self.numeric_units,
                self.numeric_bins,
                self.numeric_frequencies,
                self.numeric_scale,
                derive_seed(self.seed, "numeric"),
                **policy,
            )
        if self.scenario:
            self.epnet = EPNetGate(self.gate_units, derive_seed(self.seed, "epnet"), **policy)
        if self.cross_layers:
            self.cross = CrossNetwork(
                self.cross_layers, self.cross_rank, derive_seed(self.seed, "cross"), **policy
            )
        if self.position is not None:
            self.position_bias = PositionBias(
                len(self.position_tasks),
                self.position_dropout,
                seed=derive_seed(self.seed, "position"),
                **policy,
            )

    def _make_id_dropout(self) -> IdDropout:
        unknown = np.full(self.layout.id_slots, -1)
        missing = np.full(self.layout.id_slots, -1)
        for feature in self.features:
            columns = slice(feature.first_slot, feature.first_slot + feature.length)
            if feature.unknown_row is not None:
                unknown[columns] = feature.first_row + feature.unknown_row
            if feature.missing_row is not None:
                missing[columns] = feature.first_row + feature.missing_row
        if (unknown < 0).all():
            raise ValueError("id_dropout: no categorical feature has an unknown row; leave id_dropout at 0")
        return IdDropout(
            self.id_dropout, unknown.tolist(), missing.tolist(), derive_seed(self.seed, "id_dropout")
        )

    def build(self, input_shape=None):
        dim = self.embedding_dim
        if self.layout.categorical:
            self.table = self.add_weight(
                (self.layout.table_rows, dim),
                name="table",
                initializer=keras.initializers.RandomNormal(
                    stddev=self.embedding_scale, seed=derive_seed(self.seed, "table")
                ),
            )
            self.embeddings.build((None, dim))
        for vector in self.layout.vectors:
            self.absent[vector.name].build((None, vector.dim))
            if vector.rows:
                self.vectors[vector.name] = self.add_weight(
                    (vector.rows, vector.dim),
                    name=f"vectors_{vector.name}",
                    initializer="zeros",
                    trainable=False,
                )
            if vector.name in self.meetings:
                self.meetings[vector.name].build((None, vector.dim))
            if vector.name in self.projections:
                self.projections[vector.name].build((None, vector.dim))
        if self.numeric is not None:
            self.numeric.build()
        if self.epnet is not None:
            self.epnet.build((None, self.width), (None, len(self.scenario) * dim))
        if self.cross is not None:
            self.cross.build((None, self.width))
        if self.position_bias is not None:
            self.position_bias.build((None, dim))
        self.built = True

    @property
    def width(self) -> int:
        """D, the length of the dense vector."""
        vectors = sum(self._vector_units.get(vector.name, vector.dim) for vector in self.layout.vectors)
        return (
            len(self.features) * self.embedding_dim
            + len(self.layout.numbers) * (1 if self.numeric is None else self.numeric_units)
            + vectors
            + len(self.pairs)
        )

    @property
    def prior_width(self) -> int | None:
        """P, the length of what `gates_input` returns; None where no feature is personal."""
        return len(self.personal) * self.embedding_dim + self.width if self.personal else None

    def shared_variables(self) -> list:
        """The variables that every task's loss may reach, the table apart: the position's tower, which has a
        column a task, is none of them."""
        apart = [self.table, *(self.position_bias.trainable_variables if self.position_bias else [])]
        return [v for v in self.trainable_variables if not any(v is other for other in apart)]

    def drop_ids(self, packed: dict, training=None) -> dict:
        """The packed inputs with some ids replaced by unknown rows, where `id_dropout` asks for it."""
        if self.id_drop is None:
            return packed
        return {**packed, "ids": self.id_drop(packed["ids"], training=training)}

    def lookup(self, packed: dict):
        """Table rows of `packed["ids"]`: [B, id_slots, embedding_dim], zeros where there is no value."""
        return gather_rows(self.table, packed["ids"]) if self.layout.categorical else None

    def combine(self, rows, packed: dict, training=None):
        """The dense vector [B, D] from looked-up rows (None without categorical features) and the rest."""
        parts = []
        if rows is not None:
            rows = ops.cast(rows, self.compute_dtype)
        vectors = {vector.name: self._vector(vector, packed) for vector in self.layout.vectors}
        if self.features:
            embeddings = self.embeddings(rows, packed["ids"])
            parts.append(ops.reshape(embeddings, (-1, len(self.features) * self.embedding_dim)))
        if self.pairs:
            left, right = zip(*self.pairs)
            if self.met:
                of_vectors = [self.meetings[vector.name](vectors[vector.name]) for vector in self.met]
                of_vectors = ops.stack(of_vectors, axis=1)
                embeddings = (
                    ops.concatenate([embeddings, of_vectors], axis=1) if self.features else of_vectors
                )
            # every dot product at once, then the pairs asked for
            dots = ops.einsum("bfd,bgd->bfg", embeddings, embeddings)
            features = len(self.features) + len(self.met)
            flat = ops.reshape(dots, (-1, features * features))
            parts.append(ops.take(flat, [i * features + j for i, j in zip(left, right)], axis=1))
        if self.layout.numbers:
            numbers = packed["numbers"]
            parts.append(
                ops.cast(numbers, self.compute_dtype) if self.numeric is None else self.numeric(numbers)
            )
        for vector in self.layout.vectors:
            values = vectors[vector.name]
            if vector.name in self.projections:
                values = self.projections[vector.name](values)
            if vector.name in self.vector_drops:
                values = self.vector_drops[vector.name](values, training=training)
            parts.append(values)
        x = ops.concatenate(parts, axis=1)
        if self.epnet is not None:
            x = self.epnet(x, _rows_of(rows, self.scenario_slots))
        if self.cross is not None:
            x = self.cross(x)
        return self.dropout(x, training=training)

    def _vector(self, vector, packed: dict):
        """[B, dim], with what stands for an absent one."""
        values = packed[vector.key]
        if vector.rows:
            number = ops.reshape(values, (-1,))
            number = ops.where(ops.logical_and(number >= 0, number < vector.rows), number, 0)
            values = ops.take(ops.convert_to_tensor(self.vectors[vector.name]), number, axis=0)
        return self.absent[vector.name](ops.cast(values, self.compute_dtype))

    def hold(self, name: str, vectors: np.ndarray) -> None:
        """Fills the vectors of a feature that the model holds: float [rows, dim]. Row 0 and those of NaN are
        of items that have none.

        Raises:
            ValueError: if the model holds none of that name, or the shape is another.
        """
        if name not in self.vectors or tuple(self.vectors[name].shape) != vectors.shape:
            held = {n: tuple(v.shape) for n, v in self.vectors.items()}
            raise ValueError(f"vectors of '{name}' have shape {vectors.shape}; the model holds {held}")
        vectors = np.array(vectors, "float32")
        vectors[0] = np.nan
        self.vectors[name].assign(vectors)

    def position_logits(self, rows, training=None):
        """What the position adds to the outputs of `position_tasks`: float32 [B, len(position_tasks)].

        The same number for every row where `training` is false; None without a position."""
        if self.position_bias is None:
            return None
        at = ops.cast(_rows_of(rows, self.position_slots), self.compute_dtype)
        return self.position_bias(at, training=training)

    def gates_input(self, rows, x):
        """The prior of PPNet's gates, from looked-up rows and the dense vector: [B, prior_width].

        The personal features' embeddings, and the dense vector behind a stopped gradient (Chang et al. 2023);
        None where no feature is personal."""
        if not self.personal:
            return None
        own = ops.cast(_rows_of(rows, self.personal_slots), x.dtype)
        return ops.concatenate([own, ops.stop_gradient(x)], axis=1)

    def call(self, packed: dict, training=None):
        packed = self.drop_ids(packed, training=training)
        return self.combine(self.lookup(packed), packed, training=training)

    @property
    def settings(self) -> dict:
        """The constructor's arguments, without layout and seed."""
        return {
            "embedding_dim": self.embedding_dim,
            "interactions": self.interactions,
            "vector_units": self.vector_units,
            "dropout": self.dropout_rate,
            "embedding_scale": self.embedding_scale,
            "id_dropout": self.id_dropout,
            "pooling": self.pooling,
            "attention": self.attention,
            "attention_units": self.attention_units,
            "cross_layers": self.cross_layers,
            "cross_rank": self.cross_rank,
            "numeric_embedding": self.numeric_embedding,
            "numeric_units": self.numeric_units,
            "numeric_bins": self.numeric_bins,
            "numeric_frequencies": self.numeric_frequencies,
            "numeric_scale": self.numeric_scale,
            "learned_absent": self.learned_absent,
            "vector_dropout": self.vector_dropout,
            "position": self.position,
            "position_tasks": self.position_tasks,
            "position_dropout": self.position_dropout,
            "scenario": self.scenario,
            "personal": self.personal,
            "gate_units": self.gate_units,
        }

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "layout": self.layout.to_dict(),
            **self.settings,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict) -> "FeatureInputs":
        return cls(**{**config, "layout": Layout.from_dict(config["layout"])})


def _rows_of(rows, slots):
    """The rows of single-valued features, side by side: [B, features · dim]."""
    return ops.concatenate([rows[:, feature.first_slot] for feature in slots], axis=1)

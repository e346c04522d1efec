from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from mtl_models.draws import uniform


@keras.saving.register_keras_serializable("mtl_models")
class IdDropout(keras.layers.Layer):
    """Puts the unknown row in the place of some ids in training, so that it is trained too.

    Vocabularies are made of the very rows that train, so without it hardly any training row has an unknown
    value, and the embedding served for a new one is near its first draw. Each id becomes `m unknown + (1 - m)
    id`, with m of its own that is 1 with probability `rate` and else 0; it then stands for an average value,
    as word dropout does for unseen words (Iyyer et al. 2015). Ids below 0 (no value) and a column's missing
    row stay.

    Args:
        rate: probability.
        unknown: for each column of the ids the row that stands for unknown values; -1: ids of this column
            are never replaced.
        missing: for each column the row that stands for a missing value; -1: none.
        seed: of the draws.

    Input and output: integers [B, columns].

    Raises:
        ValueError: if the rate is not between 0 and 1, or the columns differ in number.

    Example:

    >>> import numpy as np
    >>> from mtl_models import IdDropout
    >>> layer = IdDropout(0.999999, unknown=[1, -1], missing=[0, -1])
    >>> np.asarray(layer(np.array([[7, 9], [0, 9]]), training=True)).tolist()
    [[1, 9], [0, 9]]
    """

    def __init__(self, rate: float, unknown: Sequence[int], missing: Sequence[int], seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"IdDropout: rate must be at least 0 and less than 1; it is {rate}")
        if len(unknown) != len(missing):
            raise ValueError(
                f"IdDropout: {len(unknown)} columns have an unknown row and {len(missing)} a missing one"
            )
        self.rate = rate
        self.unknown = [int(row) for row in unknown]
        self.missing = [int(row) for row in missing]
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, ids, training=False):
        if not training:
            return ids
        unknown = ops.cast(np.array(self.unknown), ids.dtype)
        missing = ops.cast(np.array(self.missing), ids.dtype)
        drawn = uniform(ops.shape(ids), self.seed_generator) < self.rate
        known = ops.logical_and(ops.logical_and(ids >= 0, ids != missing), unknown >= 0)
        return ops.where(ops.logical_and(drawn, known), unknown, ids)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "rate": self.rate,
            "unknown": self.unknown,
            "missing": self.missing,
            "seed": self.seed,
        }

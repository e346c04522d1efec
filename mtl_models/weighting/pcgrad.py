import keras
from keras import ops

from mtl_models.draws import uniform
from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._unit_gram import UnitGram, unit_gram


@keras.saving.register_keras_serializable("mtl_models")
class PCGrad(GramWeighting):
    """Projecting conflicting gradients (Yu et al. 2020, algorithm 1).

    Each gradient visits the others in random order, and at each that it conflicts with loses its component
    along it: `g_i ← g_i - (g_i · g_j / ‖g_j‖²) g_j` where `g_i · g_j < 0`. Weights are the coefficients of
    the sum, all at least 1: 1 each without conflict. Needs the Gram matrix, and random numbers, from a
    generator whose state is saved. It helps when few pairs conflict; with more than two tasks the sum may
    still conflict with one, where `upgrad` does not.

    Args:
        seed: of the orders.

    Example:
        >>> import numpy as np
        >>> from mtl_models import PCGrad, Task
        >>> weighting = PCGrad()
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> gram = np.array([[1.0, -0.5], [-0.5, 4.0]], "float32")
        >>> np.asarray(weighting(np.ones(2, "float32"), gram, training=True)).tolist()  # 1 + 0.5 / ‖g_j‖²
        [1.5, 1.125]
    """

    def __init__(self, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def balance(self, unit, losses, training):
        return _weights(unit, random_orders(len(self.tasks), self.generator))

    def get_config(self) -> dict:
        return {**super().get_config(), "seed": self.seed}


def random_orders(tasks: int, generator):
    """[T, T]: row i is the order in which gradient i visits the tasks."""
    return ops.argsort(uniform((tasks, tasks), generator, of_rows=False), axis=-1)


def pcgrad_weights(gram, orders):
    """Weights [T] of `PCGrad` from a finite Gram matrix [T, T] and orders [T, T]; 0 without a gradient."""
    return _weights(unit_gram(gram), orders)


def _weights(unit: UnitGram, orders):
    # row i holds g_i as coefficients of unit gradients, relative to its own norm
    size = unit.cosines.shape[0]
    identity = ops.eye(size)
    mixed = identity
    for k in range(size):
        visited = ops.one_hot(orders[:, k], size, dtype="float32") * (1.0 - identity)
        product = ops.sum(ops.matmul(mixed, unit.cosines) * visited, axis=1, keepdims=True)
        mixed = mixed - ops.minimum(product, 0.0) * visited
    weights = ops.sum(ops.expand_dims(unit.norms, 1) * mixed, axis=0) / unit.norms
    return ops.where(unit.active, weights, 0.0)

import keras
from keras import ops

from mtl_models.bounds import check_bounds
from mtl_models.weighting._gram import GramWeighting
from mtl_models.weighting._unit_gram import UnitGram
from mtl_models.weighting.pcgrad import random_orders

_GREATEST_TARGET = 0.999


@keras.saving.register_keras_serializable("mtl_models")
class GradVac(GramWeighting):
    """Gradient vaccine (Wang, Tsvetkov, Firat & Cao 2021, algorithm 1): pulls cosines to their own average.

    As `PCGrad`, but where the cosine `φ_ij` of `g_i` (as changed so far) and `g_j` is below its running
    average `φ̂_ij`, and not only below 0, `g_i` gains what makes it `φ̂_ij`:
    `g_i ← g_i + ‖g_i‖ (φ̂ sqrt(1 - φ²) - φ sqrt(1 - φ̂²)) / (‖g_j‖ sqrt(1 - φ̂²)) g_j`; then
    `φ̂_ij ← (1 - β) φ̂_ij + β φ_ij`. Needs the Gram matrix, random orders, and its averages (saved). It helps
    when related tasks conflict now and then; it hurts when batches are so small that cosines are noise.
    The target is capped at 0.999, beyond which an arbitrarily long step along `g_j` would be called for.

    Args:
        beta: β, how fast averages follow.
        seed: of the orders.

    Example:
        >>> import numpy as np
        >>> from mtl_models import GradVac, Task
        >>> weighting = GradVac(beta=0.5)
        >>> weighting.bind([Task("click", "binary"), Task("watch", "regression")])
        >>> losses = np.ones(2, "float32")
        >>> alike = np.array([[1.0, 0.6], [0.6, 1.0]], "float32")
        >>> np.asarray(weighting(losses, alike, training=True)).tolist()  # above the average, which was 0
        [1.0, 1.0]
        >>> weights = weighting(losses, np.eye(2, dtype="float32"), training=True)
        >>> [round(float(w), 4) for w in weights]  # now 0.3: 1 + 0.3 / sqrt(1 - 0.3²)
        [1.3145, 1.3145]
    """

    BOUNDS = {"beta": (0.0, 1.0)}

    def __init__(self, beta: float = 0.01, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.beta = beta
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        check_bounds(self)

    def build(self, input_shape=None):
        self.targets = self.add_state("targets", (len(self.tasks), len(self.tasks)))
        self.built = True

    def balance(self, unit, losses, training):
        orders = random_orders(len(self.tasks), self.generator)
        weights, targets = vaccinate(unit, ops.convert_to_tensor(self.targets), orders, self.beta)
        if training:
            self.targets.assign(targets)
        return weights

    def get_config(self) -> dict:
        return {**super().get_config(), "beta": self.beta, "seed": self.seed}


def vaccinate(unit: UnitGram, targets, orders, beta: float):
    """`(weights [T], next averages [T, T])`; `targets` are the averages φ̂, `orders` [T, T] as in `PCGrad`."""
    size = unit.cosines.shape[0]
    identity = ops.eye(size)
    active = ops.cast(unit.active, "float32")
    pairs = ops.expand_dims(active, 0) * ops.expand_dims(active, 1) * (1.0 - identity)
    mixed = identity
    for k in range(size):
        visited = ops.one_hot(orders[:, k], size, dtype="float32") * pairs
        products = ops.matmul(mixed, unit.cosines)
        norm = ops.sqrt(ops.maximum(ops.sum(products * mixed, axis=1, keepdims=True), 1e-20))
        cosine = ops.clip(ops.sum(products * visited, axis=1, keepdims=True) / norm, -1.0, 1.0)
        average = ops.sum(targets * visited, axis=1, keepdims=True)
        target = ops.minimum(average, _GREATEST_TARGET)
        sine = ops.sqrt(1.0 - ops.square(target))
        gain = norm * (target * ops.sqrt(1.0 - ops.square(cosine)) - cosine * sine) / sine
        mixed = mixed + ops.where(cosine < target, gain, 0.0) * visited
        targets = targets + beta * (cosine - average) * visited
    weights = ops.sum(ops.expand_dims(unit.norms, 1) * mixed, axis=0) / unit.norms
    return weights, targets

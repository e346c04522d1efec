import keras
from keras import ops

from mtl_models.layers.dropout import Dropout
from mtl_models.layers.stacked_initializer import StackedInitializer
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class Experts(keras.layers.Layer):
    """A stack of equally shaped multi-layer perceptrons, computed together: one matmul a layer.

    Each layer is `relu(x W + b)` with dropout after it. Every expert starts from its own draw of
    He et al. (2015)'s normal distribution, with variance `2 / D`.

    Args:
        experts: E, how many.
        units: width of each layer; empty returns the input for every expert.
        dropout: share of a layer's outputs that training sets to 0.
        seed: of kernels and dropout.

    Input: [B, D], the same for every expert, or [B, G, D] where G divides E: the first E / G experts read
    the first of these, and so on; one for each expert where G is E.
    Output: [B, E, units[-1]].

    Raises:
        ValueError: if the number of inputs does not divide the number of experts.

    Example:
        >>> import numpy as np
        >>> from mtl_models import Experts
        >>> tuple(Experts(experts=4, units=(8, 2))(np.ones((3, 5), "float32")).shape)
        (3, 4, 2)
    """

    def __init__(self, experts: int, units: tuple[int, ...], dropout: float = 0.0, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.experts = experts
        self.units = tuple(units)
        self.dropout_rate = dropout
        self.seed = seed
        self.dropouts = [
            Dropout(dropout, seed=derive_seed(seed, "dropout", i), dtype=self.dtype_policy)
            for i in range(len(self.units))
        ]

    def build(self, input_shape):
        if len(input_shape) == 3 and self.experts % input_shape[1]:
            raise ValueError(
                f"Experts: input {input_shape} has {input_shape[1]} inputs for {self.experts} experts"
            )
        self.kernels, self.biases = [], []
        width = input_shape[-1]
        for i, units in enumerate(self.units):
            self.kernels.append(
                self.add_weight(
                    (self.experts, width, units),
                    name=f"kernel_{i}",
                    initializer=StackedInitializer("he_normal", derive_seed(self.seed, "kernel", i)),
                )
            )
            self.biases.append(self.add_weight((self.experts, units), name=f"bias_{i}", initializer="zeros"))
            width = units
        self.built = True

    @property
    def first_kernel(self):
        """[E, D, units[0]]; None without units. See `joint_products`."""
        return self.kernels[0] if self.units else None

    def call(self, x, product=None, training=None):
        """The experts' outputs; `product` [B, E, units[0]]: of `x` and the first kernel, where it is known."""
        if not self.units:
            x = ops.expand_dims(x, 1) if len(x.shape) == 2 else x
            return ops.repeat(x, self.experts // x.shape[1], axis=1)
        for kernel, bias, dropout in zip(self.kernels, self.biases, self.dropouts):
            product = self._product(x, kernel) if product is None else product
            x, product = dropout(ops.relu(product + bias), training=training), None
        return x

    def _product(self, x, kernel):
        if len(x.shape) == 2:
            return ops.einsum("bd,edu->beu", x, kernel)
        groups = x.shape[1]
        if groups == self.experts:
            return ops.einsum("bed,edu->beu", x, kernel)
        kernel = ops.reshape(kernel, (groups, self.experts // groups, *kernel.shape[1:]))
        product = ops.einsum("bgd,gedu->bgeu", x, kernel)
        return ops.reshape(product, (-1, self.experts, kernel.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.experts, self.units[-1] if self.units else input_shape[-1])

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "experts": self.experts,
            "units": self.units,
            "dropout": self.dropout_rate,
            "seed": self.seed,
        }

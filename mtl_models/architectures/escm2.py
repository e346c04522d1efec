import keras
from keras import ops

from mtl_models.architectures._chain import sampling_shift, weight_in_all_data
from mtl_models.architectures.esmm import ESMM
from mtl_models.layers.experts import Experts
from mtl_models.losses.weighted_mean import weighted_mean
from mtl_models.seeds import derive_seed


@keras.saving.register_keras_serializable("mtl_models")
class ESCM2(ESMM):
    """Entire-space counterfactual model (Wang et al. 2022): `ESMM` whose second tower learns from clicks too.

    `ESMM` sees p(conversion | click) only through the product, and rates it too high. Here the loss gains
    λ times the risk of that tower over all rows, had all been clicked, estimated from those that were. With
    `o` the click, `e` the tower's cross-entropy and `ô` the predicted p(click), the propensity:

    - "ips": `mean(o e / ô)`;
    - "dr": `mean(ê + o (e − ê) / ô) + mean(o (e − ê)² / ô)`, `ê` from an imputation tower that reads the
      conversion task's features and is trained by the second term. It is right where either `ô` or `ê` is,
      and varies less.

    Means are over the rows where both tasks are known, with the conversion's weights; `ô` is at least
    `min_propensity` and takes no gradient. The global risk is the conversion task's own loss. Use it in
    place of `ESMM` where p(conversion | click) itself is needed, or clicks are rare.

    Args:
        chain: the click task and the conversion task, both binary, the second's label being that both
            happened; empty: the two tasks in their order.
        units: width of each layer of a task's perceptron.
        dropout: share of each layer's outputs that training sets to 0.
        estimator: "ips" (inverse propensity score) or "dr" (doubly robust).
        counterfactual_weight: λ.
        min_propensity: least propensity; a clicked row counts at most 1 over this.
        imputation_units: width of each layer of the imputation tower.

    Input: [B, D]. Output: [B, T, units[-1]].

    Raises:
        ValueError: if the estimator is unknown or a setting is out of its bounds; from `bind`, where the
            chain does not name two binary tasks.

    Example:
        >>> import numpy as np
        >>> from mtl_models import ESCM2, Task
        >>> layer = ESCM2(units=(8,), estimator="ips", counterfactual_weight=1.0)
        >>> layer.bind([Task("click", "binary"), Task("purchase", "binary")], seed=0)
        >>> layer.build((None, 5))
        >>> features = layer(np.ones((2, 5), "float32"))
        >>> logits, clicked, bought = np.zeros(2), np.array([1, 0]), np.array([0, 0])
        >>> columns = [[np.float32(a) for a in pair] for pair in ([logits, logits], [clicked, bought])]
        >>> risk = layer.penalty(features, *columns, [np.ones(2, "float32")] * 2)
        >>> bool(np.isclose(risk, np.log(2)))  # one of two was clicked, at odds of one half
        True
    """

    BOUNDS = {
        "units": (1, 100_000),
        "dropout": (0.0, 0.99),
        "counterfactual_weight": (0.0, None),
        "min_propensity": (1e-6, 1.0),
        "imputation_units": (1, 100_000),
    }

    def __init__(
        self,
        chain: tuple[str, ...] = (),
        units: tuple[int, ...] = (128, 64),
        dropout: float = 0.0,
        estimator: str = "dr",
        counterfactual_weight: float = 0.1,
        min_propensity: float = 0.05,
        imputation_units: tuple[int, ...] = (32,),
        **kwargs,
    ):
        self.estimator = estimator
        self.counterfactual_weight = counterfactual_weight
        self.min_propensity = min_propensity
        self.imputation_units = tuple(imputation_units)
        super().__init__(chain, units, dropout, **kwargs)
        if estimator not in ("ips", "dr"):
            raise ValueError(f"ESCM2: estimator '{estimator}' is not one of 'ips', 'dr'")

    def bind(self, tasks, seed):
        super().bind(tasks, seed)
        if len(self.order) != 2:
            raise ValueError(
                f"ESCM2: chain must name two tasks, click and conversion; it is "
                f"{[self.task_names[i] for i in self.order]}, of the tasks {list(self.task_names)}"
            )

    def build(self, input_shape):
        super().build(input_shape)
        if self.estimator == "dr":
            self.imputation = Experts(
                1,
                self.imputation_units,
                seed=derive_seed(self.seed, "imputation"),
                name="imputation",
                dtype=self.dtype_policy,
            )
            self.imputation_head = keras.layers.Dense(
                1,
                kernel_initializer=keras.initializers.GlorotUniform(
                    derive_seed(self.seed, "imputation_head")
                ),
                name="imputation_head",
                dtype=self.dtype_policy,
            )
            width = self.units[-1] if self.units else input_shape[-1]
            self.imputation.build((None, width))
            self.imputation_head.build((None, self.imputation_units[-1] if self.imputation_units else width))

    def penalty(self, features, outputs, labels, weights):
        click, conversion = self.order
        clicked = labels[click]
        error = _cross_entropy(outputs[conversion], labels[conversion])
        propensity = ops.sigmoid(outputs[click] + sampling_shift(self.tasks[click]))
        propensity = ops.stop_gradient(ops.maximum(propensity, self.min_propensity))
        weight = weight_in_all_data(self.tasks[conversion], labels[conversion], weights[conversion])
        both_known = ops.where(weights[click] > 0, weight, ops.zeros_like(weight))
        if self.estimator == "ips":
            risk = clicked * error / propensity
        else:
            # an error is at least 0, and so is its imputation
            hidden = self.imputation(features[:, conversion])[:, 0]
            imputed = ops.softplus(ops.cast(self.imputation_head(hidden)[:, 0], "float32"))
            excess = error - imputed
            risk = imputed + clicked * (excess + ops.square(excess)) / propensity
        return self.counterfactual_weight * weighted_mean(risk, both_known)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "estimator": self.estimator,
            "counterfactual_weight": self.counterfactual_weight,
            "min_propensity": self.min_propensity,
            "imputation_units": self.imputation_units,
        }


def _cross_entropy(logit, label):
    return ops.softplus(logit) - label * logit

import dataclasses

import keras
from keras import ops

from mtl_models.architectures._chain import chain_indices, sampling_shift
from mtl_models.architectures.single_task import SingleTask

_GREATEST_START = 0.99  # of p(y_k | y_{k-1}): beyond, a tower would start where it hardly learns


@keras.saving.register_keras_serializable("mtl_models")
class ESMM(SingleTask):
    """Entire-space multi-task model (Ma et al. 2018): a later task is everything before it, and then it.

    The tower of the first task of the chain gives `p(y_1 | x)`, each later one `p(y_k | y_{k-1}, x)`, and a
    task's output is the product up to it (eq. 1, for any number of steps): its label says that all of it
    happened, and is known for every row, not only where the step before happened. So it is trained, and
    calibrated, over all impressions. Perceptrons are each task's own, embeddings shared (figure 2). Where
    both tasks have a base rate (`Task.offset`), the later tower starts at the ratio of the two, so that the
    product starts at the later one's. Use it for events that can only follow one another (click, then
    purchase).

    `couple` gives the product's logit, `log pq − log((1 − p) + p (1 − q))`, in logarithms throughout:
    right, as its gradients are, where probabilities round to 0 or 1. Where a task was trained on sampled
    negatives, factors are those of all data.

    Args:
        chain: binary tasks in the order in which they happen; empty: all tasks in their order.
        units: width of each layer of a task's perceptron.
        dropout: share of each layer's outputs that training sets to 0.

    Input: [B, D]. Output: [B, T, units[-1]].

    Raises:
        ValueError: from `bind`, where the chain does not fit the tasks; if a setting is out of its bounds.

    Example:
        >>> import numpy as np
        >>> from mtl_models import ESMM, Task
        >>> layer = ESMM(chain=("click", "purchase"), units=(8,))
        >>> layer.bind([Task("click", "binary"), Task("purchase", "binary")], seed=0)
        >>> logits = [np.zeros(1, "float32"), np.zeros(1, "float32")]
        >>> click, purchase = (1 / (1 + np.exp(-np.asarray(a))) for a in layer.couple(logits))
        >>> float(click[0]), round(float(purchase[0]), 6)
        (0.5, 0.25)
    """

    BOUNDS = {"units": (1, 100_000), "dropout": (0.0, 0.99)}

    def __init__(
        self,
        chain: tuple[str, ...] = (),
        units: tuple[int, ...] = (128, 64),
        dropout: float = 0.0,
        **kwargs,
    ):
        self.chain = tuple(chain)
        super().__init__(units, dropout, **kwargs)

    def bind(self, tasks, seed):
        super().bind(tasks, seed)
        self.order = chain_indices(type(self).__name__, self.chain, tasks)

    def tower_tasks(self):
        """Each later task with the rate at which it follows the one before, where both rates are known."""
        found = list(self.tasks)
        for earlier, later in zip(self.order, self.order[1:]):
            rates = [_rate_in_all_data(self.tasks[i]) for i in (earlier, later)]
            if None not in rates:
                # labels that are not known of the same rows may make it more than 1
                following = min(rates[1] / rates[0], _GREATEST_START)
                found[later] = dataclasses.replace(self.tasks[later], offset=following)
        return tuple(found)

    def couple(self, outputs, side=None):
        coupled = list(outputs)
        product = None
        for i in self.order:
            shift = sampling_shift(self.tasks[i])
            product = outputs[i] + shift if product is None else _log_odds_of_both(product, outputs[i])
            coupled[i] = product - shift
        return coupled

    def get_config(self) -> dict:
        return {**super().get_config(), "chain": self.chain}


def _rate_in_all_data(task):
    """The base rate of a task whose negatives may have been sampled; None where it has none."""
    if task.offset is None:
        return None
    kept = task.negatives_kept or 1.0
    return task.offset / (task.offset + (1.0 - task.offset) / kept)


def _log_odds_of_both(a, b):
    """The logit of `p q = σ(a) σ(b)`, of which the rest is `(1 − p) + p (1 − q)`."""
    log_p = ops.log_sigmoid(a)
    # not logaddexp, whose gradient in TensorFlow is wrong where both are equal
    rest = ops.logsumexp(ops.stack([ops.log_sigmoid(-a), log_p + ops.log_sigmoid(-b)]), axis=0)
    return log_p + ops.log_sigmoid(b) - rest

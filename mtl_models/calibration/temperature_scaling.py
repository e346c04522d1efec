import math

import keras
import numpy as np
from keras import ops
from scipy import optimize
from scipy.special import logsumexp

from mtl_models.calibration._base import Calibrator, CannotCalibrate, known_rows

LEAST, GREATEST = 0.05, 20.0


@keras.saving.register_keras_serializable("mtl_models")
class TemperatureScaling(Calibrator):
    """Logits divided by one number T, which has the least log loss.

    Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks" (ICML 2017), section 4.2:
    `p = softmax(z / T)` of a multiclass task, `σ(z / T)` of a binary one, and of an ordinal one
    `P(y > k) = σ(z_k / T)`. T above 1 takes back confidence. It moves no prediction across ½, and so mends no
    base rate: for events that are rare, Platt scaling is the better choice.

    Args:
        temperature: T, above 0.

    Input: [B], or [B, K] of classes. Output: the same shape.

    Raises:
        ValueError: if the temperature is not above 0 and finite.
        CannotCalibrate: from `fit`, also where no T from 0.05 to 20 is best: predictions say nothing of the
            labels, or everything.

    Example:
        >>> layer = TemperatureScaling.fit([-4.0, -4.0, 4.0, 4.0], [0, 1, 1, 1])
        >>> z = layer.temperature * np.array([1.0])
        >>> np.asarray(layer(z)).tolist()
        [1.0]
    """

    method = "temperature"
    kinds = ("binary", "multiclass", "ordinal")

    def __init__(self, temperature: float, **kwargs):
        super().__init__(**kwargs)
        self.temperature = float(temperature)
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"TemperatureScaling: temperature {temperature} must be above 0 and finite")

    @classmethod
    def fit(cls, logits, labels, weights=None, kind: str = "binary") -> "TemperatureScaling":
        rows = known_rows(logits, labels, weights)
        losses = _LOG_LOSSES[kind]
        found = optimize.minimize_scalar(
            lambda log_t: rows.weights @ losses(rows.logits / math.exp(log_t), rows.labels),
            bounds=(math.log(LEAST), math.log(GREATEST)),
            method="bounded",
            options={"xatol": 1e-9},
        )
        temperature = math.exp(found.x)
        if not LEAST * 1.001 < temperature < GREATEST / 1.001:
            raise CannotCalibrate(
                f"no temperature from {LEAST:g} to {GREATEST:g} is best: predictions say "
                + ("nothing of the labels" if temperature > 1 else "all of the labels")
            )
        return cls(temperature)

    def call(self, logits):
        return ops.cast(logits, "float32") / self.temperature

    @property
    def parameters(self) -> dict:
        return {"temperature": self.temperature}

    def get_config(self) -> dict:
        return {**super().get_config(), **self.parameters}


def _binary(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, z) - labels * z


def _multiclass(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return logsumexp(z, axis=1) - np.take_along_axis(z, labels.astype(np.int64)[:, None], axis=1)[:, 0]


def _ordinal(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`−log(σ(a) − σ(b))`, a and b the logits of P(y > k − 1) and P(y > k), without their difference."""
    ends = np.full((len(z), 1), np.inf)
    z, k = np.concatenate([ends, z, -ends], axis=1), labels.astype(np.int64)[:, None]
    a, b = (np.take_along_axis(z, at, axis=1)[:, 0] for at in (k, k + 1))
    between = np.maximum(-np.expm1(b - a), np.finfo(np.float64).tiny)
    return np.logaddexp(0.0, -a) + np.logaddexp(0.0, b) - np.log(between)


_LOG_LOSSES = {"binary": _binary, "multiclass": _multiclass, "ordinal": _ordinal}

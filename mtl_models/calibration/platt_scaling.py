import math

import keras
import numpy as np
from keras import ops
from scipy import optimize
from scipy.special import expit

from mtl_models.calibration._base import Calibrator, CannotCalibrate, known_rows


@keras.saving.register_keras_serializable("mtl_models")
class PlattScaling(Calibrator):
    """`p = σ(a z + b)`: a logistic regression of the labels on the logit z.

    Platt, "Probabilistic outputs for support vector machines" (1999), eq. 1 with the sign of a turned round:
    a and b have the greatest likelihood, labels 0 and 1 taken for `1 / (N₋ + 2)` and `(N₊ + 1) / (N₊ + 2)`.
    Two numbers, so few rows are enough; it mends a base rate and logits that are too steep or too flat, and
    nothing else.

    Args:
        slope: a, above 0.
        intercept: b.

    Input: [B]. Output: [B].

    Raises:
        ValueError: if the slope is not above 0 or a number is not finite.
        CannotCalibrate: from `fit`, also where a would not be above 0: predictions that are greater go with
            fewer positives, and turning them round would turn the ranking round.

    Example:
        >>> round(PlattScaling.fit([-1.0, 0.0, 0.0, 1.0] * 100, [0, 0, 1, 1] * 100).slope, 3)
        5.303
    """

    method = "platt"

    def __init__(self, slope: float, intercept: float, **kwargs):
        super().__init__(**kwargs)
        self.slope, self.intercept = float(slope), float(intercept)
        if not (0 < self.slope < math.inf and math.isfinite(self.intercept)):
            raise ValueError(
                f"PlattScaling: slope must be above 0 and intercept finite; they are {slope} and {intercept}"
            )

    @classmethod
    def fit(cls, logits, labels, weights=None, kind: str = "binary") -> "PlattScaling":
        rows = known_rows(logits, labels, weights)
        center, spread = rows.logits.mean(), rows.logits.std()
        if not spread > 0:
            raise CannotCalibrate("its predictions are all the same")
        # of like size, so that Newton's steps are well conditioned
        columns = np.stack([(rows.logits - center) / spread, np.ones(len(rows.logits))], axis=1)
        low, high = rows.targets()
        targets = np.where(rows.labels > 0.5, high, low)
        shares = rows.weights / rows.weights.sum()

        def loss(ab):
            z = columns @ ab
            return shares @ (np.logaddexp(0.0, z) - targets * z)

        def gradient(ab):
            return columns.T @ (shares * (expit(columns @ ab) - targets))

        def curvature(ab):
            p = expit(columns @ ab)
            return (columns * (shares * p * (1.0 - p))[:, None]).T @ columns

        start = np.array([spread, center])  # a = 1, b = 0
        found = optimize.minimize(
            loss, start, jac=gradient, hess=curvature, method="trust-exact", options={"gtol": 1e-7}
        ).x
        slope = found[0] / spread
        if not slope > 0:
            raise CannotCalibrate(
                f"greater predictions go with fewer positives (slope {slope:.3g}), and a slope below 0 would "
                "turn the ranking round"
            )
        return cls(slope, found[1] - slope * center)

    def call(self, logits):
        return self.slope * ops.cast(logits, "float32") + self.intercept

    @property
    def parameters(self) -> dict:
        return {"slope": self.slope, "intercept": self.intercept}

    def get_config(self) -> dict:
        return {**super().get_config(), **self.parameters}

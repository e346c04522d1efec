import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit, logit

from mtl_models.calibration._base import Calibrator, CannotCalibrate, known_rows


@keras.saving.register_keras_serializable("mtl_models")
class IsotonicCalibration(Calibrator):
    """The increasing function that is nearest the labels, made continuous: through its blocks' centres.

    Zadrozny & Elkan, "Transforming classifier scores into accurate multiclass probability estimates" (KDD
    2002), section 3.2: rows in the order of their predictions are pooled until each block has a greater share
    of positives than the one before (pool adjacent violators). The step function that this gives ties all
    rows of a block, which lowers AUC and GAUC; so here it is a straight line, on the logit scale, from the
    centre z_i of each block (its mean prediction) to that of the next, `c_i + (z - z_i) (c_{i+1} - c_i) /
    (z_{i+1} - z_i)`, and goes on with slope 1 beyond the first and the last. It is strictly increasing: ranks
    stay as they are.

    `fit` pools rows into √N groups of like weight first, so that no block, at the ends above all, is of a few
    rows by chance, and takes labels 0 and 1 for Platt's targets, so that no block is certain. It mends any
    increasing error of predictions, and wants some thousands of rows.

    Args:
        logits: of the blocks' centres, ascending as float32, [M].
        calibrated: the calibrated logits there, ascending alike, [M].

    Input: [B]. Output: [B].

    Raises:
        ValueError: if there are none, they differ in number, do not ascend or are not finite.
        CannotCalibrate: from `fit`, also where all rows are one block: greater predictions do not go with
            more positives.

    Example:
        >>> layer = IsotonicCalibration([-1.0, 1.0], [-3.0, 0.0])
        >>> np.asarray(layer(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))).tolist()
        [-4.0, -3.0, -1.5, 0.0, 1.0]
    """

    method = "isotonic"

    def __init__(self, logits: Sequence[float], calibrated: Sequence[float], **kwargs):
        super().__init__(**kwargs)
        self.logits = tuple(float(v) for v in logits)
        self.calibrated = tuple(float(v) for v in calibrated)
        x, y = (np.asarray(v, "float32") for v in (self.logits, self.calibrated))
        if not len(x) == len(y) > 0:
            raise ValueError(f"IsotonicCalibration: {len(x)} logits and {len(y)} calibrated are no pairs")
        for name, values in (("logits", x), ("calibrated", y)):
            if not np.isfinite(values).all() or not (np.diff(values) > 0).all():
                raise ValueError(f"IsotonicCalibration: {name} must be finite and ascend (as float32)")
        # of each segment, those beyond the ends too: where it starts, from what, how steep, how high at most
        self._knots = x
        self._from_x, self._from_y = np.r_[x[0], x], np.r_[y[0], y]
        self._slopes = np.r_[1.0, np.diff(y) / np.diff(x), 1.0].astype("float32")
        self._at_most = np.r_[y, np.inf].astype("float32")

    @classmethod
    def fit(cls, logits, labels, weights=None, kind: str = "binary") -> "IsotonicCalibration":
        rows = known_rows(logits, labels, weights)
        low, high = rows.targets()
        distinct, at = np.unique(rows.logits, return_inverse=True)  # equal predictions stay together
        weight_of = np.bincount(at, rows.weights)
        groups = math.ceil(math.sqrt(rows.weights.sum()))
        middle = (np.cumsum(weight_of) - weight_of / 2) / weight_of.sum()
        _, group = np.unique(np.floor(middle * groups), return_inverse=True)
        # sums of weight, of labels, and of the predictions and what they lack to 1
        sums = np.stack(
            [
                np.bincount(group, part)
                for part in (
                    weight_of,
                    np.bincount(at, rows.weights * rows.labels),
                    weight_of * expit(distinct),
                    weight_of * expit(-distinct),
                )
            ]
        )
        blocks = isotonic_regression(sums[1] / sums[0], weights=sums[0]).blocks
        weight, positive, p, q = np.add.reduceat(sums, blocks[:-1], axis=1)
        if len(weight) < 2:
            raise CannotCalibrate(
                "greater predictions do not go with more positives, and one value for all would end the "
                "ranking"
            )
        p, q = np.maximum(p, q * 1e-300), np.maximum(q, p * 1e-300)  # of a block of certain predictions
        centres, calibrated = np.log(p / q), logit(low + positive / weight * (high - low))
        # lines between wide blocks are not at their share on average: all are moved, a little at most, until
        # predictions add up
        lines, mean = (
            _lines(centres, calibrated, distinct),
            low + positive.sum() / weight.sum() * (high - low),
        )

        def excess(move: float) -> float:
            return weight_of @ expit(lines + move) / weight_of.sum() - mean

        if excess(-1.0) < 0 < excess(1.0):
            calibrated += brentq(excess, -1.0, 1.0)
        centres, calibrated = centres.astype("float32"), calibrated.astype("float32")
        apart = np.r_[True, (np.diff(centres) > 0) & (np.diff(calibrated) > 0)]
        return cls(centres[apart].tolist(), calibrated[apart].tolist())

    def call(self, logits):
        z = ops.cast(logits, "float32")
        segment = ops.searchsorted(self._knots, z, side="right")
        start, base, slope, most = (
            ops.take(values, segment) for values in (self._from_x, self._from_y, self._slopes, self._at_most)
        )
        # rounding must not lift a segment's end above the next one's start
        return ops.minimum(base + slope * (z - start), most)

    @property
    def parameters(self) -> dict:
        return {"blocks": len(self.logits)}

    def get_config(self) -> dict:
        return {**super().get_config(), "logits": self.logits, "calibrated": self.calibrated}


def _lines(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What lines through the points (x, y) come to at `at`, with slope 1 beyond them."""
    beyond = np.minimum(at - x[0], 0.0) + np.maximum(at - x[-1], 0.0)
    return np.interp(at, x, y) + beyond

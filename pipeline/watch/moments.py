"""Mean and covariance of vectors, and how far those of two sets are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Of longer vectors only each number's own variance is kept: a covariance of 1,536² float64 is 19 MB.
WHOLE = 1536
# A number whose standard deviation is below this share of the average one says nothing.
DEAD = 1e-4
_ROUNDING = 1e-12  # of squares: vectors that differ by less are the same


@dataclass
class Moments:
    """Of weighted vectors.

    Attributes:
      weight: the sum of weights.
      mean: float64 `[D]`.
      scatter: Σ w·(x − mean)(x − mean)ᵀ, float64 `[D, D]`; its diagonal `[D]` where D is above `WHOLE`.
      squares: the sum of the weights' squares.
    """

    weight: float
    mean: np.ndarray
    scatter: np.ndarray
    squares: float

    @classmethod
    def none(cls, dimension: int) -> Moments:
        """Of no vector."""
        shape = (dimension, dimension) if dimension <= WHOLE else (dimension,)
        return cls(0.0, np.zeros(dimension), np.zeros(shape), 0.0)

    def add(self, vectors: np.ndarray, weights: np.ndarray) -> None:
        """Adds float `[rows, D]` with weights `[rows]`."""
        weight = float(weights.sum())
        if not weight:
            return
        mean = weights @ np.asarray(vectors, np.float64) / weight
        # about their own mean they are small, so that products of float32 lose nothing that matters
        off = (vectors - mean).astype(np.float32) * np.sqrt(weights, dtype=np.float32)[:, None]
        scatter = off.T @ off if self.scatter.ndim == 2 else np.square(off).sum(0)
        self.merge(Moments(weight, mean, scatter.astype(np.float64), float(np.square(weights).sum())))

    def merge(self, other: Moments) -> None:
        """Adds another set's (Chan, Golub & LeVeque 1983)."""
        weight = self.weight + other.weight
        if not weight:
            return
        apart = other.mean - self.mean
        product = np.outer(apart, apart) if self.scatter.ndim == 2 else np.square(apart)
        self.scatter = self.scatter + other.scatter + product * (self.weight * other.weight / weight)
        self.mean = self.mean + apart * (other.weight / weight)
        self.weight, self.squares = weight, self.squares + other.squares

    @property
    def covariance(self) -> np.ndarray:
        """`[D, D]`, or the variances `[D]` of longer vectors."""
        return self.scatter / max(self.weight, 1e-300)

    @property
    def variances(self) -> np.ndarray:
        """`[D]`."""
        return np.diag(self.covariance) if self.scatter.ndim == 2 else self.covariance

    @property
    def effective(self) -> float:
        """How many vectors of one weight would be as good (Kish 1965)."""
        return self.weight**2 / max(self.squares, 1e-300)

    @property
    def dead(self) -> np.ndarray:
        """Which numbers are the same in all vectors, or as good as: bool `[D]`."""
        least = np.maximum(DEAD**2 * self.variances.mean(), _ROUNDING * np.square(self.mean))
        return self.variances <= least


class Shift(NamedTuple):
    """How far vectors have moved: their means, and their covariances."""

    mean: float
    covariance: float

    @property
    def total(self) -> float:
        return self.mean + self.covariance


def shift(of: Moments, reference: Moments) -> Shift | None:
    """How far vectors have moved from a reference: d² / tr Σ₂, where d is the Fréchet distance of normal
    distributions with the two means and covariances,

        d² = |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½)

    (Dowson & Landau 1982; of Inception's vectors it is the FID of Heusel et al. 2017), and tr Σ₂ the
    reference's total variance. 0 is the same mean and covariance; where the covariance is the same, 1 is a
    mean that moved by the reference's whole spread. Both need the same dimension.

    Few vectors of many numbers span few directions, and covariances of two such sets of the same kind look
    far apart. So each is moved towards a sphere first, (1 − ρ) Σ + ρ (tr Σ / D) I, by the oracle
    approximating shrinkage (Chen, Wiesel, Eldar & Hero 2010), whose ρ goes to 0 with more vectors.
    Variances alone, of vectors longer than `WHOLE`, are taken as they are.

    Returns:
      Both terms, each over tr Σ₂. None where it has no value: one has no vectors, or the reference's are all
      the same and these are not.
    """
    if not of.weight or not reference.weight:
        return None
    one, two = of.covariance, reference.covariance
    if one.ndim == 1:
        spread = np.square(np.sqrt(one) - np.sqrt(two)).sum()
    else:
        one, two = _shrunk(one, of.effective), _shrunk(two, reference.effective)
        # the trace of (Σ₁^½ Σ₂ Σ₁^½)^½ is the sum of the singular values of Σ₁^½ Σ₂^½
        common = np.linalg.svd(_root(one) @ _root(two), compute_uv=False).sum()
        spread = np.trace(one) + np.trace(two) - 2 * common
    apart, spread = float(np.square(of.mean - reference.mean).sum()), max(float(spread), 0.0)
    total, rounding = float(reference.variances.sum()), _ROUNDING * float(np.square(reference.mean).sum())
    if total <= rounding:
        return None if apart + spread > rounding else Shift(0.0, 0.0)
    return Shift(round(apart / total, 9), round(spread / total, 9))  # what is below is rounding


def _shrunk(covariance: np.ndarray, vectors: float) -> np.ndarray:
    """Of so many vectors. 2/D beside 1 is left out of the formula, as in scikit-learn's OAS."""
    long, trace = len(covariance), float(np.trace(covariance))
    square = float(np.square(covariance).sum())
    below = (vectors + 1) * (square - trace**2 / long)
    part = min((square + trace**2) / below, 1.0) if below > 0 else 1.0
    return (1 - part) * covariance + part * trace / long * np.eye(long)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T

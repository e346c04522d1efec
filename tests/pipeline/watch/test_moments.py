"""Mean, covariance and shift, against NumPy, SciPy and closed forms."""

import numpy as np
import pytest
import scipy.linalg
from sklearn.covariance import OAS

from pipeline.watch import moments
from pipeline.watch.moments import Moments, shift

DRAW = np.random.default_rng(5)


def of(vectors, weights=None, batch=7):
    found = Moments.none(vectors.shape[1])
    weights = np.ones(len(vectors)) if weights is None else weights
    for start in range(0, len(vectors), batch):
        found.add(vectors[start : start + batch], weights[start : start + batch])
    return found


def normal(rows, mean, covariance):
    return DRAW.multivariate_normal(mean, covariance, rows).astype(np.float32)


def test_mean_and_covariance_of_batches_are_those_of_all_rows():
    x = (DRAW.normal(size=(100, 5)) * [1, 2, 3, 4, 0] + 1000).astype(np.float32)
    weights = DRAW.integers(0, 5, 100).astype(float)
    found = of(x, weights)
    np.testing.assert_allclose(found.mean, np.average(x, axis=0, weights=weights), rtol=1e-9)
    expected = np.cov(x.T.astype(float), aweights=weights, ddof=0)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-4)
    assert found.dead.tolist() == [False, False, False, False, True]
    assert of(x[:0]).weight == 0 and of(np.full((99, 3), 0.1, np.float32)).dead.all()


def test_shift_is_the_frechet_distance_over_the_total_variance(monkeypatch):
    mixed = DRAW.normal(size=(4, 4))
    x, y = normal(300, np.zeros(4), mixed @ mixed.T), normal(300, [1, 0, 0, 2], np.diag([1, 4, 9, 1]))
    one, two = np.cov(x.T, ddof=0), np.cov(y.T, ddof=0)
    mean = np.square(x.mean(0, dtype=float) - y.mean(0, dtype=float)).sum()
    near = [OAS().fit(z.astype(float)).covariance_ for z in (x, y)]
    product = scipy.linalg.sqrtm(near[0] @ near[1]).real  # as FID is usually computed
    found = shift(of(x), of(y))
    assert found.mean == pytest.approx(mean / np.trace(two), rel=1e-4)
    spread = np.trace(near[0] + near[1] - 2 * product)
    assert found.covariance == pytest.approx(spread / np.trace(two), rel=1e-4)
    assert found.total == pytest.approx((mean + spread) / np.trace(two), rel=1e-4)
    assert shift(of(x), of(x)).total == pytest.approx(0, abs=1e-6)
    monkeypatch.setattr(moments, "WHOLE", 3)
    spread = np.square(np.sqrt(np.diag(one)) - np.sqrt(np.diag(two))).sum()
    assert shift(of(x), of(y)).total == pytest.approx((mean + spread) / np.trace(two), rel=1e-4)


def test_few_vectors_of_many_numbers_are_not_far_from_others_of_their_kind():
    sizes = 1 / np.sqrt(1 + np.arange(99))
    x, y, z = (np.float32(DRAW.normal(size=(40, 99)) * sizes * f) for f in (1, 1, 3))
    one, two = (np.cov(v.T.astype(float), ddof=0) for v in (x, y))
    apart = np.trace(one + two - 2 * scipy.linalg.sqrtm(one @ two).real) / np.trace(two)
    assert shift(of(x), of(y)).covariance < apart / 2
    assert shift(of(z), of(y)).covariance > 3 * shift(of(x), of(y)).covariance
    heavy = np.r_[np.full(39, 1e-3), 1]
    assert of(x).effective == 40 and of(x, heavy).effective == pytest.approx(1, rel=0.1)


def test_shift_says_what_moved_and_nothing_of_scale():
    x = normal(1000, np.zeros(3), np.eye(3))
    moved = x + np.float32(1)  # √3 away: the root of the total variance
    assert shift(of(moved), of(x)).mean == pytest.approx(1, rel=0.1)
    assert shift(of(moved), of(x)).covariance == pytest.approx(0, abs=1e-6)
    assert shift(of(100 * moved), of(100 * x)).total == pytest.approx(shift(of(moved), of(x)).total, rel=1e-3)
    turned = x.copy()
    turned[:, 0] = x[:, 1]  # the same means and variances; two numbers are now one
    assert shift(of(turned), of(x)).covariance > 0.1 > 0.01 > shift(of(turned), of(x)).mean


def test_shift_without_a_value():
    same = np.full((50, 2), 0.1, np.float32)
    assert shift(of(same), of(same)).total == 0
    assert shift(of(2 * same), of(same)) is None
    assert shift(of(same), of(same[:0])) is None

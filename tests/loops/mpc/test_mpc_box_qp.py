"""Quadratic programs in boxes against SciPy, and against every way to hold coordinates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from surrogate_opt.loops.mpc.box_qp import box_qp


def problems(m: int, num: int = 40, seed: int = 0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(num, m + 2, m)) * 10.0 ** rng.uniform(-1.0, 1.0, (num, 1, m))
    hessian = root.swapaxes(1, 2) @ root
    gradient = 5.0 * rng.normal(size=(num, m)) * np.sqrt(np.diagonal(hessian, axis1=1, axis2=2))
    lower = -rng.uniform(0.0, 2.0, (num, m))
    return root, hessian, gradient, lower, lower + rng.uniform(0.1, 3.0, (num, m))


@pytest.mark.parametrize("m", [1, 2, 3, 6])
def test_agrees_with_scipy(m):
    _, hessian, gradient, lower, upper = problems(m)
    x, free = box_qp(hessian, gradient, lower, upper)
    held = 0
    for i in range(len(x)):
        root = np.linalg.cholesky(hessian[i])
        truth = lsq_linear(
            root.T, -np.linalg.solve(root, gradient[i]), bounds=(lower[i], upper[i]), tol=1e-15
        ).x

        def value(at, i=i):
            return at @ hessian[i] @ at / 2 + gradient[i] @ at

        assert value(x[i]) <= value(truth) + 1e-9 * (1 + abs(value(truth)))
        held += np.sum(~free[i])
        slope = hessian[i] @ x[i] + gradient[i]
        assert np.abs(slope[free[i]]).max(initial=0.0) < 1e-9 * np.abs(gradient[i]).max()
        at_bound = np.where(slope > 0, x[i] == lower[i], x[i] == upper[i])
        assert at_bound[~free[i]].all()
    assert 0 < held < x.size


def test_agrees_with_the_best_of_all_active_sets():
    _, hessian, gradient, lower, upper = problems(2, num=30, seed=1)
    x, _ = box_qp(hessian, gradient, lower, upper)
    for i in range(len(x)):
        values = []
        for choice in itertools.product((None, 0, 1), repeat=2):
            at = np.array([0.0 if c is None else (lower[i, j], upper[i, j])[c] for j, c in enumerate(choice)])
            open_ = [j for j, c in enumerate(choice) if c is None]
            if open_:
                slope = gradient[i] + hessian[i] @ at
                at[open_] -= np.linalg.solve(hessian[i][np.ix_(open_, open_)], slope[open_])
            if ((at >= lower[i] - 1e-12) & (at <= upper[i] + 1e-12)).all():
                values.append(at @ hessian[i] @ at / 2 + gradient[i] @ at)
        assert x[i] @ hessian[i] @ x[i] / 2 + gradient[i] @ x[i] == pytest.approx(
            min(values), rel=1e-9, abs=1e-12
        )


def test_a_batch_is_its_rows():
    _, hessian, gradient, lower, upper = problems(3)
    x, free = box_qp(hessian, gradient, lower, upper)
    for i in range(len(x)):
        rows = slice(i, i + 1)
        alone, alone_free = box_qp(hessian[rows], gradient[rows], lower[rows], upper[rows])
        np.testing.assert_allclose(alone[0], x[i], rtol=1e-8, atol=1e-10)
        np.testing.assert_array_equal(alone_free[0], free[i])

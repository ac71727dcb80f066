"""The functions handed to scipy.optimize, by SciPy's own checks and by Newton's method."""

from __future__ import annotations

import numpy as np
import pytest
from botorch.test_functions import Rosenbrock
from scipy.optimize import check_grad, minimize, rosen, rosen_der, rosen_hess_prod

from surrogate_opt.adapters import (
    as_differentiable,
    hessian_product_for_scipy,
    value_and_gradient_for_scipy,
)

MODEL = as_differentiable(Rosenbrock(dim=4))
STARTS = [np.zeros(4), np.ones(4), np.array([-1.2, 1.0, 0.5, 2.0])]


@pytest.mark.parametrize("x", STARTS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_value_and_gradient_are_a_float_and_float64(x, dtype):
    x = x.astype(dtype)
    value, gradient = value_and_gradient_for_scipy(MODEL)(x)
    assert type(value) is float
    assert type(gradient) is np.ndarray
    assert gradient.dtype == np.float64
    assert gradient.shape == (4,)
    assert value == pytest.approx(rosen(x.astype(float)))
    np.testing.assert_allclose(gradient, rosen_der(x.astype(float)), rtol=1e-12, atol=1e-12)


def test_scipys_gradient_check():
    function = value_and_gradient_for_scipy(MODEL)
    error = check_grad(lambda x: function(x)[0], lambda x: function(x)[1], STARTS[2])
    assert error < 1e-3  # forward differences of values up to 1e3


@pytest.mark.parametrize("x", STARTS, ids=str)
def test_hessian_product(x):
    product = hessian_product_for_scipy(MODEL)
    for p in (np.eye(4)[1], np.array([1.0, -2.0, 3.0, 0.5]), 1e-6 * np.ones(4), 1e6 * np.ones(4)):
        expected = rosen_hess_prod(x, p)
        np.testing.assert_allclose(product(x, p), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    assert product(x, np.zeros(4)).tolist() == [0.0] * 4


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-ncg", "Newton-CG"])
def test_scipy_minimizes_with_them(method):
    newton = {} if method == "L-BFGS-B" else {"hessp": hessian_product_for_scipy(MODEL)}
    result = minimize(
        value_and_gradient_for_scipy(MODEL), [1.3, 0.7, 0.8, 1.9], jac=True, method=method, **newton
    )
    np.testing.assert_allclose(result.x, np.ones(4), atol=1e-3)

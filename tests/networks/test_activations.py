"""Activations against torch's own functions and autograd, in both precisions, at 0, far out and at ties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogate_opt.errors import InputError
from surrogate_opt.networks import ACTIVATIONS, get_activation

COEFFICIENTS = torch.tensor([[0.3, -1.2, 0.7]], dtype=torch.float64)
TRUTHS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
    "poly": lambda z: 0.3 - 1.2 * z + 0.7 * z**2,
}
SATURATING = ("relu", "silu", "gelu", "softplus")  # slope 0 far to the left, 1 far to the right


def evaluate(name, z, order):
    activation = get_activation(name)
    coefficients = COEFFICIENTS.to(z.dtype) if activation.num_coefficients else None
    return activation.evaluate(z, order, coefficients)


def by_autograd(truth, z):
    z = z.double().clone().requires_grad_()
    value = truth(z)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    if not slope.requires_grad:
        return value.detach(), slope, torch.zeros_like(z)
    (curvature,) = torch.autograd.grad(slope.sum(), z, allow_unused=True)
    return value.detach(), slope.detach(), curvature


def test_every_activation_has_a_truth_here():
    assert set(TRUTHS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
def test_orders_agree_with_autograd(name, dtype, tolerance):
    # 0 and repeated values are on the grid; rounding of z itself scales with |z|
    z = torch.cat([torch.linspace(-30.0, 30.0, 481), torch.zeros(2)]).to(dtype).view(1, 1, -1)
    expected = by_autograd(TRUTHS[name], z)
    for order in (0, 1, 2):
        got = evaluate(name, z, order)
        for k in range(3):
            if k > order or (k == 2 and get_activation(name).piecewise_linear):
                assert got[k] is None
                continue
            assert got[k].dtype == dtype
            bound = tolerance * (1.0 + expected[k].abs())
            assert ((got[k].double() - expected[k]).abs() <= bound).all(), (order, k)


@pytest.mark.parametrize("name", ["tanh", *SATURATING])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [1e2 + 0.37, 1e4, 1e9, 1e18])
def test_far_out_the_derivatives_are_their_limits(name, dtype, size):
    z = torch.tensor([-size, size], dtype=dtype).view(1, 1, 2)
    value, slope, curvature = evaluate(name, z, 2)
    right = 0.0 if name == "tanh" else 1.0
    assert torch.isfinite(value).all()
    torch.testing.assert_close(slope, torch.tensor([[[0.0, right]]], dtype=dtype), rtol=0, atol=1e-6)
    if curvature is not None:
        torch.testing.assert_close(curvature, torch.zeros_like(z), rtol=0, atol=1e-6)


def test_relu_has_slope_zero_at_zero_as_in_torch():
    assert evaluate("relu", torch.tensor([[[-0.0, 0.0, 1e-300]]], dtype=torch.float64), 1)[1].tolist() == [
        [[0.0, 0.0, 1.0]]
    ]


@pytest.mark.parametrize("name", TRUTHS)
@given(shape=st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(0, 5)), order=st.integers(0, 2))
def test_shapes_stay_and_the_input_is_left_alone(name, shape, order):
    z = torch.linspace(-2.0, 2.0, shape[0] * shape[1] * shape[2], dtype=torch.float64).view(shape)
    before = z.clone()
    activation = get_activation(name)
    coefficients = COEFFICIENTS.expand(shape[0], -1) if activation.num_coefficients else None
    for part in activation.evaluate(z, order, coefficients):
        assert part is None or part.shape == z.shape
    assert torch.equal(z, before)


def test_polynomial_coefficients_belong_to_members():
    z = torch.tensor([[[2.0]], [[2.0]]])
    coefficients = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    value, slope, curvature = get_activation("poly").evaluate(z, 2, coefficients)
    assert (value.flatten().tolist(), slope.flatten().tolist()) == ([1.0, 12.0], [0.0, 12.0])
    assert curvature.flatten().tolist() == [0.0, 6.0]


def test_bad_names_and_missing_coefficients_are_named():
    with pytest.raises(InputError, match=r"activation: expected one of relu, .* got 'sine'"):
        get_activation("sine")
    with pytest.raises(InputError, match="coefficients"):
        get_activation("poly").evaluate(torch.zeros(1, 1, 1), 0)

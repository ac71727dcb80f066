"""Steps and their derivatives, against SciPy's integrator, autograd and finite differences."""

import math

import numpy as np
import pytest
import torch
from plant_cases import EACH_PLANT, plant, points
from scipy.integrate import solve_ivp
from surrogate_problems.plants import runge_kutta

# Largest error of one dt, as a share of the data box, at random points of box and action bounds.
STEP_ERROR = {"quadrotor": 1e-5, "cstr": 5e-5, "family:entangled": 5e-5, "family:piecewise": 5e-4}


def exact_step(it, x, u):
    """SciPy's solution after dt, one state at a time."""
    ends = []
    for start, action in zip(x, u, strict=True):
        end = solve_ivp(
            lambda _, y, action=action: it.derivative(torch.from_numpy(y), action).numpy(),
            (0.0, it.dt),
            start.numpy(),
            method="DOP853",
            rtol=1e-11,
            atol=1e-12,
        )
        ends.append(end.y[:, -1])
    return torch.from_numpy(np.stack(ends))


@EACH_PLANT
def test_step_agrees_with_scipy(name):
    it = plant(name)
    x, u = points(it, 8)
    scale = it.data_bounds[1] - it.data_bounds[0]
    error = ((it.step(x, u) - exact_step(it, x, u)) / scale).abs().max()
    assert error < STEP_ERROR.get(name, 3e-6)


@pytest.mark.parametrize(
    "name", ["pendulum", "cart_pole", "quadrotor", "cstr", "quadruple_tank", "van_der_pol", "family:smooth"]
)
def test_order_is_four(name):
    it = plant(name)
    x, u = points(it, 12)
    scale = it.data_bounds[1] - it.data_bounds[0]
    exact = exact_step(it, x, u)
    errors = [
        ((runge_kutta.step(it.derivative, x, u, it.dt, substeps) - exact) / scale).square().mean().sqrt()
        for substeps in (2 * it.substeps, 4 * it.substeps)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.35)


@EACH_PLANT
def test_linearize_agrees_with_autograd(name):
    it = plant(name)
    x, u = points(it, 2, 5)
    following, A, B = it.linearize(x, u)
    by_state, by_action = torch.autograd.functional.jacobian(
        lambda x, u: it.step(x, u).sum((0, 1)), (x, u), vectorize=True
    )
    torch.testing.assert_close(following, it.step(x, u), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(A, by_state.movedim(0, -2), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(B, by_action.movedim(0, -2), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["cart_pole", "quadrotor", "cstr", "quadruple_tank", "family:entangled"])
def test_linearize_agrees_with_finite_differences(name):
    it = plant(name)
    x, u = (0.5 * (points(it, 6)[0] + it.cost.target[-1]), 0.5 * (points(it, 6)[1] + it.cost.action_target))
    _, A, B = it.linearize(x, u)
    for matrix, moved, scale in (
        (A, 0, it.data_bounds[1] - it.data_bounds[0]),
        (B, 1, it.action_bounds[1] - it.action_bounds[0]),
    ):
        for column in range(matrix.shape[-1]):
            shift = torch.zeros_like(scale)
            shift[column] = 1e-5 * scale[column]
            up, down = ((x + s * shift, u) if moved == 0 else (x, u + s * shift) for s in (1.0, -1.0))
            difference = (it.step(*up) - it.step(*down)) / (2.0 * shift[column])
            # Central differences of a function of curvature 1 in these units err by 1e-10, rounding by 1e-10.
            error = (matrix[..., column] - difference).abs().max() / matrix.abs().max()
            assert error < 1e-7


@EACH_PLANT
def test_clamped_actions_have_no_derivative(name):
    it = plant(name)
    x, _ = points(it, 4)
    lower, upper = it.action_bounds
    _, _, outside = it.linearize(x, upper + 1.0)
    _, _, at_bound = it.linearize(x, upper)
    _, _, inside = it.linearize(x, upper - 1e-9 * (upper - lower))
    assert not outside.any()
    assert inside.any()
    torch.testing.assert_close(at_bound, inside, rtol=1e-5, atol=1e-7)


def test_linearize_broadcasts_and_detaches():
    it = plant("cart_pole")
    x, u = points(it, 3, 4)
    x.requires_grad_()
    following, A, B = it.linearize(x, u[0, 0])
    assert (following.shape, A.shape, B.shape) == ((3, 4, 4), (3, 4, 4, 4), (3, 4, 4, 1))
    assert not any(result.requires_grad for result in (following, A, B))
    with torch.inference_mode():
        torch.testing.assert_close(it.linearize(x, u[0, 0])[1], A)

"""The tracking cost against a loop, and its derivatives against autograd."""

import math
from dataclasses import replace

import pytest
import torch
from plant_cases import EACH_PLANT, plant, points
from surrogate_problems.plants import TrackingCost, constant_target
from surrogate_problems.problem import ProblemError

COST = TrackingCost(
    state_weights=torch.tensor([2.0, 0.5], dtype=torch.float64),
    action_weights=torch.tensor([0.1], dtype=torch.float64),
    terminal_weights=torch.tensor([3.0, 7.0], dtype=torch.float64),
    target=torch.tensor([[0.0, 0.0], [1.0, -1.0], [2.0, 4.0]], dtype=torch.float64),
    action_target=torch.tensor([0.5], dtype=torch.float64),
    angles=(0,),
)


def test_values_are_those_written_out():
    x, u = torch.tensor([0.3, -2.0], dtype=torch.float64), torch.tensor([1.5], dtype=torch.float64)
    expected = 2.0 * 2.0 * (1.0 - math.cos(0.3 - 1.0)) + 0.5 * (-2.0 + 1.0) ** 2 + 0.1 * 1.0**2
    assert COST.stage(x, u, 1).item() == pytest.approx(expected, rel=1e-14)
    expected = 3.0 * 2.0 * (1.0 - math.cos(0.3 - 2.0)) + 7.0 * (-2.0 - 4.0) ** 2
    assert COST.terminal(x, 2).item() == pytest.approx(expected, rel=1e-14)


def test_last_target_holds_beyond_the_end():
    x = torch.randn(2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(COST.terminal(x, 9), COST.terminal(x, 2))
    assert torch.equal(COST.terminal(x, torch.tensor([9, 1])), COST.terminal(x, torch.tensor([2, 1])))


@EACH_PLANT
def test_one_time_step_a_state(name):
    it = plant(name)
    x, u = points(it, 3, 4)
    k = torch.tensor([0, 1, it.num_steps, it.num_steps + 5]).expand(3, 4)
    costs = it.cost.stage(x, u, k)
    for column, step in enumerate(k[0].tolist()):
        torch.testing.assert_close(costs[:, column], it.cost.stage(x[:, column], u[:, column], step))


@EACH_PLANT
def test_derivatives_agree_with_autograd(name):
    it = plant(name)
    x, u = points(it, 6)
    k = torch.arange(6) * 9
    for closed, function in (
        (it.cost.stage_derivatives(x, u, k), lambda x, u: it.cost.stage(x, u, k)),
        (it.cost.terminal_derivatives(x, k), lambda x, u: it.cost.terminal(x, k)),
    ):
        wanted = (x, u)[: len(closed) // 2]
        for which, variable in enumerate(wanted):

            def total(moved, which=which, function=function):
                return function(*(moved if i == which else v for i, v in enumerate((x, u)))).sum()

            slope = torch.autograd.functional.jacobian(total, variable)
            curvature = torch.autograd.functional.hessian(total, variable).flatten(2).flatten(0, 1)
            torch.testing.assert_close(closed[which], slope, rtol=1e-10, atol=1e-10)
            diagonal = torch.diag_embed(closed[which + len(wanted)].flatten())
            torch.testing.assert_close(curvature, diagonal, rtol=1e-10, atol=1e-10)


def test_angle_cost_is_periodic_with_the_curvature_of_a_square():
    turned = torch.tensor([2.0 * math.pi, 0.0], dtype=torch.float64)
    assert COST.terminal(turned, 0).item() == pytest.approx(0.0, abs=1e-14)
    _, curvature = COST.terminal_derivatives(torch.zeros(2, dtype=torch.float64), 0)
    torch.testing.assert_close(curvature, 2.0 * COST.terminal_weights)


def test_float32_stays_float32():
    x, u = torch.ones(3, 2), torch.ones(3, 1)
    dtypes = {COST.stage(x, u, 0).dtype, *(d.dtype for d in COST.stage_derivatives(x, u, 0))}
    assert dtypes == {torch.float32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terminal_weights": torch.ones(3)}, r"terminal_weights: expected shape \(2,\), got \(3,\)"),
        ({"action_weights": torch.tensor([-1.0])}, "action_weights: expected finite numbers of at least 0"),
        ({"target": torch.zeros(2)}, r"target: expected shape \(2, 2\), got \(2,\)"),
        ({"action_target": torch.zeros(2)}, r"action_target: expected shape \(1,\), got \(2,\)"),
        ({"angles": (2,)}, r"angles: expected columns below 2, got \(2,\)"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(ProblemError, match=message):
        replace(COST, **change)


def test_constant_target_repeats_itself():
    target = constant_target(torch.tensor([1.0, 2.0]), num_steps=3)
    assert target.tolist() == [[1.0, 2.0]] * 4

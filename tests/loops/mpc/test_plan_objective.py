"""Cost of plans and state constraints against sums written out and automatic differentiation."""

from __future__ import annotations

import math

import pytest
import torch
from mpc_plants import Pendulum, QuadraticCost, double_integrator

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.objective import PlanObjective, plain_cost
from surrogate_opt.loops.mpc.problem import ControlProblem
from surrogate_opt.loops.mpc.state_constraints import AugmentedLagrangian, StateLimits


def moving_target_problem() -> ControlProblem:
    generator = torch.Generator().manual_seed(1)
    cost = QuadraticCost(
        q=torch.tensor([1.0, 0.3]).double(),
        r=torch.tensor([0.2]).double(),
        p=torch.tensor([5.0, 2.0]).double(),
        target=torch.randn(8, 2, generator=generator).double(),
        angles=(0,),
    )
    return ControlProblem(
        cost=cost,
        action_bounds=torch.tensor([[-1.0], [5.0]]).double(),
        state_bounds=torch.tensor([[-0.5, -math.inf], [math.inf, 0.7]], dtype=torch.float64),
        data_bounds=torch.tensor([[-2.0, -2.0], [2.0, 2.0]]).double(),
        horizon=4,
        num_steps=7,
    )


def objective(problem: ControlProblem, time: int) -> PlanObjective:
    limits = StateLimits(problem)
    generator = torch.Generator().manual_seed(2)
    multipliers = torch.rand(2, problem.horizon, limits.num, generator=generator).double()
    constraints = AugmentedLagrangian(
        limits=limits, multipliers=multipliers, weight=torch.tensor([2.0, 50.0]).double()
    )
    return PlanObjective(problem=problem, time=time, constraints=constraints)


def plans(problem: ControlProblem):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, problem.horizon + 1, 2, generator=generator).double()
    return x, 2.0 * torch.rand(2, 3, problem.horizon, 1, generator=generator).double() - 1.0


def test_plain_cost_is_the_sum_over_steps_with_a_moving_target():
    problem = moving_target_problem()
    x, u = plans(problem)
    time = 5  # steps 8 and 9 are beyond the last target
    total = plain_cost(problem, x, u, time)
    for i, j in ((0, 0), (1, 2)):
        expected = sum(
            problem.cost.stage(x[i, j, k], 2.0 + 3.0 * u[i, j, k], min(time + k, 7)) for k in range(4)
        ) + problem.cost.terminal(x[i, j, 4], 7)
        assert float(total[i, j]) == pytest.approx(float(expected), rel=1e-12)


def test_constraints_add_the_augmented_lagrangian():
    problem = moving_target_problem()
    x, u = plans(problem)
    whole = objective(problem, 1)
    added = whole.cost(x, u) - plain_cost(problem, x, u, 1)
    for i, weight in enumerate((2.0, 50.0)):
        multipliers = whole.constraints.multipliers[i]
        expected = 0.0
        for k in range(4):
            # one-sided bounds are measured in widths of the data box, 4
            excesses = ((-0.5 - x[i, 1, k + 1, 0]) / 4.0, (x[i, 1, k + 1, 1] - 0.7) / 4.0)
            for c, own in zip(excesses, multipliers[k], strict=True):
                expected += (max(0.0, own + weight * c) ** 2 - own**2) / (2.0 * weight)
        assert float(added[i, 1]) == pytest.approx(float(expected), rel=1e-10)


def test_derivatives_agree_with_autograd():
    problem = moving_target_problem()
    x, u = plans(problem)
    whole = objective(problem, 2)
    x, u = x.requires_grad_(), u.requires_grad_()
    gx, gu = torch.autograd.grad(whole.cost(x, u).sum(), (x, u), create_graph=True)
    hx = torch.autograd.grad(gx.sum(), x, retain_graph=True)[0]  # no term couples two variables
    hu = torch.autograd.grad(gu.sum(), u)[0]
    derivatives = whole.derivatives(x.detach(), u.detach())
    for mine, truth in zip(derivatives, (gx, hx, gu, hu), strict=True):
        torch.testing.assert_close(mine, truth.detach(), rtol=1e-10, atol=1e-12)


def test_multipliers_rise_with_the_excess_and_fall_to_zero():
    limits = StateLimits(ControlProblem.from_plant(double_integrator(speed=0.5)))
    begin = AugmentedLagrangian.begin(limits, torch.zeros(1, 2, 2).double(), torch.tensor([2.0]).double())
    over = torch.tensor([[[0.0, 0.75], [0.0, 0.1]]]).double()
    raised = begin.updated(over)
    # 0.25 over a bound of a state 1 wide, weight 100 times the scale of 2; columns: below, above
    torch.testing.assert_close(raised.multipliers[0], torch.tensor([[0.0, 50.0], [0.0, 0.0]]).double())
    assert begin.violated(over).all()
    assert not begin.violated(over.clamp(-0.5, 0.5)).any()
    assert not raised.updated(torch.zeros(1, 2, 2).double()).multipliers.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 0}, "horizon: expected at least 1; came 0"),
        (
            {"action_bounds": torch.tensor([[-1.0], [math.inf]])},
            r"action_bounds\[:, 0\]: expected finite lower < upper; came -1 and inf",
        ),
        (
            {"state_bounds": torch.tensor([[0.0, 2.0], [1.0, 1.0]])},
            r"state_bounds\[:, 1\]: expected lower < upper; came 2 and 1",
        ),
        (
            {"data_bounds": torch.zeros(3, 2)},
            r"data_bounds: expected the shape \(2, columns\); came \(3, 2\)",
        ),
        (
            {"data_bounds": torch.tensor([[0.0], [1.0]])},
            r"data_bounds: expected the shape of state_bounds, \(2, 2\); came \(2, 1\)",
        ),
    ],
)
def test_a_problem_that_cannot_be_used_is_named(changes, message):
    plant = Pendulum()
    fields = {
        name: getattr(plant, name)
        for name in ("cost", "action_bounds", "state_bounds", "data_bounds", "horizon", "num_steps")
    }
    with pytest.raises(InputError, match=message):
        ControlProblem(**{**fields, **changes})


def test_a_plan_has_blown_up_where_it_goes_too_far_from_its_beginning():
    problem = moving_target_problem()  # half the data box is 2
    still = torch.full((5, 2), 100.0).double()
    plans = still.repeat(4, 1, 1)
    plans[1, 3, 1] += 19.9
    plans[2, 3, 1] -= 20.1
    plans[3, 4, 0] = math.nan
    assert problem.blown_up(plans).tolist() == [False, False, True, True]


def test_rest_is_the_action_nearest_to_zero():
    problem = moving_target_problem()
    torch.testing.assert_close(problem.raw_actions(problem.rest), torch.zeros(1).double())
    shifted = ControlProblem(**{**vars_of(problem), "action_bounds": torch.tensor([[2.0], [5.0]]).double()})
    torch.testing.assert_close(shifted.raw_actions(shifted.rest), torch.tensor([2.0]).double())


def vars_of(problem: ControlProblem) -> dict:
    return {name: getattr(problem, name) for name in problem.__dataclass_fields__}

"""Pessimistic planning: copies are the members, the cost is what it says, and disagreement is avoided."""

from __future__ import annotations

import pytest
import torch
from mpc_plants import Pendulum, double_integrator, first_plan, oracle
from test_loop_model import Stacked, WithSingle

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc import ILQR, Controller, ControlProblem, PlantModel, Shooting, pessimistic

PLANTS = (Pendulum(dt=0.05), Pendulum(dt=0.06), Pendulum(dt=0.05, torque=1.5), Pendulum(dt=0.04))


def points(num: int = 5):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, num, 4, generator=generator).double()
    return x, torch.randn(2, num, 1, generator=generator).double().clamp(-1.4, 1.4)


def test_every_copy_is_stepped_by_its_member():
    model, problem = pessimistic(Stacked(PLANTS), ControlProblem.from_plant(PLANTS[0]), 2)
    assert (model.num_models, model.num_states, model.num_actions) == (2, 4, 1)
    assert (problem.num_states, problem.copies) == (4, 2)
    x, u = points()
    after, A, B = model.linearize(x, u)
    torch.testing.assert_close(after, model.step(x, u))
    for m in range(2):
        for k in range(2):
            own, own_A, own_B = PLANTS[2 * m + k].linearize(x[m, :, 2 * k : 2 * k + 2], u[m])
            columns = slice(2 * k, 2 * k + 2)
            torch.testing.assert_close(after[m, :, columns], own, rtol=0, atol=1e-14)
            torch.testing.assert_close(A[m, :, columns, columns], own_A, rtol=0, atol=1e-14)
            torch.testing.assert_close(B[m, :, columns], own_B, rtol=0, atol=1e-14)
        assert not A[m, :, :2, 2:].any()
        assert not A[m, :, 2:, :2].any()


def test_copies_have_a_twin_in_single_precision_where_the_members_have_one():
    problem = ControlProblem.from_plant(PLANTS[0])
    assert pessimistic(Stacked(PLANTS), problem, 2)[0].single is None
    model, _ = pessimistic(WithSingle(PLANTS), problem, 2)
    x, u = points()
    torch.testing.assert_close(
        model.single.step(x.float(), u.float()).double(), model.step(x, u), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(("aggregate", "kappa"), [("std", 0.7), ("std", 0.0), ("max", 0.0)])
def test_cost_and_gradients(aggregate, kappa):
    plant = PLANTS[0]
    _, problem = pessimistic(
        Stacked(PLANTS), ControlProblem.from_plant(plant), 2, aggregate=aggregate, kappa=kappa
    )
    x, u = points()
    steps = torch.arange(5).expand(2, 5)
    parts = torch.stack([plant.cost.stage(x[..., :2], u, 0), plant.cost.stage(x[..., 2:], u, 0)])
    expected = (
        parts.amax(0) if aggregate == "max" else parts.mean(0) + kappa * (parts[0] - parts[1]).abs() / 2
    )
    torch.testing.assert_close(problem.cost.stage(x, u, steps), expected)
    leaf_x, leaf_u = x.clone().requires_grad_(), u.clone().requires_grad_()
    truth = torch.autograd.grad(problem.cost.stage(leaf_x, leaf_u, 3).sum(), (leaf_x, leaf_u))
    gx, gu, hx, hu = problem.cost.stage_derivatives(x, u, 3)
    torch.testing.assert_close((gx, gu), truth)
    assert hx.shape == x.shape
    assert hu.shape == u.shape
    terminal = torch.autograd.grad(problem.cost.terminal(leaf_x, 3).sum(), leaf_x)[0]
    torch.testing.assert_close(problem.cost.terminal_derivatives(x, 3)[0], terminal)


def test_members_that_agree_change_nothing():
    plant = double_integrator(limit=2.0, horizon=12)
    same = Stacked((plant, plant, plant))
    plain, _ = first_plan(oracle(plant, ILQR(tolerance=1e-12)), plant.start[None])
    for aggregate in ("std", "max"):
        model, problem = pessimistic(same, ControlProblem.from_plant(plant), 3, aggregate=aggregate)
        plan, _ = first_plan(Controller(model, problem, ILQR(tolerance=1e-12)), plant.start[None])
        assert plan.states.shape == (1, 13, 2)
        torch.testing.assert_close(plan.cost, plain.cost, rtol=1e-7, atol=0)
        torch.testing.assert_close(plan.actions, plain.actions, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "planner",
    [
        pytest.param(ILQR(search_sequences=2), id="ilqr"),
        pytest.param(Shooting(sequences=1, search_steps=15), id="shooting", marks=pytest.mark.slow),
    ],
)
def test_the_pessimistic_plan_has_the_lower_pessimistic_cost(planner):
    """Members differ in their step, so in how far an action carries."""
    plant = Pendulum(horizon=8, torque=8.0)
    members = Stacked((plant, Pendulum(dt=0.1, horizon=8, torque=8.0)))
    x = torch.tensor([[1.0, 0.0]]).double()
    mean, _ = first_plan(oracle(plant, planner), x)
    model, problem = pessimistic(members, ControlProblem.from_plant(plant), 2, kappa=2.0)
    plan, _ = first_plan(Controller(model, problem, planner), x)
    copies, total = problem.as_copies(x)[:, None], 0.0
    for k in range(8):
        total += problem.cost.stage(copies[:, 0], mean.actions[:, k], k)
        copies = model.step(copies, mean.actions[:, None, k])
    total += problem.cost.terminal(copies[:, 0], 8)
    assert float(plan.cost) < 0.98 * float(total)


def test_arguments_that_cannot_be_used_are_named():
    problem = ControlProblem.from_plant(PLANTS[0])
    with pytest.raises(InputError, match="num_members: expected a divisor of the 4 models; came 3"):
        pessimistic(Stacked(PLANTS), problem, 3)
    with pytest.raises(InputError, match="aggregate: expected one of 'std', 'max'; came 'worst'"):
        pessimistic(Stacked(PLANTS), problem, 2, aggregate="worst")
    with pytest.raises(InputError, match="kappa: expected 0 or more; came -1"):
        pessimistic(PlantModel(PLANTS[0]), problem, 1, kappa=-1.0)

"""iLQR against Riccati, bounded least squares, and plans made one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from mpc_plants import Pendulum, box_least_squares, coupled_masses, double_integrator, first_plan, oracle
from scipy.linalg import solve_discrete_are

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.ilqr import ILQR
from surrogate_opt.loops.mpc.stalling import StallRule


def riccati(plant):
    """Gains of the finite horizon, first step first, and the cost-to-go at the beginning."""
    A, B, cost = plant.A.numpy(), plant.B.numpy(), plant.cost
    P, gains = np.diag(cost.p.numpy()), []
    for _ in range(plant.horizon):
        K = np.linalg.solve(np.diag(cost.r.numpy()) + B.T @ P @ B, B.T @ P @ A)
        P = np.diag(cost.q.numpy()) + A.T @ P @ (A - B @ K)
        gains.append(K)
    return gains[::-1], P


@pytest.mark.parametrize("plant", [double_integrator(), coupled_masses()], ids=["integrator", "masses"])
def test_linear_quadratic_plan_is_riccatis(plant):
    x0 = plant.start
    plan, _ = first_plan(oracle(plant, ILQR(tolerance=0.0)), x0[None])
    gains, P = riccati(plant)
    x = x0.numpy()
    for k, K in enumerate(gains):
        u = -K @ x
        np.testing.assert_allclose(plan.actions[0, k].numpy(), u, rtol=0, atol=1e-9)
        x = plant.A.numpy() @ x + plant.B.numpy() @ u
    assert float(plan.cost[0]) == pytest.approx(x0.numpy() @ P @ x0.numpy(), rel=1e-12)


def test_with_the_infinite_horizons_terminal_cost_the_feedback_is_lqr():
    plant = double_integrator()
    q, r = np.diag(plant.cost.q.numpy()), np.diag(plant.cost.r.numpy())
    A, B = plant.A.numpy(), plant.B.numpy()
    P = solve_discrete_are(A, B, q, r)
    # a diagonal cost cannot hold P, but after 60 steps the terminal cost no longer matters
    K = np.linalg.solve(r + B.T @ P @ B, B.T @ P @ A)
    plan, _ = first_plan(oracle(plant, ILQR(tolerance=1e-12), horizon=80), plant.start[None])
    np.testing.assert_allclose(plan.actions[0, 0].numpy(), -K @ plant.start.numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    "plant", [double_integrator(limit=1.0), coupled_masses(limit=0.3)], ids=["integrator", "masses"]
)
def test_action_limits_agree_with_bounded_least_squares(plant):
    planner = ILQR(tolerance=1e-12, search_iterations=60)
    plan, _ = first_plan(oracle(plant, planner), plant.start[None])
    actions, cost = box_least_squares(plant, plant.start)
    at_bound = (actions.abs() - plant.action_bounds[1]).abs() < 1e-6
    assert 0 < at_bound.sum() < at_bound.numel()  # the limits matter, and not everywhere
    assert float(plan.cost[0]) == pytest.approx(cost, rel=1e-8)
    torch.testing.assert_close(plan.actions[0], actions, atol=1e-4, rtol=0)
    assert (plan.actions.abs() <= plant.action_bounds[1]).all()


def test_two_actions_alike_that_cost_nothing_share_the_work():
    """The curvature by the actions is singular."""
    one = replace(double_integrator(horizon=10), cost=replace(double_integrator().cost, r=zeros(1)))
    two = replace(
        one,
        B=0.5 * one.B.repeat(1, 2),
        cost=replace(one.cost, r=zeros(2)),
        action_bounds=one.action_bounds.expand(2, 2),
    )
    plans = [first_plan(oracle(plant, ILQR(tolerance=1e-12)), one.start[None])[0] for plant in (one, two)]
    torch.testing.assert_close(plans[1].states, plans[0].states, rtol=0, atol=1e-6)
    torch.testing.assert_close(plans[1].actions.mean(-1, keepdim=True), plans[0].actions, rtol=0, atol=1e-4)


def zeros(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.float64)


def test_loops_together_plan_as_each_alone():
    plant = Pendulum(horizon=15)
    controller = oracle(plant, ILQR(search_sequences=2, search_iterations=4))
    x = plant.starts(3, 0)
    together = controller.start(x, [5, 6, 7])
    alone = [controller.start(x[i : i + 1], [5 + i]) for i in range(3)]
    for time in range(4):
        plan, together = controller.plan(x, time, together)
        for i in range(3):
            own, alone[i] = controller.plan(x[i : i + 1], time, alone[i])
            torch.testing.assert_close(own.actions[0], plan.actions[i], rtol=0, atol=1e-9)
            torch.testing.assert_close(own.cost[0], plan.cost[i], rtol=1e-12, atol=0)
        x = plant.step(x, plan.actions[:, 0])


def test_a_disturbed_unstable_plan_is_kept_to():
    """With the plan's actions alone a disturbance grows by e^6 over this horizon."""
    plant = Pendulum(torque=20.0, horizon=50)
    controller = oracle(plant, ILQR(iterations=1, stall=StallRule(enough=1e9), search_sequences=4))
    x = torch.tensor([[0.3, 0.0]]).double()
    first, state = first_plan(controller, x)
    x = plant.step(x, first.actions[:, 0]) + 0.02
    second, _ = controller.plan(x, 1, state)
    assert second.states[0, -1].abs().max() < 0.05
    open_loop = x
    for k in range(1, plant.horizon):
        open_loop = plant.step(open_loop, first.actions[:, k])
    assert open_loop.abs().max() > 0.5


def plan_after_hanging(controller, time: int, last_states: float):
    """The plan for a pendulum that hangs still, where the last plan was to hang on."""
    plant = Pendulum()
    state = controller.start(plant.start[None], [0])
    states = torch.full_like(state.states, last_states) + plant.start
    state = replace(state, fresh=torch.tensor([False]), states=states)
    return controller.plan(plant.start[None], time, state)[0]


def test_a_stalled_plan_makes_it_search():
    """Hanging still, the last plan is to hang on: only a search leaves it."""
    patient, default = (oracle(Pendulum(), ILQR(stall=rule)) for rule in (StallRule(enough=1e9), StallRule()))
    stuck, early, free = (
        plan_after_hanging(controller, time, 0.0)
        for controller, time in ((patient, 8), (default, 7), (default, 8))
    )
    assert stuck.actions.abs().max() < 1e-6
    torch.testing.assert_close(early.actions, stuck.actions)  # searches in every fourth control step
    assert free.actions.abs().max() == pytest.approx(2.0)
    assert float(free.cost) < float(stuck.cost) - 1.0


def test_a_plan_that_cannot_be_followed_makes_it_search_at_once():
    plan = plan_after_hanging(oracle(Pendulum(), ILQR()), 7, math.nan)
    assert not plan.diverged.any()
    assert plan.actions.abs().max() == pytest.approx(2.0)


def test_state_bounds_are_met_and_cost_the_least():
    plant = double_integrator(limit=5.0, speed=0.5)
    controller = oracle(plant, ILQR(search_iterations=40, search_sequences=1, constraint_rounds=8))
    plan, _ = first_plan(controller, plant.start[None])
    assert plan.states[0, :, 1].abs().max() <= 0.5 * (1 + 2e-3)
    unconstrained, _ = first_plan(oracle(double_integrator(limit=5.0), ILQR()), plant.start[None])
    assert unconstrained.states[0, :, 1].abs().max() > 0.8
    assert float(plan.cost) == pytest.approx(constrained_cost(plant), rel=1e-3)


def constrained_cost(plant) -> float:
    """By SciPy's SLSQP on the actions."""
    from scipy.optimize import minimize

    A, B, cost = plant.A.numpy(), plant.B.numpy(), plant.cost
    q, r, p = cost.q.numpy(), cost.r.numpy(), cost.p.numpy()

    def states(u):
        x = [plant.start.numpy()]
        for action in u:
            x.append(A @ x[-1] + B[:, 0] * action)
        return np.array(x)

    def total(u):
        x = states(u)
        return (x[:-1] ** 2 @ q).sum() + (u**2).sum() * r[0] + x[-1] ** 2 @ p

    limits = {"type": "ineq", "fun": lambda u: 0.5 - np.abs(states(u)[1:, 1])}
    found = minimize(
        total,
        np.zeros(plant.horizon),
        method="SLSQP",
        constraints=[limits],
        bounds=[(-5.0, 5.0)] * plant.horizon,
        options={"maxiter": 500, "ftol": 1e-10},
    )
    assert found.success
    return float(found.fun)


def test_a_setting_out_of_range_is_named():
    with pytest.raises(InputError, match="iterations: expected at least 1; came 0"):
        ILQR(iterations=0)
    with pytest.raises(InputError, match="tolerance: expected 0 or more; came nan"):
        ILQR(tolerance=math.nan)

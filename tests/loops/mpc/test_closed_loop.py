"""Closed loops: what is recorded, common random numbers, and plans that diverge."""

from __future__ import annotations

import math

import pytest
import torch
from mpc_plants import Broken, Pendulum, coupled_masses, double_integrator, oracle
from test_loop_model import Stacked

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc import (
    CEM,
    ILQR,
    MPPI,
    Controller,
    ControlProblem,
    PlantModel,
    RandomActions,
    Rest,
    Shooting,
    run_closed_loop,
    true_plan_costs,
)

QUICK = {
    "ilqr": ILQR(search_sequences=2),
    "shooting": Shooting(sequences=2, steps=3, search_steps=10),
    "mppi": MPPI(samples=32),
    "cem": CEM(samples=32, elites=5),
}


@pytest.mark.parametrize("name", QUICK)
def test_what_is_recorded_fits_together(name):
    plant = double_integrator(limit=2.0, horizon=8)
    run = run_closed_loop(plant, oracle(plant, QUICK[name]), 6, starts=3)
    assert run.states.shape == (3, 7, 2)
    assert run.actions.shape == (3, 6, 1)
    assert run.plans.shape == (3, 6, 9, 2)
    assert run.planned_actions.shape == (3, 6, 8, 1)
    assert run.seconds.shape == (6,)
    assert not run.diverged.any()
    assert (run.actions.abs() <= 2.0).all()
    for t in range(6):
        torch.testing.assert_close(
            run.costs[:, t], plant.cost.stage(run.states[:, t], run.actions[:, t], t), rtol=0, atol=0
        )
    torch.testing.assert_close(run.plans[:, :, 0], run.measured)
    torch.testing.assert_close(run.planned_actions[:, :, 0], run.actions)
    torch.testing.assert_close(run.cost, run.costs.sum(1))
    jumps = (run.actions[:, 1:] - run.actions[:, :-1]).abs().mean((1, 2))
    torch.testing.assert_close(run.chatter, jumps)
    # planned on the truth, so the truth agrees
    torch.testing.assert_close(true_plan_costs(plant, run), run.planned_costs, rtol=1e-10, atol=0)


def test_every_controller_meets_the_same_starts_and_noise():
    plant = double_integrator(limit=2.0, horizon=4)
    runs = [
        run_closed_loop(plant, oracle(plant, planner), 5, seed=7, starts=starts)
        for planner, starts in ((Rest(), 4), (RandomActions(), 4), (Rest(), 2))
    ]
    noises = []
    for run in runs:
        after = plant.step(run.states[:, :-1], run.actions)
        noises.append((run.states[:, 1:] - after, run.measured - run.states[:, :-1]))
    for i in range(2):
        torch.testing.assert_close(noises[0][i], noises[1][i], rtol=0, atol=1e-12)
        torch.testing.assert_close(noises[0][i][:2], noises[2][i], rtol=0, atol=1e-12)
        assert noises[0][i].std() == pytest.approx(0.01, rel=0.5)
        assert not torch.isclose(noises[0][i][0], noises[0][i][1]).any()  # each start has its own
    assert (noises[0][0] - noises[0][1]).abs().max() > 1e-3
    other = run_closed_loop(plant, oracle(plant, Rest()), 5, seed=8, starts=4)
    assert not torch.isclose(other.states[:, 1:], runs[0].states[:, 1:]).any()
    quiet = run_closed_loop(plant, oracle(plant, Rest()), 5, seed=7, starts=4, noise=0.0)
    torch.testing.assert_close(quiet.measured, quiet.states[:, :-1], rtol=0, atol=0)
    torch.testing.assert_close(quiet.states[:, 1:], plant.step(quiet.states[:, :-1], quiet.actions))


@pytest.mark.parametrize("name", QUICK)
def test_the_same_seed_repeats_a_run(name):
    plant = Pendulum(horizon=6)
    first, second = (
        run_closed_loop(plant, oracle(plant, QUICK[name]), 3, seed=2, starts=2) for _ in range(2)
    )
    assert torch.equal(first.states, second.states)


def broken_controller(plant, planner, edge: float, value: float) -> Controller:
    return Controller(Broken(PlantModel(plant), edge, value), ControlProblem.from_plant(plant), planner)


@pytest.mark.parametrize("value", [math.nan, 1e200, math.inf], ids=["nan", "blow-up", "infinite"])
@pytest.mark.parametrize("name", QUICK)
def test_a_model_that_breaks_is_flagged_and_never_reaches_the_plant(name, value):
    plant = double_integrator(limit=2.0, horizon=6)
    starts = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double()
    run = run_closed_loop(plant, broken_controller(plant, QUICK[name], 0.5, value), 4, starts=starts)
    assert run.diverged.tolist() == [[True] * 4, [False] * 4]
    assert run.actions.isfinite().all()
    assert run.states.isfinite().all()
    assert not run.actions[0].any()  # no plan was ever safe: rest
    healthy = run_closed_loop(plant, oracle(plant, QUICK[name]), 4, starts=starts)
    torch.testing.assert_close(run.actions[1], healthy.actions[1], rtol=0, atol=1e-9)  # neighbors unharmed


@pytest.mark.parametrize("name", QUICK)
def test_the_last_safe_plan_goes_on_and_planning_recovers(name):
    """The model fails for states beyond 1.5; the start is at 1.4 and pushed over the edge and back."""
    plant = double_integrator(limit=2.0, horizon=6)
    controller = broken_controller(plant, QUICK[name], 1.5, math.nan)
    at = [torch.tensor([[position, 0.0]]).double() for position in (1.4, 1.6, 1.6, 1.4)]
    state = controller.start(at[0], [0])
    plans = []
    for time, x in enumerate(at):
        plan, state = controller.plan(x, time, state)
        plans.append(plan)
    assert [bool(plan.diverged) for plan in plans] == [False, True, True, False]
    safe = plans[0].actions[0]
    assert safe.abs().max() > 0.1
    torch.testing.assert_close(plans[1].actions[0, :-1], safe[1:])
    torch.testing.assert_close(plans[2].actions[0, :-2], safe[2:])
    torch.testing.assert_close(plans[2].actions[0, -1], safe[-1])
    assert float(plans[3].cost) == pytest.approx(float(plans[0].cost), rel=0.3)


def test_models_of_a_stack_each_run_from_every_start():
    plants = (Pendulum(dt=0.05), Pendulum(dt=0.1))
    problem = ControlProblem.from_plant(plants[0], horizon=8)
    planner = ILQR(search_sequences=2, search_iterations=4)
    together = run_closed_loop(plants[0], Controller(Stacked(plants), problem, planner), 3, seed=1, starts=2)
    assert together.num_models == 2
    for m, plant in enumerate(plants):
        alone = run_closed_loop(
            plants[0], Controller(PlantModel(plant), problem, planner), 3, seed=1, starts=2
        )
        torch.testing.assert_close(together.actions[2 * m : 2 * m + 2], alone.actions, rtol=0, atol=1e-9)
        torch.testing.assert_close(together.plans[2 * m : 2 * m + 2], alone.plans, rtol=0, atol=1e-9)


def test_arguments_that_cannot_be_used_are_named():
    plant = double_integrator(limit=2.0, horizon=3)
    controller = oracle(plant, Rest())
    with pytest.raises(InputError, match="steps: expected at least 1; came 0"):
        run_closed_loop(plant, controller, 0)
    with pytest.raises(InputError, match=r"starts: expected the shape \(starts, 2\); came \(3,\)"):
        run_closed_loop(plant, controller, 2, starts=torch.zeros(3))
    with pytest.raises(InputError, match="starts: expected finite numbers"):
        run_closed_loop(plant, controller, 2, starts=torch.full((1, 2), math.nan))
    with pytest.raises(InputError, match="noise: expected 0 or more; came -1"):
        run_closed_loop(plant, controller, 2, noise=-1.0)
    with pytest.raises(InputError, match=r"model: expected 2 states and 1 actions; came 4 and 2"):
        Controller(PlantModel(coupled_masses()), controller.problem, Rest())
    with pytest.raises(InputError, match="seeds: expected one a loop, 2; came 1"):
        controller.start(torch.zeros(2, 2).double(), [0])
    short = run_closed_loop(plant, controller, 2, starts=1, keep_plans=False)
    with pytest.raises(InputError, match="run: expected one with its plans"):
        true_plan_costs(plant, short)

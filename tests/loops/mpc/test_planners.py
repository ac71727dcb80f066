"""One table of planners: each reaches the known optimum, repeats itself, and swings the pendulum up."""

from __future__ import annotations

import math

import pytest
import torch
from mpc_plants import (
    Pendulum,
    box_least_squares,
    coupled_masses,
    double_integrator,
    first_plan,
    oracle,
)

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc import (
    CEM,
    ILQR,
    MPPI,
    PLANNERS,
    RandomActions,
    Rest,
    Shooting,
    StallRule,
    run_closed_loop,
)

THOROUGH = {
    "ilqr": ILQR(search_iterations=40, search_sequences=1),
    "shooting": Shooting(sequences=1),
    "shooting-adam": Shooting(optimizer="adam", sequences=1, search_steps=300),
    "mppi": MPPI(search_iterations=60, shrink=0.95, temperature=0.1, noise_exponent=0.0),
    "cem": CEM(search_iterations=40, noise_exponent=0.0),
}
# Share of the optimal cost by which a thorough plan may be worse: gradients converge, samples come near.
TOLERANCE = {"ilqr": 1e-4, "shooting": 1e-4, "shooting-adam": 1e-2, "mppi": 0.02, "cem": 0.02}


@pytest.mark.parametrize("name", THOROUGH)
@pytest.mark.parametrize(
    "plant",
    [double_integrator(limit=3.0), coupled_masses(limit=1.0, horizon=12)],
    ids=["integrator", "masses"],
)
def test_plans_come_near_the_optimum(plant, name):
    plan, _ = first_plan(oracle(plant, THOROUGH[name]), plant.start[None])
    _, optimum = box_least_squares(plant, plant.start)
    assert optimum * (1 - 1e-9) <= float(plan.cost[0]) <= optimum * (1 + TOLERANCE[name])


QUICK = {
    "ilqr": ILQR(search_iterations=5),
    "shooting": Shooting(search_steps=8),
    "mppi": MPPI(search_iterations=3),
    "cem": CEM(search_iterations=3),
}


@pytest.mark.parametrize("name", PLANNERS)
def test_the_same_seed_gives_the_same_plan(name):
    plant = Pendulum(horizon=10)
    plans = [first_plan(oracle(plant, QUICK[name]), plant.starts(2, 0), seed)[0] for seed in (3, 3, 4)]
    assert torch.equal(plans[0].actions, plans[1].actions)
    if name in ("mppi", "cem"):
        assert not torch.equal(plans[0].actions, plans[2].actions)


@pytest.mark.parametrize("name", PLANNERS)
def test_loops_together_plan_as_each_alone(name):
    plant = Pendulum(horizon=8)
    controller = oracle(plant, QUICK[name])
    x = plant.starts(3, 0)
    plan, _ = first_plan(controller, x, seed=5)
    for i in range(3):
        alone, _ = first_plan(controller, x[i : i + 1], seed=5 + i)
        # rounding differs in larger batches; optimizers stop within their tolerance
        torch.testing.assert_close(alone.actions[0], plan.actions[i], rtol=0, atol=1e-6)


SWING_UP = {
    "ilqr": ILQR(),
    "shooting": Shooting(steps=2, search_steps=30, sequences=2),
    "mppi": MPPI(iterations=3),
    "cem": CEM(iterations=3),
}
SLOW = [name for name in PLANNERS if name != "ilqr"]


@pytest.mark.parametrize("name", ["ilqr", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_the_pendulum_is_swung_up_from_hanging(name):
    plant = Pendulum(dt=0.1, horizon=25, num_steps=50, torque=3.0)
    run = run_closed_loop(plant, oracle(plant, SWING_UP[name]), starts=plant.start[None])
    assert plant.succeeded(run.states).all()


@pytest.mark.parametrize("planner", [Rest(), RandomActions()], ids=["rest", "random"])
def test_doing_nothing_or_anything_does_not_swing_it_up(planner):
    plant = Pendulum()
    run = run_closed_loop(plant, oracle(plant, planner, horizon=1), seed=0, starts=10, keep_plans=False)
    assert not plant.succeeded(run.states).any()
    if isinstance(planner, Rest):
        assert not run.actions.any()
    else:
        assert run.actions.abs().max() > 1.9
        assert run.actions.mean().abs() < 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shooting(optimizer="sgd"), "optimizer: expected one of 'lbfgsb', 'adam'; came 'sgd'"),
        (lambda: Shooting(sequences=0), "sequences: expected at least 1; came 0"),
        (lambda: MPPI(temperature=0.0), "temperature: expected a positive number; came 0.0"),
        (lambda: CEM(samples=3, elites=5), "samples: expected at least 5; came 3"),
        (lambda: CEM(search_std=math.inf), "search_std: expected a positive number; came inf"),
        (lambda: StallRule(every=0), "every: expected at least 1; came 0"),
        (lambda: CEM(momentum=1.0), r"momentum: expected a number in \[0, 1\); came 1.0"),
    ],
)
def test_a_setting_out_of_range_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()

"""On the true model the planners solve the plants; doing nothing, or anything, does not."""

from __future__ import annotations

import functools

import pytest
from surrogate_problems.plants import PLANTS, Plant, make_plant

from surrogate_opt.loops.mpc import (
    ILQR,
    PLANNERS,
    Controller,
    ControlProblem,
    Planner,
    PlantModel,
    RandomActions,
    Rest,
    run_closed_loop,
)

QUICK = ILQR(iterations=1, search_sequences=4, search_iterations=4)
# Steps in which success must be reached, and a horizon where a shorter one than the plant's is enough.
QUICK_TASKS: dict[str, tuple[int, int | None]] = {
    "pendulum": (75, None),
    "cart_pole": (50, None),
    "quadrotor": (70, 18),
    "cstr": (50, 10),
    "quadruple_tank": (20, 10),
    "van_der_pol": (60, 15),
    **{name: (25, 6) for name in PLANTS if name.startswith("family:")},
}
# The quadrotor is too unstable for sampled sequences of 50 numbers without feedback.
UNSOLVED = {("mppi", "quadrotor"), ("cem", "quadrotor")}


@functools.cache
def plant(name: str) -> Plant:
    return make_plant(name)


def share_solved(
    name: str, planner: Planner, *, starts: int, steps: int | None = None, horizon: int | None = None
) -> float:
    of = plant(name)
    controller = Controller(PlantModel(of), ControlProblem.from_plant(of, horizon=horizon), planner)
    run = run_closed_loop(of, controller, steps, starts=starts, keep_plans=False)
    return float(of.succeeded(run.states).double().mean())


@pytest.mark.parametrize("name", PLANTS)
def test_ilqr_solves_every_plant(name):
    steps, horizon = QUICK_TASKS[name]
    assert share_solved(name, QUICK, starts=2, steps=steps, horizon=horizon) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("planner", PLANNERS)
def test_every_planner_solves_its_plants(planner, name):
    solved = share_solved(name, PLANNERS[planner], starts=10)
    assert solved == 0.0 if (planner, name) in UNSOLVED else solved >= 0.9


@pytest.mark.parametrize("planner", [Rest(), RandomActions()], ids=["rest", "random"])
@pytest.mark.parametrize("name", ["pendulum", "quadruple_tank"])
def test_doing_nothing_or_anything_solves_no_plant(planner, name):
    """Of every plant the tests of the plants say so; here it is the controllers that are tried."""
    assert share_solved(name, planner, starts=20, horizon=1) == 0.0

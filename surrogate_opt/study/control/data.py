"""Training data of a plant: many short experiments all over the box in which it is to be known."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from surrogate_problems.plants import Plant
from torch import Tensor

from surrogate_opt.data.checks import check_count, check_seed
from surrogate_opt.dynamics import Trajectory, Transitions, collect, transitions, uniform_actions
from surrogate_opt.dynamics.transitions import MIN_ROWS
from surrogate_opt.errors import InputError
from surrogate_opt.study.strict_specs import mixed_seed

STEPS = 10
"""Length of an experiment: short, so that starts fill the box and no part of it is seen only in passing."""

MAX_HOLD = 5
"""An action is held for 1 to 5 steps, drawn anew."""

_BATCH = 256  # experiments run together


def collect_transitions(plant: Plant, num_transitions: int, seed: int, *, noise: float = 1.0) -> Transitions:
    """Transitions of experiments that start uniformly in the plant's data box, under uniform actions.

    An experiment ends where the plant leaves that box (angles may turn on), as it would in a laboratory. The
    rows of fewer transitions are the first ones of more.

    Args:
        plant: the truth.
        num_transitions: how many rows.
        seed: of starts, actions and noise.
        noise: factor on the plant's process and measurement noise, 0 for none. States are as measured, so
            that noise is on both ends of a transition.

    Raises:
        InputError: a number that is out of range.
    """
    check_count("num_transitions", num_transitions, MIN_ROWS)
    check_seed(seed)
    if not 0.0 <= noise < float("inf"):
        raise InputError(f"noise: expected 0 or more; came {noise}")
    found: list[Trajectory] = []
    missing, batch = num_transitions, 0
    while missing > 0:
        for trajectory in _experiments(plant, mixed_seed(seed, batch), noise):
            steps = min(trajectory.num_steps, missing)
            if steps:
                found.append(
                    Trajectory(states=trajectory.states[: steps + 1], actions=trajectory.actions[:steps])
                )
                missing -= steps
        batch += 1
    return transitions(found)


def _experiments(plant: Plant, seed: int, noise: float) -> list[Trajectory]:
    """A batch of experiments as measured, each cut where the plant leaves its box."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, 1))
    share = torch.rand(_BATCH, plant.num_states, generator=generator, dtype=torch.float64)
    lower, upper = plant.data_bounds
    starts = torch.lerp(lower, upper, share)
    actions = uniform_actions(plant.action_bounds, _BATCH, STEPS, seed, max_hold=MAX_HOLD)
    disturbances = iter((noise * plant.process_noise((_BATCH, STEPS), seed)).unbind(1))
    errors = noise * plant.measurement_noise((_BATCH, STEPS + 1), seed)
    runs = collect(lambda x, u: plant.step(x, u) + next(disturbances), starts, actions)
    return [
        _measured(run, _inside(plant, run.states), error) for run, error in zip(runs, errors, strict=True)
    ]


def _measured(
    run: Trajectory, inside: Bool[Tensor, " instants"], error: Float[Tensor, "instants n"]
) -> Trajectory:
    """What sensors saw of a run before it left the box."""
    last = int(inside.long().cumprod(0).sum()) - 1
    return Trajectory(states=(run.states + error)[: last + 1], actions=run.actions[:last])


def _inside(plant: Plant, states: Float[Tensor, "instants n"]) -> Bool[Tensor, " instants"]:
    lower, upper = plant.data_bounds
    inside: Tensor = (states >= lower) & (states <= upper)
    inside[:, list(plant.angles)] = True
    return inside.all(1)

"""Data to learn dynamics from: actions that excite a plant, and trajectories under them or under a policy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from surrogate_opt.data import check_bounds, check_seed
from surrogate_opt.data.checks import check_count
from surrogate_opt.dynamics.transitions import Trajectory
from surrogate_opt.errors import InputError

Step = Callable[[Tensor, Tensor], Tensor]
Policy = Callable[[Tensor], Tensor]
ActionSequences = Float[Tensor, "num steps m"]


def uniform_actions(
    bounds: ArrayLike | Tensor, num: int, num_steps: int, seed: int, *, min_hold: int = 1, max_hold: int = 1
) -> ActionSequences:
    """Actions drawn uniformly from their box, each held for a random time: an amplitude-modulated PRBS.

    Args:
        bounds: of the actions, ``(2, m)``, raw units.
        num: sequences.
        num_steps: length of each.
        seed: of the draws.
        min_hold: the shortest time a value is held, steps; every action has hold times of its own.
        max_hold: the longest.

    Returns:
        ``(num, num_steps, m)``, float64.

    Raises:
        InputError: bounds or counts that cannot be used.

    Source: Nelles 2001, "Nonlinear System Identification", Section 17.7 (APRBS).
    """
    box = _box(bounds)
    generator = _generator(num, num_steps, seed)
    piece = _pieces(num, num_steps, box.shape[1], (min_hold, max_hold), generator)
    values = torch.rand(piece.shape, generator=generator, dtype=torch.float64).gather(1, piece)
    return torch.lerp(box[0], box[1], values)


def prbs_actions(
    bounds: ArrayLike | Tensor, num: int, num_steps: int, seed: int, *, min_hold: int = 1, max_hold: int = 10
) -> ActionSequences:
    """Pseudo-random binary sequences: every action jumps between its bounds after random hold times.

    Args:
        bounds: of the actions, ``(2, m)``, raw units.
        num: sequences.
        num_steps: length of each.
        seed: of the draws.
        min_hold: the shortest time between two jumps, steps.
        max_hold: the longest.

    Returns:
        ``(num, num_steps, m)``, float64; only the two bounds occur.

    Raises:
        InputError: bounds or counts that cannot be used.

    Source: Ljung 1999, "System Identification", Section 13.3; hold times drawn, not from a shift register.
    """
    box = _box(bounds)
    generator = _generator(num, num_steps, seed)
    piece = _pieces(num, num_steps, box.shape[1], (min_hold, max_hold), generator)
    first = torch.randint(2, (num, 1, box.shape[1]), generator=generator)
    return torch.where((piece + first) % 2 == 1, box[1], box[0])


def collect(step: Step, starts: Float[Tensor, "num n"], actions: ActionSequences) -> list[Trajectory]:
    """Run a plant open loop.

    Args:
        step: next states of ``(num, n)`` and ``(num, m)``.
        starts: initial states, raw units.
        actions: one sequence for each start.

    Raises:
        InputError: numbers of starts and sequences that differ.
    """
    if actions.ndim != 3 or len(actions) != len(starts):
        raise InputError(
            f"actions: expected one sequence for each of the {len(starts)} starts, got {tuple(actions.shape)}"
        )
    return _run(step, starts, lambda x, k: actions[:, k], actions.shape[1])


def collect_with_policy(
    step: Step, starts: Float[Tensor, "num n"], policy: Policy, num_steps: int
) -> list[Trajectory]:
    """Run a plant in closed loop, to learn where a controller goes: iterative data collection.

    Args:
        step: next states of ``(num, n)`` and ``(num, m)``.
        starts: initial states, raw units.
        policy: actions ``(num, m)`` at states ``(num, n)``; exploration noise is the policy's own.
        num_steps: length of each run.

    Raises:
        InputError: no step.
    """
    check_count("num_steps", num_steps, 1)
    return _run(step, starts, lambda x, k: policy(x), num_steps)


@torch.no_grad()
def _run(
    step: Step, starts: Tensor, act: Callable[[Tensor, int], Tensor], num_steps: int
) -> list[Trajectory]:
    states, actions = [starts.double()], []
    for k in range(num_steps):
        actions.append(act(states[-1], k).double())
        states.append(step(states[-1], actions[-1]))
    return [
        Trajectory(states=x, actions=u)
        for x, u in zip(torch.stack(states, 1), torch.stack(actions, 1), strict=True)
    ]


def _pieces(
    num: int, num_steps: int, num_actions: int, hold: tuple[int, int], generator: torch.Generator
) -> Int[Tensor, "num steps m"]:
    """The number of the piece of constant action that each step lies in."""
    shortest, longest = hold
    check_count("min_hold", shortest, 1)
    check_count("max_hold", longest, shortest)
    most = -(-num_steps // shortest)
    lengths = torch.randint(shortest, longest + 1, (num, num_actions, most), generator=generator)
    ends = lengths.cumsum(-1)
    steps = torch.arange(num_steps).expand(num, num_actions, num_steps).contiguous()
    return torch.searchsorted(ends, steps, right=True).transpose(1, 2)


def _box(bounds: ArrayLike | Tensor) -> Float[Tensor, "2 m"]:
    shape = torch.as_tensor(bounds).shape
    return check_bounds(bounds, shape[-1] if len(shape) == 2 else 1)


def _generator(num: int, num_steps: int, seed: int) -> torch.Generator:
    check_count("num", num, 1)
    check_count("num_steps", num_steps, 1)
    check_seed(seed)
    return torch.Generator().manual_seed(seed)

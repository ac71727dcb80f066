"""Action sequences that planning begins from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.loops.mpc.problem import ControlProblem

_HOLDS = (2, 4, 8, 16)


def fresh_sequences(
    problem: ControlProblem, generators: Sequence[torch.Generator], num: int
) -> Float[Tensor, "L num H m"]:
    """Sequences to plan from without a plan: actions at rest, then random ones.

    Rest alone would not do: a pendulum that hangs still has no gradient that would move it.

    Args:
        problem: gives the action at rest, the horizon and m.
        generators: one for each loop.
        num: how many sequences, at least 1.

    Returns:
        Unit coordinates.
    """
    rest = problem.rest.expand(len(generators), 1, problem.horizon, -1)
    if num == 1:
        return rest.clone()
    draws = torch.stack([_held(problem, generator, num - 1) for generator in generators])
    return torch.cat([rest, draws], 1)


def _held(problem: ControlProblem, generator: torch.Generator, num: int) -> Tensor:
    """Uniform actions, each held for 2, 4, 8 or 16 steps, in turn over the sequences: ``(num, H, m)``."""
    horizon = problem.horizon
    levels = (
        torch.rand(num, horizon, problem.num_actions, dtype=torch.float64, generator=generator) * 2.0 - 1.0
    )
    hold = torch.tensor(_HOLDS).repeat(-(-num // len(_HOLDS)))[:num]
    segment = torch.arange(horizon) // hold[:, None]
    return levels[torch.arange(num)[:, None], segment]

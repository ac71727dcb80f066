"""What the gradient-free planners share: random sequences around a mean, and what they cost."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.planning import PlanningTask


def check_positive(**settings: float) -> None:
    """Refuse settings that are not positive and finite.

    Raises:
        InputError: the first of them, by its name.
    """
    for name, value in settings.items():
        if not 0.0 < value < math.inf:
            raise InputError(f"{name}: expected a positive number; came {value}")


def colored_noise(task: PlanningTask, num: int, exponent: float) -> Float[Tensor, "R num H m"]:
    """Normal noise whose power falls with frequency as f^-exponent, of unit variance.

    White noise averages out over a horizon and hardly moves a plant; noise that varies slowly does.

    Args:
        task: gives the shape of sequences, and each loop's generator.
        num: sequences for each loop.
        exponent: 0 for white noise.

    Source:
        Timmer & Koenig 1995; Pinneri et al. 2020 (iCEM) for planning. The zero frequency has the power of the
        lowest one.
    """
    horizon, num_actions = task.actions.shape[1:]
    shape = (num, num_actions, horizon)
    white = torch.stack(
        [torch.randn(shape, generator=generator, dtype=torch.float64) for generator in task.generators]
    )
    if exponent == 0.0 or horizon == 1:
        return white.mT
    frequencies = torch.fft.rfftfreq(horizon, dtype=torch.float64)
    frequencies[0] = frequencies[1]
    gain = frequencies ** (-exponent / 2.0)
    both_sides = torch.cat([gain, gain[1 : (horizon + 1) // 2]])
    noise = torch.fft.irfft(torch.fft.rfft(white) * gain, n=horizon)
    unit_noise: Tensor = noise / both_sides.square().mean().sqrt()
    return unit_noise.mT


def sampled_costs(task: PlanningTask, sequences: Float[Tensor, "R num H m"]) -> Float[Tensor, "R num"]:
    """Total cost of every sequence, good enough to rank them; infinite where the model gives none."""
    cost = task.objective.cost(task.model.screen(task.initial, sequences), sequences)
    return torch.where(cost.isfinite(), cost, torch.inf)

"""Plants and points that several test files share."""

import functools

import pytest
import torch
from surrogate_problems.plants import PLANTS, Plant, make_plant

NAMES = tuple(PLANTS)
EACH_PLANT = pytest.mark.parametrize("name", NAMES)


@functools.cache
def plant(name: str) -> Plant:
    return make_plant(name)


def uniform(bounds: torch.Tensor, *shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    lower, upper = bounds
    return lower + (upper - lower) * torch.rand(*shape, len(lower), generator=generator, dtype=torch.float64)


def points(of: Plant, *shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """States from the data box and actions from their bounds."""
    return uniform(of.data_bounds, *shape, seed=seed), uniform(of.action_bounds, *shape, seed=seed + 1)


def episode(of: Plant, actions: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """States ``(S, T + 1, n)`` under actions ``(S, T, m)``, with the plant's process noise."""
    num, num_steps = actions.shape[:2]
    noise = of.process_noise((num, num_steps), seed)
    states = [of.starts(num, seed)]
    for k in range(num_steps):
        states.append(of.step(states[-1], actions[:, k]) + noise[:, k])
    return torch.stack(states, dim=1)

"""What chance adds to training: dropout masks and random directions, from each member's own seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Draw = Callable[[tuple[int, int], Tensor, torch.Generator], Float[Tensor, "n m"]]


class MemberNoise:
    """Draws the same numbers for members of equal seed, whatever else is in the stack.

    Args:
        seeds: one a member.
        purpose: what the numbers are for; other purposes give independent ones.
    """

    def __init__(self, seeds: Sequence[int], purpose: int) -> None:
        distinct = list(dict.fromkeys(seeds))
        self._generators = [
            # not the seed itself, which initial weights and minibatches are drawn from
            torch.Generator().manual_seed(int(np.random.SeedSequence((seed, purpose)).generate_state(1)[0]))
            for seed in distinct
        ]
        self._of_member = torch.tensor([distinct.index(seed) for seed in seeds])

    def draw(self, draw: Draw, shape: tuple[int, int], like: Tensor) -> Float[Tensor, "members n m"]:
        """One draw for each distinct seed, handed to all its members."""
        drawn = torch.stack([draw(shape, like, generator) for generator in self._generators])
        if len(drawn) == 1:
            return drawn.expand(len(self._of_member), -1, -1)
        return drawn[self._of_member.to(drawn.device)]


def uniform(shape: tuple[int, int], like: Tensor, generator: torch.Generator) -> Float[Tensor, "n m"]:
    """Uniform on [0, 1)."""
    return torch.rand(shape, generator=generator, dtype=like.dtype).to(like.device)

"""Random cosines: with normal weights they draw functions much like a Gaussian process with an RBF kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

NUM_WAVES = 256
LENGTH_SCALE = 0.3
"""Times the root of the dimension, in network coordinates [-1, 1]^d: 0.15 of the unit box's diagonal."""


@dataclass(frozen=True, kw_only=True)
class FourierFeatures:
    """sqrt(2 / m) cos(u . w + b): their products approximate an RBF kernel of variance 1.

    Attributes:
        frequencies: w, ``(d, m)``.
        phases: b, ``(m,)``.

    Source: Rahimi & Recht 2007, "Random Features for Large-Scale Kernel Machines".
    """

    frequencies: Float[Tensor, "d m"]
    phases: Float[Tensor, " m"]

    @classmethod
    def draw(cls, dim: int, *, seed: int) -> Self:
        """Of a kernel of the length scale above."""
        generator = torch.Generator().manual_seed(seed)
        normal = torch.randn(dim, NUM_WAVES, generator=generator, dtype=torch.float64)
        uniform = torch.rand(NUM_WAVES, generator=generator, dtype=torch.float64)
        return cls(
            frequencies=normal / (LENGTH_SCALE * math.sqrt(dim)),
            phases=2.0 * math.pi * uniform,
        )

    def __call__(self, u: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """The features of points in network coordinates."""
        return math.sqrt(2.0 / len(self.phases)) * torch.cos(u @ self.frequencies + self.phases)

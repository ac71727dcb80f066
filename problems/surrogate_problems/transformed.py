"""BoTorch's functions as many instances: moved and turned by a seed, their optimum still known."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import torch
from torch import Tensor

from surrogate_problems.botorch_functions import BotorchFunction
from surrogate_problems.problem import Optimum, Problem, make_generator

ROTATED: Final = ("ackley", "griewank", "levy", "rastrigin")
"""Bowls around one minimizer whose published minimum bounds the formula everywhere, not in its box alone."""

_PLACES: Final = (0.2, 0.7)  # how far from the center, in half widths of the box, each input's minimizer lies
_CROP: Final = 0.9  # side of the box that is kept, as a share of the whole


class TransformedFunction(Problem):
    """A BoTorch function with its minimizer moved and its inputs turned, one way a seed.

    The box stays that of the function as published. In coordinates z and v, the published and the new box
    each scaled to [-1, 1]^d, the instance is f(z* + M (v - t)): z* is a published minimizer, t its new place.

    `ROTATED` functions have theirs at or near the center of the box, where it is found for nothing. M is a
    uniformly random orthogonal matrix and each |t_i| uniform on [0.2, 0.7]. Corners of the new box lie
    outside the published one. There these functions are nowhere below their minimum (Griewank, Levy and
    Rastrigin are sums of terms of at least 0; Ackley's two exponentials are each largest at its minimizer),
    so it stays the minimum.

    The others are lower outside their box (EggHolder, Michalewicz), or so high or flat there that nothing
    inside would count (Branin, Hartmann, Rosenbrock, Styblinski-Tang). Their inputs are permuted, each is
    mirrored or not, and 90% of each input's range that holds the minimizer is stretched to the whole box. The
    minimum of the whole is that of any part that holds a minimizer. EggHolder's lies on a wall of its box and
    does in every instance.

    Args:
        name: a key of ``botorch_functions.BOTORCH_FUNCTIONS``.
        dim: number of inputs; None for BoTorch's default.
        seed: the instance, a non-negative integer.
        noise_std: of the noise that ``function(X)`` adds, in output standard deviations; None for none.
        negate: whether to flip the sign, as BoTorch does for maximization.
        dtype: of ``bounds``.

    Attributes:
        name: as given.
        seed: as given.

    Raises:
        ProblemError: the function is unknown or has no such dimension, or the seed is negative.
    """

    output_name = "y"

    def __init__(
        self,
        name: str,
        dim: int | None = None,
        seed: int = 0,
        noise_std: float | None = None,
        negate: bool = False,
        dtype: torch.dtype = torch.double,
    ) -> None:
        published = BotorchFunction(name, dim)
        super().__init__(list(published._bounds), negate=negate, dtype=dtype)
        self.name = name
        self.seed = seed
        self.input_names = published.input_names
        # In a tuple, so that torch does not register it as a submodule and a second set of bounds with it.
        self._published = (published,)
        self._minimum = _published_minimum(name, published.dim)
        anchor = self._to_centered(self._minimum.x[0])
        generator = make_generator(seed, f"{name} {published.dim}")
        draw = _rotation if name in ROTATED else _crop
        # Kept in float64 and cast at use: moving the module to float32 and back must not change the truth.
        self._map = (anchor, *draw(anchor, generator))
        self.noise_std = self._raw_noise_std(noise_std)

    @property
    def gradient_source(self) -> Literal["autograd"]:
        """Gradients come from autograd through the map; at a kink they may be infinite or not a number."""
        return "autograd"

    def to_published(self, x: Tensor) -> Tensor:
        """The points ``(..., d)`` at which the published function takes the values of this one at x."""
        anchor, matrix, place = (tensor.to(x) for tensor in self._map)
        return self._from_centered(anchor + (self._to_centered(x) - place) @ matrix.T)

    def _evaluate_true(self, X: Tensor) -> Tensor:
        return self._published[0]._evaluate_true(self.to_published(X))

    def _value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, matrix, _ = (tensor.to(x) for tensor in self._map)
        _, half_width = self._center_and_half_width(x)
        value, gradient = self._published[0]._value_and_gradient(self.to_published(x))
        return value, (gradient * half_width) @ matrix / half_width

    def _find_optimum(self) -> Optimum:
        anchor, matrix, place = self._map
        inverse = torch.linalg.inv(matrix)
        centered = place + (self._to_centered(self._minimum.x) - anchor) @ inverse.T
        inside = (centered.abs() <= 1.0).all(dim=1)
        inside[0] = True  # its place was drawn from the box; rounding may put it a last bit outside
        x = self._from_centered(centered[inside].clamp(-1.0, 1.0))
        return Optimum(value=self._minimum.value, x=x, source=self._minimum.source)

    def _to_centered(self, x: Tensor) -> Tensor:
        center, half_width = self._center_and_half_width(x)
        return (x - center) / half_width

    def _from_centered(self, z: Tensor) -> Tensor:
        center, half_width = self._center_and_half_width(z)
        return center + half_width * z

    def _center_and_half_width(self, like: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self._exact_bounds.to(like)
        return (lower + upper) / 2.0, (upper - lower) / 2.0


@cache
def _published_minimum(name: str, dim: int) -> Optimum:
    """Found once for all instances: a few functions need a search."""
    return BotorchFunction(name, dim)._optimum


def _rotation(anchor: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A uniformly random orthogonal matrix (Mezzadri 2007) and a place off the center."""
    normal = torch.randn(len(anchor), len(anchor), generator=generator, dtype=torch.float64)
    orthogonal, triangular = torch.linalg.qr(normal)
    nearest, farthest = _PLACES
    distance = nearest + (farthest - nearest) * torch.rand(
        len(anchor), generator=generator, dtype=torch.float64
    )
    return orthogonal * triangular.diagonal().sign(), distance * _signs(len(anchor), generator)


def _crop(anchor: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirrored and permuted inputs, and a place at which the cropped box lies inside the published one."""
    lowest = (1.0 - (1.0 - anchor) / _CROP).clamp(min=-1.0)
    highest = ((1.0 + anchor) / _CROP - 1.0).clamp(max=1.0)
    share = torch.rand(len(anchor), generator=generator, dtype=torch.float64)
    place = lowest + (highest - lowest) * share  # in the published order and direction of the inputs
    signed = torch.diag(_signs(len(anchor), generator))[:, torch.randperm(len(anchor), generator=generator)]
    return _CROP * signed, place @ signed


def _signs(count: int, generator: torch.Generator) -> Tensor:
    return 2.0 * torch.randint(0, 2, (count,), generator=generator, dtype=torch.float64) - 1.0

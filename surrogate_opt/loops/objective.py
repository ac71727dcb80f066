"""A model seen from the unit box: what every loop steps in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.adapters.box import Box, as_box
from surrogate_opt.errors import InputError
from surrogate_opt.types import Differentiable

Scale = float | Tensor
"""What values are divided by inside a loop: a number, or ``(*batch)``, one for each surrogate."""


class Evaluation(NamedTuple):
    """A model at a batch of points.

    Attributes:
        x: the points, raw units, ``(*batch, n, d)``.
        value: raw values, ``(*batch, n)``.
        gradient: normalized gradients: by unit coordinates, of values over scale, ``(*batch, n, d)``.
        finite: where the value and the whole gradient are finite, ``(*batch, n)``.
    """

    x: Float[Tensor, "*batch n d"]
    value: Float[Tensor, "*batch n"]
    gradient: Float[Tensor, "*batch n d"]
    finite: Bool[Tensor, "*batch n"]


@dataclass(frozen=True)
class UnitObjective:
    """A model as a function of unit coordinates.

    Attributes:
        model: the model that is followed.
        box: the map between raw units and the unit box.
        scale: broadcasts against values ``(*batch, n)``.
    """

    model: Differentiable
    box: Box
    scale: Tensor

    def at(self, u: Float[Tensor, "*batch n d"]) -> Evaluation:
        """Evaluate at unit coordinates, in one call of the model."""
        return self.at_raw(self.box.from_unit(u))

    def at_raw(self, x: Float[Tensor, "*batch n d"]) -> Evaluation:
        """Evaluate at points in raw units, in one call of the model."""
        value, gradient = self.model.value_and_gradient(x)
        value, gradient = value.detach().double(), gradient.detach().double()
        if value.shape != x.shape[:-1] or gradient.shape != x.shape:
            raise InputError(
                f"model: expected values {tuple(x.shape[:-1])} and gradients {tuple(x.shape)}, "
                f"got {tuple(value.shape)} and {tuple(gradient.shape)}"
            )
        gradient = self.box.unit_gradient(gradient) / self.scale.unsqueeze(-1)
        return Evaluation(x, value, gradient, value.isfinite() & gradient.isfinite().all(-1))


def begin(
    model: Differentiable, starts: Any, bounds: Any, scale: Scale
) -> tuple[UnitObjective, Float[Tensor, "*batch n d"]]:
    """Check what every loop is given.

    Args:
        model: the model to follow.
        starts: ``(*batch, n, d)``, raw units.
        bounds: ``(2, d)``.
        scale: positive, a number or ``(*batch)``.

    Returns:
        The model in unit coordinates, and the starts moved into the box, float64, raw units.

    Raises:
        InputError: starts of a wrong shape or not finite, bounds that cannot be used, a scale not positive.
    """
    box = as_box(bounds)
    points = torch.as_tensor(starts).detach().double()
    if points.ndim < 2 or points.shape[-1] != box.dim or points.numel() == 0:
        raise InputError(f"starts: expected shape (..., n, {box.dim}), got {tuple(points.shape)}")
    if not torch.isfinite(points).all():
        raise InputError("starts: expected finite numbers, got one that is infinite or NaN")
    factor = torch.as_tensor(scale).detach().double()
    if not (torch.isfinite(factor).all() and (factor > 0).all()):
        raise InputError(f"scale: expected positive finite numbers, got {factor.tolist()}")
    if factor.ndim and factor.shape != points.shape[:-2]:
        raise InputError(
            f"scale: expected a number or shape {tuple(points.shape[:-2])}, got {tuple(factor.shape)}"
        )
    return UnitObjective(model, box, factor.unsqueeze(-1)), box.clamp(points)


def projected_gradient_norm(
    u: Float[Tensor, "*batch d"], gradient: Float[Tensor, "*batch d"]
) -> Float[Tensor, "*batch"]:
    """How far a gradient step moves within the unit box, in its longest coordinate; 0 where stationary.

    Source: Byrd, Lu, Nocedal and Zhu 1995, Eq. 6.1.
    """
    return ((u - gradient).clamp(0.0, 1.0) - u).abs().amax(-1)

"""Scaling between raw units and the coordinates that networks train in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Scaling:
    """Between raw units and the coordinates that networks train in: inputs in [-1, 1]^d, target of unit std.

    Attributes:
        lower: lower bounds, ``(d,)``, float64, raw units.
        upper: upper bounds, ``(d,)``.
        y_mean: the target's mean, raw units.
        y_std: its standard deviation (divided by n, so that mean squared errors in unit targets are 1 - R^2).
    """

    lower: Float[Tensor, " d"]
    upper: Float[Tensor, " d"]
    y_mean: float
    y_std: float

    @classmethod
    def from_data(cls, bounds: Float[Tensor, "2 d"], y: Float[Tensor, " n"]) -> Scaling:
        """The scaling of a checked box and a checked target."""
        box = bounds.double()
        return cls(box[0], box[1], float(y.double().mean()), float(y.double().std(correction=0)))

    def unit(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Raw inputs to [-1, 1]^d in float64; the bounds go to -1 and 1 exactly."""
        lower, upper = self.lower.to(x.device), self.upper.to(x.device)
        return 2.0 * (x - lower) / (upper - lower) - 1.0

    def raw(self, unit: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """The inverse of ``unit``; -1 and 1 go to the bounds exactly."""
        weight = 0.5 * (unit.double() + 1.0)
        return torch.lerp(self.lower.to(unit.device), self.upper.to(unit.device), weight)

    def unit_target(self, y: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Raw target to zero mean and unit standard deviation, in float64."""
        return (y.double() - self.y_mean) / self.y_std

    def raw_target(self, unit: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The inverse of ``unit_target``."""
        return unit.double() * self.y_std + self.y_mean

    @property
    def gradient_factor(self) -> Float[Tensor, " d"]:
        """What a gradient in training coordinates is multiplied with to be one in raw units, ``(d,)``."""
        return self.y_std * 2.0 / (self.upper - self.lower)

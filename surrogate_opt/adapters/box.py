"""The box of allowed inputs: checks of bounds, and the map between raw units and the unit box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.errors import InputError


@dataclass(frozen=True)
class Box:
    """Lower and upper limits of the inputs, in raw units.

    An input whose limits are equal is fixed: its unit coordinate is 0 and its gradient counts as 0.

    Attributes:
        lower: ``(d,)``.
        upper: ``(d,)``, nowhere under ``lower``.
    """

    lower: Float[Tensor, " d"]
    upper: Float[Tensor, " d"]

    @property
    def dim(self) -> int:
        """Number of inputs."""
        return self.lower.shape[0]

    @property
    def bounds(self) -> Float[Tensor, "2 d"]:
        """Lower limits over upper limits."""
        return torch.stack([self.lower, self.upper])

    @property
    def width(self) -> Float[Tensor, " d"]:
        """Upper less lower limit, 0 for a fixed input."""
        return self.upper - self.lower

    @property
    def free(self) -> Bool[Tensor, " d"]:
        """Inputs that can move."""
        return self.width > 0

    def clamp(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """The nearest points of the box."""
        return torch.clamp(x, self.lower, self.upper)

    def to_unit(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Raw units to the unit box; not clamped, and 0 for fixed inputs."""
        safe_width = torch.where(self.free, self.width, 1.0)
        return torch.where(self.free, (x - self.lower) / safe_width, 0.0)

    def from_unit(self, u: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """The unit box to raw units; 0 and 1 give the limits to the last bit."""
        return torch.lerp(self.lower, self.upper, u)

    def unit_gradient(self, gradient: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """A gradient by raw inputs to one by unit coordinates."""
        return torch.where(self.free, gradient * self.width, 0.0)


def as_box(bounds: Any, *, dim: int | None = None) -> Box:
    """Check bounds and make a box of them.

    Args:
        bounds: ``(2, d)``, lower limits over upper limits: a tensor, an array or nested sequences.
        dim: the number of inputs expected, if known.

    Returns:
        The box, float64.

    Raises:
        InputError: not numbers, another shape, a limit that is not finite, or a lower over an upper one.
    """
    if isinstance(bounds, Box):
        bounds = bounds.bounds
    try:
        table = (
            bounds.detach().to("cpu", torch.float64)
            if isinstance(bounds, Tensor)
            else torch.from_numpy(np.array(bounds, dtype=np.float64))
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"bounds: expected numbers of shape (2, d), got {bounds!r}") from error
    if table.ndim != 2 or table.shape[0] != 2 or table.shape[1] == 0:
        raise InputError(f"bounds: expected shape (2, d), got {tuple(table.shape)}")
    if dim is not None and table.shape[1] != dim:
        raise InputError(f"bounds: expected shape (2, {dim}), got {tuple(table.shape)}")
    if not torch.isfinite(table).all():
        raise InputError("bounds: expected finite limits, got one that is infinite or NaN")
    crossed = (table[0] > table[1]).nonzero().flatten().tolist()
    if crossed:
        column = crossed[0]
        low, high = table[:, column].tolist()
        raise InputError(f"bounds: expected lower <= upper, got {low:g} > {high:g} for input {column}")
    return Box(table[0].clone(), table[1].clone())

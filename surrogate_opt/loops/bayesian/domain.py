"""The points a loop may propose: a box, some of whose inputs are integers, seen from the unit box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.quasirandom import SobolEngine

from surrogate_opt.adapters.box import Box, as_box
from surrogate_opt.errors import InputError

SAME_POINT = 1e-4
"""Two points are the same where no continuous input differs by more than this share of its range."""

_MOST_INPUTS = SobolEngine.MAXDIM


@dataclass(frozen=True)
class Domain:
    """A box with some integer inputs; make one with ``as_domain``.

    Attributes:
        box: limits in raw units; an input whose limits are equal is fixed, its unit coordinate is 0.
        integers: indices of the integer inputs, whose limits are whole numbers.
    """

    box: Box
    integers: tuple[int, ...] = ()

    @property
    def dim(self) -> int:
        """Number of inputs."""
        return self.box.dim

    @property
    def unit_bounds(self) -> Float[Tensor, "2 d"]:
        """Lower over upper limits of the unit coordinates: 0 and 1, or 0 and 0 for a fixed input."""
        return torch.stack([torch.zeros(self.dim).double(), self.box.free.double()])

    @property
    def is_finite(self) -> bool:
        """Whether every free input is an integer."""
        free = set(self.box.free.nonzero().flatten().tolist())
        return free <= set(self.integers)

    @property
    def num_points(self) -> float:
        """How many points there are; infinity with a continuous input."""
        return math.prod(int(width) + 1 for width in self.box.width.tolist()) if self.is_finite else math.inf

    @property
    def _steps(self) -> Float[Tensor, " k"]:
        """How many steps of 1 each integer input's range has, at least 1."""
        return self.box.width[list(self.integers)].clamp_min(1.0)

    def to_unit(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Raw units to the unit box."""
        return self.box.to_unit(x).clamp(0.0, 1.0)

    def to_raw(self, u: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """The unit box to raw units; integer inputs become whole numbers."""
        raw = self.box.from_unit(u)
        columns = list(self.integers)
        raw[..., columns] = raw[..., columns].round() + 0.0  # no -0.0
        return raw

    def snap(self, u: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """The nearest points of the unit box that may be proposed."""
        snapped = torch.minimum(u.clamp_min(0.0), self.unit_bounds[1])
        columns = list(self.integers)
        snapped[..., columns] = (snapped[..., columns] * self._steps).round() / self._steps
        return snapped

    def sobol(self, num_points: int, *, seed: int, first: int = 0) -> Float[Tensor, "n d"]:
        """Points of a scrambled Sobol sequence in the unit box; each integer gets an equal share.

        Args:
            num_points: how many.
            seed: of the scrambling.
            first: how many points of the sequence to pass over.
        """
        engine = SobolEngine(self.dim, scramble=True, seed=seed)  # type: ignore[no-untyped-call]  # torch
        if first:
            engine.fast_forward(first)  # type: ignore[no-untyped-call]  # torch
        points = engine.draw(num_points, dtype=torch.float64) * self.unit_bounds[1]
        columns = list(self.integers)
        cells = (points[..., columns] * (self._steps + 1.0)).floor()
        points[..., columns] = torch.minimum(cells, self._steps) / self._steps
        return points * self.unit_bounds[1]

    def same(self, a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Bool[Tensor, "n m"]:
        """Which points of the unit box count as the same: within ``SAME_POINT``, integers equal."""
        spacing = torch.full((self.dim,), SAME_POINT, dtype=torch.float64)
        spacing[list(self.integers)] = 0.5 / self._steps
        matches = torch.ones(len(a), len(b), dtype=torch.bool)
        for column, most in enumerate(spacing.tolist()):  # an array (n, m, d) may not fit into memory
            matches &= (a[:, None, column] - b[None, :, column]).abs() <= most
        return matches

    def distinct(self, points: Float[Tensor, "n d"], taken: Float[Tensor, "m d"]) -> Bool[Tensor, " n"]:
        """Which points are the same as none of those taken."""
        return ~self.same(points, taken).any(-1)

    def all_points(self) -> Float[Tensor, "n d"]:
        """Every point of a finite domain in the unit box."""
        columns = [
            torch.arange(int(width) + 1).double() / max(width, 1.0) for width in self.box.width.tolist()
        ]
        return torch.cartesian_prod(*columns).reshape(-1, self.dim)


def as_domain(bounds: Any, integers: Sequence[int] = ()) -> Domain:
    """Check bounds and integer inputs, and make a domain of them.

    Args:
        bounds: ``(2, d)``, lower limits over upper limits, raw units.
        integers: indices of integer inputs.

    Raises:
        InputError: bounds that cannot be used or leave no input free, or an index or a limit of an integer
            input that is no such thing.
    """
    box = as_box(bounds)
    if box.dim > _MOST_INPUTS:
        raise InputError(f"bounds: expected at most {_MOST_INPUTS} inputs, got {box.dim}")
    if not box.free.any():
        raise InputError("bounds: expected at least one input with lower < upper, got none")
    for index in integers:
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < box.dim:
            raise InputError(f"integers: expected input numbers from 0 to {box.dim - 1}, got {index!r}")
        low, high = float(box.lower[index]), float(box.upper[index])
        if low != round(low) or high != round(high):
            raise InputError(
                f"bounds: expected whole limits for integer input {index}, got {low:g} and {high:g}"
            )
    return Domain(box, tuple(sorted({int(index) for index in integers})))

"""Values of a function made into a Differentiable: gradients by autograd or by central differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters.box import Box
from surrogate_opt.errors import InputError
from surrogate_opt.types import GradientSource

Evaluate = Callable[[Tensor], Tensor]
"""Points ``(*batch, d)`` to values ``(*batch)``; each value depends on its own point alone."""

_MAX_POINTS = 1 << 18


@dataclass(frozen=True)
class AutogradModel:
    """A function of torch operations.

    Attributes:
        evaluate: points to values, differentiable by torch.
    """

    evaluate: Evaluate

    @property
    def gradient_source(self) -> GradientSource:
        """Always "autograd"."""
        return "autograd"

    def value(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Values alone, float64."""
        with torch.no_grad():
            return _as_points(self.evaluate(x.detach()), x)

    def value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        """Values and gradients, float64, from one forward and one backward pass.

        Raises:
            InputError: the values do not depend on x through torch operations.
        """
        values, gradient = autograd_values(self.evaluate, x)
        if gradient is None:
            raise InputError(
                "model: expected torch operations from inputs to values, got values without a graph; "
                "give bounds, and central differences are used"
            )
        return values, gradient


def autograd_values(evaluate: Evaluate, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Values and gradients by autograd; None where no graph leads from the values back to x."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        values = evaluate(leaf)
        if not values.requires_grad:
            return _as_points(values, x), None
        (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
    return _as_points(values, x), None if gradient is None else _as_points(gradient, x)


def _as_points(values: Tensor, x: Tensor) -> Tensor:
    """Detached, float64, on the device of the points."""
    return values.detach().to(x.device, torch.float64)


@dataclass(frozen=True)
class CentralDifferenceModel:
    """A function without derivatives: two evaluations for each input.

    Within a step of a limit of the box the difference is one-sided, so that no point of the box is evaluated
    outside it. Inputs of zero width get a gradient of 0.

    Attributes:
        evaluate: points to values.
        box: sets the step of each input.
        relative_step: step in widths of the box.
    """

    evaluate: Evaluate
    box: Box
    relative_step: float

    @property
    def gradient_source(self) -> GradientSource:
        """Always "central differences"."""
        return "central differences"

    def value(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Values alone, float64."""
        with torch.no_grad():
            return _as_points(self.evaluate(x.detach()), x)

    def value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        """Values and gradients, float64, from 2 d + 1 evaluations a point."""
        x = x.detach().double()
        if x.ndim == 1:
            value, gradient = self.value_and_gradient(x.unsqueeze(0))
            return value[0], gradient[0]
        block = max(1, _MAX_POINTS // (2 * x.shape[-1] + 1))
        starts = range(0, max(1, x.shape[-2]), block)
        parts = [self._differences(x[..., start : start + block, :]) for start in starts]
        return torch.cat([value for value, _ in parts], -1), torch.cat([slope for _, slope in parts], -2)

    def _differences(self, x: Float[Tensor, "*batch n d"]) -> tuple[Tensor, Tensor]:
        d = x.shape[-1]
        step = self.relative_step * self.box.width
        above = torch.minimum(x + step, torch.maximum(self.box.upper, x))
        below = torch.maximum(x - step, torch.minimum(self.box.lower, x))
        # Rows of each point: d neighbours above, d below, the point itself.
        points = x.unsqueeze(-2).repeat(*(1,) * (x.ndim - 1), 2 * d + 1, 1)
        inputs = torch.arange(d)
        points[..., inputs, inputs] = above
        points[..., d + inputs, inputs] = below
        values = self.value(points.flatten(-3, -2)).reshape(points.shape[:-1])
        span = above - below
        rise = values[..., :d] - values[..., d : 2 * d]
        return values[..., -1], torch.where(span > 0, rise / torch.where(span > 0, span, 1.0), 0.0)

"""Losses of a stack's outputs, each with the derivatives that training in closed form needs."""

from __future__ import annotations

from typing import Final, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

Outputs = Float[Tensor, "members n m"]


class Loss(Protocol):
    """A loss of every input's outputs, averaged over the batch by whoever uses it."""

    def value(self, output: Outputs, target: Tensor) -> Float[Tensor, "members n"]:
        """The loss of each input."""
        ...

    def gradient(self, output: Outputs, target: Tensor, count: int = 1) -> Outputs:
        """Its derivative by the outputs, over a count of inputs."""
        ...

    def curvature_product(self, output: Outputs, direction: Outputs) -> Outputs:
        """Its second derivative by the outputs, times a direction."""
        ...


class SquaredError:
    """Mean over the outputs of (f - y)^2; targets ``(members, n, m)``."""

    def value(self, output: Outputs, target: Tensor) -> Float[Tensor, "members n"]:
        """See ``Loss``."""
        return (output - target).square().mean(-1)

    def gradient(self, output: Outputs, target: Tensor, count: int = 1) -> Outputs:
        """See ``Loss``."""
        return (output - target).mul_(2.0 / (count * output.shape[-1]))

    def curvature_product(self, output: Outputs, direction: Outputs) -> Outputs:
        """See ``Loss``."""
        return direction * (2.0 / output.shape[-1])


class CrossEntropy:
    """-log softmax(f)_y; targets are labels, ``(members, n)`` or ``(1, n)`` for all members."""

    def value(self, output: Outputs, target: Tensor) -> Float[Tensor, "members n"]:
        """See ``Loss``."""
        labels = target.expand(output.shape[:2])[..., None]
        return -output.log_softmax(-1).gather(-1, labels)[..., 0]

    def gradient(self, output: Outputs, target: Tensor, count: int = 1) -> Outputs:
        """See ``Loss``: softmax(f) less one at the label."""
        labels = target.expand(output.shape[:2])[..., None]
        minus_one = torch.full_like(labels, -1.0, dtype=output.dtype)
        return output.softmax(-1).scatter_add_(-1, labels, minus_one).mul_(1.0 / count)

    def curvature_product(self, output: Outputs, direction: Outputs) -> Outputs:
        """See ``Loss``: (diag(p) - p p^T) v."""
        p = output.softmax(-1)
        weighted = p * direction
        return weighted - p * weighted.sum(-1, keepdim=True)


SQUARED_ERROR: Final = SquaredError()
CROSS_ENTROPY: Final = CrossEntropy()

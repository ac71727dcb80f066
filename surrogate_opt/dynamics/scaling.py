"""Between raw features and increments and the coordinates that networks train in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.dynamics.transitions import Transitions
from surrogate_opt.networks import StackedMLP


@dataclass(frozen=True, kw_only=True, eq=False)
class TransitionScaling:
    """Features in [-1, 1] by their box, every state's increments of zero mean and unit standard deviation.

    Past outputs enter as differences from what came after them: they hardly differ from it, and a network
    does not learn from a difference of two numbers that are nearly equal.

    Attributes:
        mix: from raw features to such differences, ``(features, features)``; the identity without copies.
        lower: lower bounds of the mixed features, ``(features,)``, float64, raw units.
        upper: upper bounds.
        mean: mean of each learned state's increments, ``(p,)``.
        std: standard deviation of each, divided by the number of rows.
    """

    mix: Float[Tensor, "features features"]
    lower: Float[Tensor, " features"]
    upper: Float[Tensor, " features"]
    mean: Float[Tensor, " p"]
    std: Float[Tensor, " p"]

    @classmethod
    def from_data(
        cls, rows: Transitions, encoding: Encoding, bounds: Float[Tensor, "2 columns"]
    ) -> TransitionScaling:
        """The scaling of checked transitions.

        Args:
            rows: what the increments, and the bounds of differences, are taken from.
            encoding: of states and actions.
            bounds: the box of states and actions, raw units.
        """
        mix = encoding.differences
        mixed = encoding.features(rows.states, rows.actions) @ mix
        lower, upper = encoding.feature_bounds(bounds)
        is_difference = (mix != 0).sum(0) > 1
        lower = torch.where(is_difference, mixed.amin(0), lower)
        upper = torch.where(is_difference, mixed.amax(0), upper)
        increments = encoding.increments(rows.states, rows.next_states)
        return cls(
            mix=mix,
            lower=lower,
            upper=torch.where(upper > lower, upper, lower + 1.0),
            mean=increments.mean(0),
            std=increments.std(0, correction=0),
        )

    def unit(self, features: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch features"]:
        """Raw features to [-1, 1]."""
        return 2.0 * (features @ self.mix - self.lower) / (self.upper - self.lower) - 1.0

    def unit_increments(self, increments: Float[Tensor, "*batch p"]) -> Float[Tensor, "*batch p"]:
        """Raw increments to zero mean and unit standard deviation."""
        return (increments - self.mean) / self.std

    def raw_increments(self, outputs: Float[Tensor, "*batch p"]) -> Float[Tensor, "*batch p"]:
        """The inverse of ``unit_increments``."""
        return outputs * self.std + self.mean

    def folded(self, stack: StackedMLP) -> StackedMLP:
        """Networks from raw features to raw increments: the scaling taken up by the first and last layers.

        With unit(x) = slope * (x mix) + shift, the first layer is (mix slope W) x + (b + shift W). One sweep
        less over every point, and whoever exports the networks needs no scaling beside them.
        """
        raw = stack.to(torch.float64)
        slope = 2.0 / (self.upper - self.lower)
        shift = -(self.upper + self.lower) / (self.upper - self.lower)
        raw.biases[0].add_(shift @ raw.weights[0].unsqueeze(1))
        raw.weights[0].copy_((self.mix * slope) @ raw.weights[0])
        raw.weights[-1].mul_(self.std)
        raw.biases[-1].mul_(self.std).add_(self.mean)
        return raw

"""C ensembles of M members each, evaluated as one model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data import Scaling
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties.dreg import mean_dreg_penalty
from surrogate_opt.types import GradientSource


@dataclass(frozen=True)
class EnsembleBatch:
    """C ensembles behind the ``DifferentiableEnsemble`` Protocol: x of shape ``(C, n, d)``, raw units.

    Attributes:
        stack: ``C * M`` members, those of one ensemble together, float64.
        num_members: M.
        scaling: shared by all.
    """

    stack: StackedMLP
    num_members: int
    scaling: Scaling

    gradient_source: GradientSource = "analytic"

    @property
    def num_ensembles(self) -> int:
        """C."""
        return self.stack.num_members // self.num_members

    def select(self, ensembles: list[int]) -> EnsembleBatch:
        """Some of the ensembles, in the given order."""
        members = [e * self.num_members + m for e in ensembles for m in range(self.num_members)]
        return EnsembleBatch(self.stack.select(members), self.num_members, self.scaling)

    def members(self, x: Float[Tensor, "C n d"]) -> Float[Tensor, "M C n"]:
        """Every member's values, members first."""
        return self._by_ensemble(self.scaling.raw_target(self.stack.forward(self._inputs(x))[..., 0]))

    def value(self, x: Float[Tensor, "C n d"]) -> Float[Tensor, "C n"]:
        """Mean over each ensemble's members."""
        return self.members(x).mean(0)

    def value_and_gradient(
        self, x: Float[Tensor, "C n d"]
    ) -> tuple[Float[Tensor, "C n"], Float[Tensor, "C n d"]]:
        """Mean over each ensemble's members, and its gradient."""
        values, gradients = self.members_value_and_gradient(x)
        return values.mean(0), gradients.mean(0)

    def members_value_and_gradient(
        self, x: Float[Tensor, "C n d"]
    ) -> tuple[Float[Tensor, "M C n"], Float[Tensor, "M C n d"]]:
        """Every member's values and gradients, members first."""
        with torch.no_grad():
            values, gradients = self.stack.value_and_gradient(self._inputs(x))
        return (
            self._by_ensemble(self.scaling.raw_target(values)),
            self._by_ensemble(gradients.mul_(self.scaling.gradient_factor)),
        )

    def derivative_proxy(self, x: Float[Tensor, "C n d"]) -> Float[Tensor, " C"]:
        """DREG's penalty over the points, mean over the members, in network coordinates."""
        return self.members_derivative_proxy(x).mean(0)

    def members_derivative_proxy(self, x: Float[Tensor, "C n d"]) -> Float[Tensor, "M C"]:
        """DREG's penalty of every member over the points."""
        return self._by_ensemble(mean_dreg_penalty(self.stack, self._inputs(x)))

    def _inputs(self, x: Tensor) -> Tensor:
        return self.scaling.unit(x).repeat_interleave(self.num_members, dim=0)

    def _by_ensemble(self, values: Tensor) -> Tensor:
        return values.view(-1, self.num_members, *values.shape[1:]).movedim(1, 0)

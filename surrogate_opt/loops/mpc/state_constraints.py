"""State bounds as an augmented Lagrangian: a squared hinge with multipliers, diagonal in the states."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surrogate_opt.loops.mpc.problem import ControlProblem

TOLERANCE = 1e-3
"""A bound counts as met where it is exceeded by no more than this share of the state's width."""
_BASE_WEIGHT = 100.0
_GROWTH = 4.0


class StateLimits:
    """The finite state bounds as constraints c(x) <= 0 in units of each state's width.

    Args:
        problem: gives the bounds; a state bounded on one side is scaled by its data box.
    """

    def __init__(self, problem: ControlProblem) -> None:
        lower, upper = problem.state_bounds
        width = upper - lower
        width = torch.where(width.isfinite(), width, problem.data_bounds[1] - problem.data_bounds[0])
        signs = torch.diag(1.0 / width)
        below, above = lower.isfinite(), upper.isfinite()
        self.matrix = torch.cat([-signs[below], signs[above]])  # (c, n)
        self._offset = torch.cat([-(lower / width)[below], (upper / width)[above]])

    @property
    def num(self) -> int:
        """How many bounds there are."""
        return len(self.matrix)

    def excess(self, x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch c"]:
        """By how much each bound is exceeded; negative where it is met."""
        return x @ self.matrix.T - self._offset


@dataclass(frozen=True, kw_only=True)
class AugmentedLagrangian:
    """sum over steps and bounds of (max(0, lambda + rho c)^2 - lambda^2) / (2 rho).

    Attributes:
        limits: the constraints c(x) <= 0.
        multipliers: lambda of each plan's states 1 to H, ``(R, H, c)``, in units of the cost.
        weight: rho of each plan, ``(R,)``, in units of the cost.

    Source:
        Nocedal & Wright 2006, Section 17.4.
    """

    limits: StateLimits
    multipliers: Float[Tensor, "R H c"]
    weight: Float[Tensor, " R"]

    @classmethod
    def begin(
        cls, limits: StateLimits, multipliers: Float[Tensor, "R H c"], scale: Float[Tensor, " R"]
    ) -> AugmentedLagrangian:
        """The first round: the weight is 100 times the cost of a typical step."""
        return cls(limits=limits, multipliers=multipliers, weight=_BASE_WEIGHT * scale)

    def select(self, rows: Int[Tensor, " r"]) -> AugmentedLagrangian:
        """Some of the plans."""
        return replace(self, multipliers=self.multipliers[rows], weight=self.weight[rows])

    def value(self, x: Float[Tensor, "R a H n"]) -> Float[Tensor, "R a"]:
        """What it adds to the cost of a plans in each row, from their states 1 to H."""
        multipliers, weight = self.multipliers.unsqueeze(1), self.weight[:, None, None, None]
        force = torch.relu(multipliers + weight * self.limits.excess(x))
        return ((force.square() - multipliers.square()) / (2.0 * weight)).sum((-2, -1))

    def derivatives(
        self, x: Float[Tensor, "R a H n"]
    ) -> tuple[Float[Tensor, "R a H n"], Float[Tensor, "R a H n"]]:
        """Gradient and the Hessian's diagonal by the states (exact: no bound couples two states)."""
        weight = self.weight[:, None, None, None]
        force = torch.relu(self.multipliers.unsqueeze(1) + weight * self.limits.excess(x))
        matrix = self.limits.matrix
        return force @ matrix, ((force > 0).double() * weight) @ matrix.square()

    def violated(self, x: Float[Tensor, "R H n"]) -> Bool[Tensor, " R"]:
        """Plans that exceed a bound by more than the tolerance."""
        return (self.limits.excess(x) > TOLERANCE).flatten(1).any(1)

    def updated(self, x: Float[Tensor, "R H n"]) -> AugmentedLagrangian:
        """The next round: lambda to max(0, lambda + rho c), and a larger weight."""
        raised = torch.relu(self.multipliers + self.weight[:, None, None] * self.limits.excess(x))
        return replace(
            self,
            multipliers=torch.where(raised.isfinite(), raised, self.multipliers),
            weight=_GROWTH * self.weight,
        )

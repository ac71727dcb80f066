"""The cost of whole plans and its derivatives, every time step in one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.loops.mpc.problem import ControlProblem
from surrogate_opt.loops.mpc.state_constraints import AugmentedLagrangian


class CostDerivatives(NamedTuple):
    """Gradients and diagonal Hessians along plans; actions in unit coordinates."""

    gx: Float[Tensor, "R a Hplus1 n"]
    hx: Float[Tensor, "R a Hplus1 n"]
    gu: Float[Tensor, "R a H m"]
    hu: Float[Tensor, "R a H m"]


@dataclass(frozen=True, kw_only=True)
class PlanObjective:
    """sum of the stage costs of steps 0 to H - 1, the terminal cost of state H, and the state constraints.

    Attributes:
        problem: cost and action bounds.
        time: the time step at which plans begin.
        constraints: of each row.
    """

    problem: ControlProblem
    time: int
    constraints: AugmentedLagrangian

    def select(self, rows: Int[Tensor, " r"]) -> PlanObjective:
        """The objective of some rows."""
        return replace(self, constraints=self.constraints.select(rows))

    def cost(self, x: Float[Tensor, "R a Hplus1 n"], u: Float[Tensor, "R a H m"]) -> Float[Tensor, "R a"]:
        """Total cost of a plans in each row, constraints included.

        Args:
            x: planned states, the initial one first, raw units.
            u: planned actions, unit coordinates.
        """
        total = plain_cost(self.problem, x, u, self.time)
        return total + self.constraints.value(x[:, :, 1:]) if self.constraints.limits.num else total

    def derivatives(self, x: Float[Tensor, "R a Hplus1 n"], u: Float[Tensor, "R a H m"]) -> CostDerivatives:
        """Derivatives of ``cost`` by each state and action, as if they were independent."""
        cost, half_width = self.problem.cost, self.problem.action_half_width
        gx, gu, hx, hu = cost.stage_derivatives(
            x[:, :, :-1], self.problem.raw_actions(u), _steps(u, self.time)
        )
        gx_end, hx_end = cost.terminal_derivatives(x[:, :, -1], self.time + u.shape[2])
        gx = torch.cat([gx.expand(x[:, :, :-1].shape), gx_end.unsqueeze(2)], 2)
        hx = torch.cat([hx.expand(x[:, :, :-1].shape), hx_end.expand_as(gx_end).unsqueeze(2)], 2)
        if self.constraints.limits.num:
            more_gradient, more_curvature = self.constraints.derivatives(x[:, :, 1:])
            gx[:, :, 1:] += more_gradient
            hx[:, :, 1:] += more_curvature
        return CostDerivatives(gx, hx, gu.expand_as(u) * half_width, hu.expand_as(u) * half_width.square())


def plain_cost(
    problem: ControlProblem, x: Float[Tensor, "R a Hplus1 n"], u: Float[Tensor, "R a H m"], time: int
) -> Float[Tensor, "R a"]:
    """Total cost of plans without state constraints; see ``PlanObjective``."""
    stages = problem.cost.stage(x[:, :, :-1], problem.raw_actions(u), _steps(u, time)).sum(-1)
    return stages + problem.cost.terminal(x[:, :, -1], time + u.shape[2])


def _steps(u: Float[Tensor, "R a H m"], time: int) -> Int[Tensor, "R a H"]:
    return torch.arange(time, time + u.shape[2]).expand(u.shape[:3])

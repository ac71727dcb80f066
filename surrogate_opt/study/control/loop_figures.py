"""What closed loops on a surrogate come to, beside the same controller's on the true plant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from surrogate_problems.plants import Plant
from torch import Tensor

from surrogate_opt.loops.mpc import ClosedLoop, true_plan_costs


@dataclass(frozen=True, kw_only=True, eq=False)
class LoopFigures:
    """Figures of L closed loops, one entry each.

    Attributes:
        cost: closed-loop cost; infinite where the plant was lost.
        cost_ratio: the same over the oracle's from the same start, with the same noise.
        success: whether the plant did what it was to do.
        plan_gap: sum over the steps of a plan's cost under the truth less what it promised, over the sum of
            the costs of the oracle's plans; steps whose plan diverged are left out of both sums.
        action_error: mean distance to the action that the oracle took at the same time, in ranges of the
            actions.
        chatter: mean change of the actions from step to step, in ranges of the actions.
        violation: share of the steps after which a state was beyond its bounds.
        diverged: share of the steps whose plan was not finite or blew up.
    """

    cost: Float[Tensor, " L"]
    cost_ratio: Float[Tensor, " L"]
    success: Bool[Tensor, " L"]
    plan_gap: Float[Tensor, " L"]
    action_error: Float[Tensor, " L"]
    chatter: Float[Tensor, " L"]
    violation: Float[Tensor, " L"]
    diverged: Float[Tensor, " L"]

    @classmethod
    def of(cls, plant: Plant, run: ClosedLoop, oracle: ClosedLoop) -> LoopFigures:
        """The figures of M models' loops from the oracle's S starts, L = M S; both runs kept their plans."""
        times = run.num_models
        width = plant.action_bounds[1] - plant.action_bounds[0]
        cost, own = _finite(run.cost), _finite(oracle.cost).repeat(times)
        promised = torch.where(run.diverged, 0.0, true_plan_costs(plant, run) - run.planned_costs)
        reference = torch.where(run.diverged, 0.0, oracle.planned_costs.repeat(times, 1))
        actions = oracle.actions.repeat(times, 1, 1)
        return cls(
            cost=cost,
            cost_ratio=cost / own,
            success=plant.succeeded(run.states),
            plan_gap=promised.sum(1) / reference.sum(1),
            action_error=((run.actions - actions).abs() / width).mean((1, 2)),
            chatter=(run.actions.diff(dim=1).abs() / width).mean((1, 2)),
            violation=(~plant.within_bounds(run.states[:, 1:])).double().mean(1),
            diverged=run.diverged.double().mean(1),
        )

    def rows(self, num_starts: int) -> list[list[dict[str, Any]]]:
        """Plain numbers by name, a list of rows for each model, a row a start."""
        columns = {name: values.tolist() for name, values in vars(self).items()}
        loops = [
            {"start": loop % num_starts} | {name: values[loop] for name, values in columns.items()}
            for loop in range(len(self.cost))
        ]
        return [loops[first : first + num_starts] for first in range(0, len(loops), num_starts)]


def _finite(cost: Float[Tensor, " L"]) -> Float[Tensor, " L"]:
    return torch.where(cost.isfinite(), cost, torch.inf)

"""When a plan leads nowhere, and the search for another one.

The plan that swings a pendulum up is no neighbor of the one that leans against its weight. So where plans
stop getting cheaper from one control step to the next, far from the target, others are searched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from surrogate_opt.data.checks import check_count
from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.planning import PlanningTask, Solution


@dataclass(frozen=True, kw_only=True)
class StallRule:
    """What counts as stalled.

    Attributes:
        progress: a plan stalls where it is not cheaper than the last one by this share of it.
        enough: but not where it costs less than this share of a plan at rest at the beginning.
        every: stalled plans are searched anew in every so-many-th control step only, as a search takes many
            times as long as going on.

    Raises:
        InputError: a share that is negative or not finite, or no positive number of steps.
    """

    progress: float = 5e-3
    enough: float = 2e-2
    every: int = 4

    def __post_init__(self) -> None:
        for name in ("progress", "enough"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name}: expected 0 or more; came {getattr(self, name)}")
        check_count("every", self.every, 1)

    def solve(
        self,
        task: PlanningTask,
        go_on: Callable[[PlanningTask], Solution],
        search: Callable[[PlanningTask], Solution],
    ) -> Solution:
        """Plans from the last ones, or searched where there is none; searched also where these stall.

        A plan that has no finite cost is searched anew at once.

        Args:
            task: as the planner was given it.
            go_on: plans from the last plan.
            search: plans from nothing.
        """
        if task.fresh:
            return search(task)
        solution = go_on(task)
        rest = task.objective.problem.horizon * task.scale
        aim = torch.maximum((1.0 - self.progress) * task.last_cost, self.enough * rest)
        cost = torch.where(solution.cost.isfinite(), solution.cost, torch.inf)
        due = task.objective.time % self.every == 0
        stalled = (cost > aim if due else cost.isinf()).nonzero()[:, 0]
        if not len(stalled):
            return solution
        found = search(task.select(stalled))
        cheaper = (found.cost < cost[stalled]).nonzero()[:, 0]
        return solution.replaced(stalled[cheaper], found.select(cheaper))

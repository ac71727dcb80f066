"""One control step as planners see it: a task in, the best plans out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.loops.mpc.loop_model import LoopModel
from surrogate_opt.loops.mpc.objective import PlanObjective


@dataclass(frozen=True, kw_only=True)
class PlanningTask:
    """What R closed loops want planned; each must come out as it would alone.

    Attributes:
        model: one row a loop.
        objective: likewise.
        initial: present states, ``(R, n)``, raw units, all copies.
        actions: the last plan, shifted by a step, ``(R, H, m)``, unit coordinates.
        states: those of the last plan, shifted likewise, ``(R, H + 1, n)``; meaningless where ``fresh``.
        fresh: whether there was no last plan worth following, for all of these loops: at the beginning, and
            after a plan diverged.
        last_cost: what the last plan promised, ``(R,)``; meaningless where ``fresh``.
        scale: a typical cost of one step, ``(R,)``.
        generators: one for each loop.
    """

    model: LoopModel
    objective: PlanObjective
    initial: Float[Tensor, "R n"]
    actions: Float[Tensor, "R H m"]
    states: Float[Tensor, "R Hplus1 n"]
    fresh: bool
    last_cost: Float[Tensor, " R"]
    scale: Float[Tensor, " R"]
    generators: Sequence[torch.Generator]

    def cost(self, x: Float[Tensor, "R Hplus1 n"], u: Float[Tensor, "R H m"]) -> Float[Tensor, " R"]:
        """Total cost of one plan for each loop, constraints included."""
        return self.objective.cost(x.unsqueeze(1), u.unsqueeze(1))[:, 0]

    def select(self, rows: Int[Tensor, " r"]) -> PlanningTask:
        """Some of the loops."""
        return PlanningTask(
            model=self.model.select(rows),
            objective=self.objective.select(rows),
            initial=self.initial[rows],
            actions=self.actions[rows],
            states=self.states[rows],
            fresh=self.fresh,
            last_cost=self.last_cost[rows],
            scale=self.scale[rows],
            generators=[self.generators[row] for row in rows.tolist()],
        )


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The best plans a planner found, perhaps not finite.

    Attributes:
        actions: ``(R, H, m)``, unit coordinates.
        states: ``(R, H + 1, n)``, raw units, all copies.
        cost: as the objective counts it, ``(R,)``.
        multipliers: of the state constraints, updated by these plans, ``(R, H, c)``.
    """

    actions: Float[Tensor, "R H m"]
    states: Float[Tensor, "R Hplus1 n"]
    cost: Float[Tensor, " R"]
    multipliers: Float[Tensor, "R H c"]

    def select(self, rows: Int[Tensor, " r"]) -> Solution:
        """Some of the plans."""
        return Solution(
            actions=self.actions[rows],
            states=self.states[rows],
            cost=self.cost[rows],
            multipliers=self.multipliers[rows],
        )

    def replaced(self, rows: Int[Tensor, " r"], others: Solution) -> Solution:
        """With other plans in some rows."""
        chosen = torch.arange(len(self.cost))
        chosen[rows] = len(self.cost) + torch.arange(len(rows))
        return joined([self, others]).select(chosen)


def joined(parts: Sequence[Solution]) -> Solution:
    """The plans of several solutions, one after the other."""
    return Solution(
        actions=torch.cat([part.actions for part in parts]),
        states=torch.cat([part.states for part in parts]),
        cost=torch.cat([part.cost for part in parts]),
        multipliers=torch.cat([part.multipliers for part in parts]),
    )


class Planner(Protocol):
    """A way to minimize the cost of plans; frozen, its settings are its fields."""

    def solve(self, task: PlanningTask) -> Solution:
        """Plans for every loop of the task."""
        ...


def best_sequences(task: PlanningTask, sequences: Float[Tensor, "R P H m"]) -> Solution:
    """The best of several action sequences in each loop, unit coordinates."""
    states = task.model.rollout(task.initial, sequences)
    cost = task.objective.cost(states, sequences)
    best = least(cost)
    rows = torch.arange(len(best))
    chosen = states[rows, best]
    return Solution(
        actions=sequences[rows, best],
        states=chosen,
        cost=cost[rows, best],
        multipliers=task.objective.constraints.updated(chosen[:, 1:]).multipliers,
    )


def least(cost: Float[Tensor, "R P"]) -> Tensor:
    """Index of the least finite cost in each row, ``(R,)``; 0 where none is finite."""
    return torch.where(cost.isfinite(), cost, torch.inf).argmin(1)

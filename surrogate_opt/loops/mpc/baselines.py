"""Doing nothing, and doing anything: what every controller has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from surrogate_opt.loops.mpc.planning import PlanningTask, Solution, best_sequences


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Action 0, or the nearest the bounds allow, for ever."""

    def solve(self, task: PlanningTask) -> Solution:
        """See ``Planner``."""
        problem = task.objective.problem
        return best_sequences(task, problem.rest.expand(len(task.initial), 1, problem.horizon, -1))


@dataclass(frozen=True, kw_only=True)
class RandomActions:
    """Uniform actions, drawn anew in every control step."""

    def solve(self, task: PlanningTask) -> Solution:
        """See ``Planner``."""
        shape = (1, *task.actions.shape[1:])
        draws = [torch.rand(shape, generator=generator, dtype=torch.float64) for generator in task.generators]
        return best_sequences(task, 2.0 * torch.stack(draws) - 1.0)

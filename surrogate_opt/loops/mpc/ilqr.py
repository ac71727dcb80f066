"""Iterative LQR with control limits: a planner that needs the model's derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch

from surrogate_opt.data.checks import check_count
from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.ilqr_solver import Iterate, optimize, track
from surrogate_opt.loops.mpc.planning import PlanningTask, Solution, least
from surrogate_opt.loops.mpc.stalling import StallRule
from surrogate_opt.loops.mpc.warm_starts import fresh_sequences

_HEAT_ITERATIONS, _FINALISTS = 3, 2


@dataclass(frozen=True, kw_only=True)
class ILQR:
    """Iterative LQR with control limits; state bounds by an augmented Lagrangian.

    One call of the model's ``linearize`` serves all time steps and loops, one ``step`` all step sizes.

    Attributes:
        iterations: at most so many in a control step that has the last plan to begin from.
        search_sequences: from how many sequences plans are searched where there is none, or plans stall.
        search_iterations: at most so many iterations then, of the two that are best after three others.
        stall: when plans stall.
        tolerance: iterations stop where the promised decrease is under this share of the plan's cost and a
            typical step's together.
        constraint_rounds: how often multipliers of violated state bounds are updated in one control step.

    Raises:
        InputError: a setting out of range.

    Source:
        Tassa, Mansard and Todorov 2014, "Control-limited differential dynamic programming". Second
        derivatives of the dynamics are left out (Li and Todorov 2004).
    """

    iterations: int = 3
    search_sequences: int = 8
    search_iterations: int = 8
    stall: StallRule = field(default_factory=StallRule)
    tolerance: float = 1e-4
    constraint_rounds: int = 3

    def __post_init__(self) -> None:
        for name in ("iterations", "search_sequences", "search_iterations", "constraint_rounds"):
            check_count(name, getattr(self, name), 1)
        if not 0.0 <= self.tolerance < math.inf:
            raise InputError(f"tolerance: expected 0 or more; came {self.tolerance}")

    def solve(self, task: PlanningTask) -> Solution:
        """See ``Planner``."""
        return self.stall.solve(task, self._go_on, self._search)

    def _go_on(self, task: PlanningTask) -> Solution:
        """From the last plan."""
        tracked = track(task, tolerance=self.tolerance)
        return self._improve(task, tracked, self.iterations - 1, self.constraint_rounds)

    def _search(self, task: PlanningTask) -> Solution:
        """From rest and from random sequences; after a heat, the most promising ones go on."""
        num_loops, num_sequences = len(task.initial), self.search_sequences
        loops = torch.arange(num_loops)
        first = task.select(loops.repeat_interleave(num_sequences))
        u = fresh_sequences(task.objective.problem, task.generators, num_sequences).flatten(0, 1)
        x = first.model.rollout(first.initial, u.unsqueeze(1))[:, 0]
        heat = optimize(
            first, Iterate.unsettled(first, x, u), iterations=_HEAT_ITERATIONS, tolerance=self.tolerance
        )
        num_finalists = min(_FINALISTS, num_sequences)
        order = torch.where(heat.cost.isfinite(), heat.cost, torch.inf).reshape(num_loops, -1).argsort(1)
        final = task.select(loops.repeat_interleave(num_finalists))
        winners = (order[:, :num_finalists] + num_sequences * loops[:, None]).flatten()
        solution = self._improve(final, heat.select(winners), self.search_iterations, self.constraint_rounds)
        best = least(solution.cost.reshape(num_loops, num_finalists))
        return solution.select(best + loops * num_finalists)

    def _improve(self, task: PlanningTask, start: Iterate, iterations: int, rounds: int) -> Solution:
        """Improve plans, in rounds of the augmented Lagrangian: plans that meet their bounds leave."""
        plans = optimize(task, start, iterations=iterations, tolerance=self.tolerance)
        constraints = task.objective.constraints
        updated = constraints.updated(plans.x[:, 1:])
        solution = Solution(actions=plans.u, states=plans.x, cost=plans.cost, multipliers=updated.multipliers)
        violated = constraints.violated(plans.x[:, 1:]).nonzero()[:, 0]
        if rounds == 1 or not len(violated):
            return solution
        part = task.select(violated)
        harder = replace(part, objective=replace(part.objective, constraints=updated.select(violated)))
        again = Iterate.unsettled(harder, plans.x[violated], plans.u[violated])
        met = self._improve(harder, again, iterations, rounds - 1)
        # costs compare plans, so they are all those of the first round's objective
        return solution.replaced(violated, replace(met, cost=part.cost(met.states, met.actions)))

"""Gradient shooting: whole action sequences optimized by L-BFGS-B or Adam, from several at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data.checks import check_count, refuse_unknown
from surrogate_opt.loops.lbfgsb import LBFGSBConfig, lbfgsb
from surrogate_opt.loops.mpc.adjoint import SequenceCost
from surrogate_opt.loops.mpc.ilqr_solver import track
from surrogate_opt.loops.mpc.planning import PlanningTask, Solution, best_sequences
from surrogate_opt.loops.mpc.warm_starts import fresh_sequences
from surrogate_opt.loops.projected import AdamConfig, adam

Optimizer = Literal["lbfgsb", "adam"]


@dataclass(frozen=True, kw_only=True)
class Shooting:
    """Single shooting by a gradient optimizer on the box of actions; the best of several sequences wins.

    Attributes:
        optimizer: what follows the gradient.
        steps: at most so many in a control step that has the last plan to begin from.
        search_steps: at most so many without one.
        sequences: from how many sequences each control step begins: the last plan, kept to by its feedback
            (without it, an unstable plant leaves it), rest, and random ones.
        learning_rate: Adam's first step, in widths of the box.

    Raises:
        InputError: a setting out of range.
    """

    optimizer: Optimizer = "lbfgsb"
    steps: int = 15
    search_steps: int = 100
    sequences: int = 4
    learning_rate: float = 0.05

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            refuse_unknown("optimizer", self.optimizer, get_args(Optimizer))
        for name in ("steps", "search_steps", "sequences"):
            check_count(name, getattr(self, name), 1)

    def solve(self, task: PlanningTask) -> Solution:
        """See ``Planner``."""
        sequences = fresh_sequences(task.objective.problem, task.generators, self.sequences)
        if not task.fresh:
            followed = track(task, tolerance=0.0, step_sizes=(0.0,)).u
            usable = followed.isfinite().flatten(1).all(1)[:, None, None]
            followed = torch.where(usable, followed, task.actions)
            sequences = torch.cat([followed.unsqueeze(1), sequences[:, :-1]], 1)
        cost = SequenceCost(model=task.model, objective=task.objective, initial=task.initial)
        steps = self.search_steps if task.fresh else self.steps
        ends = self._minimize(cost, sequences.flatten(2), task.scale, steps)
        return best_sequences(task, ends.view_as(sequences))

    def _minimize(
        self, cost: SequenceCost, starts: Float[Tensor, "R P d"], scale: Float[Tensor, " R"], steps: int
    ) -> Float[Tensor, "R P d"]:
        unit_box = torch.tensor([[-1.0], [1.0]], dtype=torch.float64).expand(2, starts.shape[-1])
        if self.optimizer == "adam":
            rates = AdamConfig(steps=steps, learning_rate=self.learning_rate)
            return adam(cost, starts, unit_box, rates, scale=scale).end
        return lbfgsb(
            cost, starts, unit_box, LBFGSBConfig(max_steps=steps, value_tolerance=0.0), scale=scale
        ).end

"""The cross-entropy method: a planner that needs no gradient."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data.checks import check_count
from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc.planning import PlanningTask, Solution, best_sequences
from surrogate_opt.loops.mpc.sampling import check_positive, colored_noise, sampled_costs
from surrogate_opt.loops.mpc.stalling import StallRule


@dataclass(frozen=True, kw_only=True)
class CEM:
    """A normal distribution, refitted to the best of its samples; ``linearize`` is never called.

    Attributes:
        samples: sequences in each loop and iteration.
        elites: of them, how many the next mean and standard deviation come from.
        iterations: in a control step that has the last plan to begin from.
        search_iterations: likewise without one, and where plans stall.
        std: of the first samples around the last plan, in half widths of the action box.
        search_std: likewise of a search's.
        momentum: share of the old mean and standard deviation that stays.
        noise_exponent: how fast the noise's power falls with frequency; 0 is white.
        stall: when plans stall.

    Raises:
        InputError: a setting out of range.

    Source:
        Rubinstein 1999; noise that varies slowly and elites that stay among the next samples, after Pinneri
        et al. 2020 (iCEM).
    """

    samples: int = 256
    elites: int = 12
    iterations: int = 5
    search_iterations: int = 15
    std: float = 0.15
    search_std: float = 0.6
    momentum: float = 0.1
    noise_exponent: float = 1.0
    stall: StallRule = field(default_factory=StallRule)

    def __post_init__(self) -> None:
        check_count("elites", self.elites, 2)
        check_count("samples", self.samples, self.elites)
        check_count("iterations", self.iterations, 1)
        check_count("search_iterations", self.search_iterations, 1)
        check_positive(std=self.std, search_std=self.search_std)
        if not 0.0 <= self.momentum < 1.0:
            raise InputError(f"momentum: expected a number in [0, 1); came {self.momentum}")

    def solve(self, task: PlanningTask) -> Solution:
        """See ``Planner``."""
        return self.stall.solve(task, self._go_on, self._search)

    def _go_on(self, task: PlanningTask) -> Solution:
        return self._refit(task, task.actions.unsqueeze(1), self.std, self.iterations)

    def _search(self, task: PlanningTask) -> Solution:
        rest = task.objective.problem.rest.expand_as(task.actions).unsqueeze(1)
        return self._refit(task, rest, self.search_std, self.search_iterations)

    def _refit(
        self, task: PlanningTask, first: Float[Tensor, "R 1 H m"], first_std: float, iterations: int
    ) -> Solution:
        mean, std, kept = first, torch.full_like(first, first_std), first
        for _ in range(iterations):
            noise = colored_noise(task, self.samples, self.noise_exponent)
            samples = torch.cat([kept, (mean + std * noise).clamp_(-1.0, 1.0)], 1)
            best = sampled_costs(task, samples).topk(self.elites, dim=1, largest=False).indices
            kept = samples.take_along_dim(best[..., None, None], 1)
            mean = torch.lerp(kept.mean(1, keepdim=True), mean, self.momentum)
            std = torch.lerp(kept.std(1, keepdim=True), std, self.momentum)
        return best_sequences(task, torch.cat([kept[:, :1], mean, first], 1))

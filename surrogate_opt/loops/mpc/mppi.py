"""Model-predictive path integral control: a planner that needs no gradient."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data.checks import check_count
from surrogate_opt.loops.mpc.planning import PlanningTask, Solution, best_sequences
from surrogate_opt.loops.mpc.sampling import check_positive, colored_noise, sampled_costs
from surrogate_opt.loops.mpc.stalling import StallRule


@dataclass(frozen=True, kw_only=True)
class MPPI:
    """The cost-weighted mean of random sequences; the model's ``linearize`` is never called.

    Attributes:
        samples: sequences in each loop and iteration.
        iterations: updates of the mean in a control step that has the last plan to begin from.
        search_iterations: likewise without one, and where plans stall.
        std: of the first noise around the last plan, in half widths of the action box.
        search_std: likewise of a search's.
        shrink: the noise's factor from one iteration to the next.
        temperature: in standard deviations of the samples' costs.
        noise_exponent: how fast the noise's power falls with frequency; 0 is white.
        stall: when plans stall.

    Raises:
        InputError: a setting out of range.

    Source:
        Williams et al. 2017, "Information theoretic MPC for model-based reinforcement learning", Algorithm 2,
        with their gamma at 0 (no extra control cost). Costs are weighted in standard deviations, so
        that the temperature has no unit; the mean is updated several times with shrinking noise, which
        varies slowly.
    """

    samples: int = 256
    iterations: int = 4
    search_iterations: int = 12
    std: float = 0.15
    search_std: float = 0.5
    shrink: float = 0.7
    temperature: float = 0.3
    noise_exponent: float = 1.0
    stall: StallRule = field(default_factory=StallRule)

    def __post_init__(self) -> None:
        check_count("samples", self.samples, 2)
        check_count("iterations", self.iterations, 1)
        check_count("search_iterations", self.search_iterations, 1)
        check_positive(
            std=self.std, search_std=self.search_std, shrink=self.shrink, temperature=self.temperature
        )

    def solve(self, task: PlanningTask) -> Solution:
        """See ``Planner``."""
        return self.stall.solve(task, self._go_on, self._search)

    def _go_on(self, task: PlanningTask) -> Solution:
        return self._average(task, task.actions, self.std, self.iterations)

    def _search(self, task: PlanningTask) -> Solution:
        rest = task.objective.problem.rest.expand_as(task.actions)
        return self._average(task, rest, self.search_std, self.search_iterations)

    def _average(
        self, task: PlanningTask, first: Float[Tensor, "R H m"], std: float, iterations: int
    ) -> Solution:
        mean = first
        for iteration in range(iterations):
            noise = colored_noise(task, self.samples - 1, self.noise_exponent)
            around = mean.unsqueeze(1)
            noisy = (around + std * self.shrink**iteration * noise).clamp_(-1.0, 1.0)
            samples = torch.cat([around, noisy], 1)
            weights = path_weights(sampled_costs(task, samples), self.temperature)
            mean = (weights[..., None, None] * samples).sum(1)
        return best_sequences(task, torch.stack([mean, first], 1))


def path_weights(cost: Float[Tensor, "R num"], temperature: float) -> Float[Tensor, "R num"]:
    """exp(-cost / (temperature x standard deviation)), summing to one in each loop.

    Infinite costs weigh nothing; where all are infinite, the first sequence, the mean itself, is kept.
    """
    finite = cost.isfinite()
    count = finite.sum(1, keepdim=True).clamp_min(1)
    mean = torch.where(finite, cost, 0.0).sum(1, keepdim=True) / count
    deviation = torch.where(finite, cost - mean, 0.0)
    std = (deviation.square().sum(1, keepdim=True) / count).sqrt().clamp_min(1e-300)
    logits = torch.where(finite, -deviation / (temperature * std), -torch.inf)
    logits[:, 0] = torch.where(finite.any(1), logits[:, 0], 0.0)
    return logits.softmax(1)

"""One run of a loop on a known problem, and what each proposal promised against what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.special import ndtri
from surrogate_problems.problem import Problem
from torch import Tensor

from surrogate_opt.diagnostics import sobol_points
from surrogate_opt.loops.bayesian import BayesianLoop
from surrogate_opt.study.bayesian.promises import promised_and_phantom
from surrogate_opt.study.strict_specs import mixed_seed

NUM_SOBOL_SEARCHES = 64
"""Searches without a model beside the run: one alone says more of its luck than of the problem."""

Report = Callable[[int, float], None]
"""Is told how many evaluations are done, and the regret so far."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BayesianRun:
    """What came of a loop.

    Attributes:
        problem: the truth.
        history: one row an evaluation: the loop's history, then batch (0 for the first points), truth (y
            without its noise), regret (of the best truth so far), optimism (truth less prediction), promised
            (an improvement on the best y told before the batch) and phantom (promised, and the truth is no
            improvement on the best one before). Regret and optimism are in standard deviations of the truth.
        num_initial: how many of the evaluations are first points.
        recommended_regret: of the point that the loop recommends at the end.
        sobol_regret: of Sobol searches that evaluate as often, ``(64, n)``.
        seconds: what all steps took.
    """

    problem: Problem
    history: pd.DataFrame
    num_initial: int
    recommended_regret: float
    sobol_regret: Float[np.ndarray, "s n"]
    seconds: float

    @property
    def proposals(self) -> pd.DataFrame:
        """The rows that came with a prediction."""
        return self.history[self.history["kind"] == "model"]

    @property
    def phantom_share(self) -> float:
        """Of the proposals that promised an improvement, those that brought none; NaN without a promise."""
        return float(self.proposals.loc[self.proposals["promised"], "phantom"].mean())

    def coverage(self, level: float) -> float:
        """Share of the proposals whose truth was inside of the predicted central interval."""
        proposals = self.proposals
        half_width = float(ndtri(0.5 + level / 2)) * proposals["predicted_std"]
        return float(((proposals["truth"] - proposals["predicted_mean"]).abs() <= half_width).mean())


def run_loop(
    problem: Problem,
    loop: BayesianLoop,
    *,
    evaluations: int,
    batch: int,
    noise_std: float,
    seed: int,
    report: Report,
) -> BayesianRun:
    """Let a loop minimize a problem.

    Args:
        problem: the truth.
        loop: made for its box, with nothing told yet.
        evaluations: n, first points included.
        batch: points a step after the first ones.
        noise_std: of what the loop is told, in standard deviations of the truth.
        seed: of noise and of the Sobol searches.
        report: told of the progress.
    """
    generator = torch.Generator().manual_seed(mixed_seed(seed, 1))
    noise = torch.randn(evaluations, generator=generator, dtype=torch.float64)
    noise *= noise_std * problem.output_std
    num_initial = min(loop.state.settings.num_initial, evaluations)
    truth = torch.empty(0, dtype=torch.float64)
    batches: list[int] = []
    began = time.perf_counter()
    while len(truth) < evaluations:
        done = len(truth)
        x = torch.from_numpy(loop.ask(min(batch, evaluations - done) if done else num_initial))
        values = problem.value(x)
        loop.tell(x, values + noise[done : done + len(x)])
        batches += [batches[-1] + 1 if done else 0] * len(x)
        truth = torch.cat([truth, values])
        report(len(truth), _regret(problem, truth.min()))
    seconds = time.perf_counter() - began
    recommended = problem.value(torch.from_numpy(loop.recommend())[None])[0]
    return BayesianRun(
        problem=problem,
        history=judge_proposals(loop.history, problem, truth.numpy(), np.array(batches)),
        num_initial=num_initial,
        recommended_regret=_regret(problem, recommended),
        sobol_regret=_sobol_regret(problem, evaluations, seed),
        seconds=seconds,
    )


def judge_proposals(
    history: pd.DataFrame,
    problem: Problem,
    truth: Float[np.ndarray, " n"],
    batches: Int[np.ndarray, " n"],
) -> pd.DataFrame:
    """A loop's history with what came of each proposal; see ``BayesianRun.history``.

    Args:
        history: of a loop that minimizes.
        problem: what was evaluated.
        truth: y without its noise.
        batches: which step each row belongs to, ascending from 0.
    """
    scale = problem.output_std
    predicted, told = history["predicted_mean"].to_numpy(), history["y"].to_numpy()
    promised, phantom = promised_and_phantom(predicted, told, truth, scale, steps=batches)
    return history.assign(
        batch=batches,
        truth=truth,
        regret=(np.minimum.accumulate(truth) - float(problem.optimal_value)) / scale,
        optimism=(truth - history["predicted_mean"]) / scale,
        promised=promised,
        phantom=phantom,
    )


def _sobol_regret(problem: Problem, evaluations: int, seed: int) -> Float[np.ndarray, "s n"]:
    points = [
        sobol_points(problem.bounds, evaluations, mixed_seed(seed, 2, number))
        for number in range(NUM_SOBOL_SEARCHES)
    ]
    best = problem.value(torch.stack(points)).cummin(1).values
    return ((best - float(problem.optimal_value)) / problem.output_std).numpy()


def _regret(problem: Problem, value: Tensor) -> float:
    """Of a noise-free value, in standard deviations of the truth."""
    return (float(value) - float(problem.optimal_value)) / problem.output_std

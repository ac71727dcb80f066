"""Computes one cell: a model's search on an instance of a problem, paired with every other model's."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri
from surrogate_problems.problem import Problem
from torch import Tensor

from surrogate_opt.diagnostics import sobol_points
from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.loops.bayesian.numerics import NumericalError
from surrogate_opt.study.bayesian.promises import promised_and_phantom
from surrogate_opt.study.bayesian.searches import NO_PREDICTION, Prediction, Search, make_search
from surrogate_opt.study.bayesian.spec import BayesianCell
from surrogate_opt.study.strict_specs import mixed_seed

CHECKPOINT_INTERVAL: Final = 10
NUM_TEST_POINTS: Final = 512
_HALF_WIDTHS: Final = {50: float(ndtri(0.75)), 95: float(ndtri(0.975))}  # standard deviations, by percent


@dataclass(frozen=True, kw_only=True)
class BayesianCellResult:
    """What a run leaves in the store: plain numbers and strings by name.

    Attributes:
        truth: figures of the instance itself.
        proposals: one row an evaluation; none where the search raised.
        checkpoints: one row a checkpoint; none where the search raised.
        failures: a row with its message where the search raised, else none.
    """

    truth: dict[str, Any]
    proposals: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The tables by name, as they are stored."""
        return {"proposals": self.proposals, "checkpoints": self.checkpoints, "failures": self.failures}

    @property
    def arrays(self) -> dict[str, Tensor]:
        """None are stored."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What the models' runs on an instance share.

    Attributes:
        problem: the truth.
        initial: first points ``(k, d)``, raw units.
        noise: of each evaluation ``(evaluations,)``, raw units: the same for every model.
        test_x: points ``(512, d)`` of the box at which models are tested.
        test_truth: noise-free values there.
    """

    problem: Problem
    initial: Float[Tensor, "k d"]
    noise: Float[Tensor, " n"]
    test_x: Float[Tensor, "t d"]
    test_truth: Float[Tensor, " t"]

    @classmethod
    def of(cls, cell: BayesianCell) -> Experiment:
        """The same for every model: the cell's seeds do not depend on it."""
        problem = cell.kind.make(cell.instance, cell.spec.dim)
        generator = torch.Generator().manual_seed(mixed_seed(cell.seed, 1))
        noise = torch.randn(cell.spec.evaluations, generator=generator, dtype=torch.float64)
        test_x = sobol_points(problem.bounds, NUM_TEST_POINTS, mixed_seed(cell.seed, 2))
        return cls(
            problem=problem,
            initial=sobol_points(problem.bounds, cell.num_initial, cell.seed),
            noise=cell.spec.noise_std * problem.output_std * noise,
            test_x=test_x,
            test_truth=problem.value(test_x),
        )

    def regret(self, truth: float) -> float:
        """Of a noise-free value, in standard deviations of the output."""
        return (truth - float(self.problem.optimal_value)) / self.problem.output_std


def run_bayesian_cell(cell: BayesianCell) -> BayesianCellResult:
    """Let the model search; where it cannot, the message is the result, stored and not tried again.

    Any other error is a mistake of the program or the machine, not a finding on the model: it goes on to the
    runner, which tries the cell again the next time.
    """
    experiment = Experiment.of(cell)
    problem = experiment.problem
    truth = {
        "dim": problem.dim,
        "optimum": float(problem.optimal_value),
        "optimum_source": problem.optimum_source,
        "output_std": problem.output_std,
    }
    try:
        proposals, checkpoints = follow(make_search(cell, problem), experiment)
    except (TrainingError, InputError, NumericalError) as error:
        return BayesianCellResult(truth=truth, failures=[{"message": f"{type(error).__name__}: {error}"}])
    return BayesianCellResult(truth=truth, proposals=proposals, checkpoints=checkpoints)


def follow(search: Search, experiment: Experiment) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tell a search the first points, then evaluate what it proposes until the evaluations are used up.

    Returns:
        One row an evaluation, and one a checkpoint: after every 10th evaluation from the last of the first
        points on, and at the end.
    """
    problem, noise = experiment.problem, experiment.noise
    truth = problem.value(experiment.initial)
    observed = truth + noise[: len(truth)]
    search.tell(experiment.initial, observed)
    predictions = [NO_PREDICTION] * len(truth)
    checkpoints = []
    num_initial = len(truth)
    for number in range(num_initial, len(noise) + 1):
        if number > num_initial:
            x = search.ask()[None]
            value = problem.value(x)
            truth = torch.cat([truth, value])
            observed = torch.cat([observed, value + noise[number - 1]])
            search.tell(x, observed[-1:])
            predictions.append(search.prediction())
        if number % CHECKPOINT_INTERVAL == 0 or number == len(noise):
            checkpoints.append({"evaluation": number} | _checkpoint(search, experiment))
    return _rows(experiment, num_initial, truth, observed, predictions), checkpoints


def _rows(
    experiment: Experiment,
    num_initial: int,
    truth: Float[Tensor, " n"],
    observed: Float[Tensor, " n"],
    predictions: list[Prediction],
) -> list[dict[str, Any]]:
    scale = experiment.problem.output_std
    best = truth.cummin(0).values.tolist()
    promised, phantom = promised_and_phantom(
        np.array([prediction.mean for prediction in predictions]),
        observed.numpy(),
        truth.numpy(),
        scale,
        steps=np.arange(len(predictions)),
    )
    rows = []
    for index, (value, prediction) in enumerate(zip(truth.tolist(), predictions, strict=True)):
        rows.append(
            {
                "evaluation": index + 1,
                "initial": index < num_initial,
                "fallback": prediction.fallback,
                "truth": value,
                "best": best[index],
                "regret": experiment.regret(best[index]),
                "predicted": prediction.mean,
                "predicted_std": prediction.std,
                "optimism": (value - prediction.mean) / scale,
                "promised": bool(promised[index]),
                "phantom": bool(phantom[index]),
                "in50": _inside(value, prediction, 50),
                "in95": _inside(value, prediction, 95),
                "seconds_fit": prediction.seconds_fit,
                "seconds_acquisition": prediction.seconds_acquisition,
            }
        )
    return rows


def _inside(value: float, prediction: Prediction, percent: int) -> float:
    """1 where the value is inside of the central Gaussian interval, 0 where not, NaN without a prediction."""
    if math.isnan(prediction.mean):
        return math.nan
    return float(abs(value - prediction.mean) <= _HALF_WIDTHS[percent] * prediction.std)


@dataclass(frozen=True, kw_only=True)
class ModelFit:
    """How well a model knows the truth over the box; NaN without a model.

    Attributes:
        r2: of its mean.
        coverage50: share of the truth inside of the central 50% intervals.
        coverage95: likewise of the 95% intervals.
    """

    r2: float = math.nan
    coverage50: float = math.nan
    coverage95: float = math.nan


def _checkpoint(search: Search, experiment: Experiment) -> dict[str, Any]:
    recommended = float(experiment.problem.value(search.recommend()[None]))
    posterior = search.posterior(experiment.test_x)
    fit = ModelFit() if posterior is None else _model_fit(*posterior, experiment.test_truth)
    return {"inference_regret": experiment.regret(recommended)} | asdict(fit)


def _model_fit(mean: Float[Tensor, " t"], std: Float[Tensor, " t"], truth: Float[Tensor, " t"]) -> ModelFit:
    error = truth - mean
    inside = {
        percent: float((error.abs() <= width * std).double().mean())
        for percent, width in _HALF_WIDTHS.items()
    }
    return ModelFit(
        r2=1.0 - float(error.square().sum() / (truth - truth.mean()).square().sum()),
        coverage50=inside[50],
        coverage95=inside[95],
    )

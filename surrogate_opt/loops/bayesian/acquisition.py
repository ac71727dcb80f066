"""Acquisitions by name: which of BoTorch's functions stands for what a loop was asked to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import (
    LogConstrainedExpectedImprovement,
    LogExpectedImprovement,
    LogProbabilityOfFeasibility,
    PosteriorMean,
    UpperConfidenceBound,
)
from botorch.acquisition.knowledge_gradient import qKnowledgeGradient
from botorch.acquisition.logei import (
    qLogExpectedImprovement,
    qLogNoisyExpectedImprovement,
    qLogProbabilityOfFeasibility,
)
from botorch.acquisition.monte_carlo import qSimpleRegret, qUpperConfidenceBound
from botorch.acquisition.objective import GenericMCObjective
from botorch.models.ensemble import EnsembleModel
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.posteriors.posterior_list import PosteriorList
from botorch.sampling.get_sampler import get_sampler
from botorch.utils.sampling import manual_seed
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data.checks import refuse_unknown
from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian.budget import AcquisitionBudget
from surrogate_opt.loops.bayesian.table import ModelTable

CONFIDENCE = 4.0
"""The square of how many standard deviations the confidence bounds add to the mean."""

CONSTRAINED = ("log_ei", "qlog_ei", "qlog_nei")
ACQUISITIONS = (*CONSTRAINED, "ucb", "qucb", "mean", "thompson", "knowledge_gradient")


def check_acquisition(name: str, model: str | None, num_constraints: int) -> None:
    """Refuse an acquisition that is not known or does not go with the model or with constraints.

    Args:
        name: the acquisition.
        model: the model's name; None where the user brings a fitter, whose models are seen later.
        num_constraints: how many constraints there are.

    Raises:
        InputError: as above.
    """
    if name not in ACQUISITIONS:
        refuse_unknown("acquisition", name, ACQUISITIONS)
    if num_constraints and name not in CONSTRAINED:
        raise InputError(f"acquisition: expected one of {CONSTRAINED} with constraints; came {name!r}")
    if name == "knowledge_gradient" and model == "ensemble":
        raise _no_fantasies()


def make_acquisition(
    name: str,
    model: Model,
    table: ModelTable,
    pending: Float[Tensor, "p d"],
    budget: AcquisitionBudget,
    *,
    seed: int,
) -> AcquisitionFunction:
    """The acquisition to maximize for one more point.

    Improvement is over the largest observed feasible value, which is right without noise; "qlog_nei" is the
    choice with noise: it takes the best value as unknown too. Where points are pending, an analytic
    acquisition gives way to its sampled counterpart, which takes into account what they may bring. While
    nothing feasible is known, the probability of feasibility is what is maximized.

    Args:
        name: any of ``ACQUISITIONS`` but "thompson", which has no function to maximize.
        model: outputs as in the table.
        table: what the model was fitted to.
        pending: points that were asked for and not told yet, unit box.
        budget: numbers of samples.
        seed: of the samples.

    Raises:
        InputError: knowledge gradient on an ensemble.
    """
    best = table.best_value
    if len(pending) == 0:
        analytic = _analytic(name, model, table, best)
        if analytic is not None:
            return analytic
    with manual_seed(seed):
        return _sampled(name, model, table, pending, budget, best)


def _sampled(
    name: str,
    model: Model,
    table: ModelTable,
    pending: Float[Tensor, "p d"],
    budget: AcquisitionBudget,
    best: float | None,
) -> AcquisitionFunction:
    """The acquisition from samples of the joint posterior; draws from torch's generator."""
    sampling = _sampling(model, table, pending, budget)
    if best is None:
        return qLogProbabilityOfFeasibility(model, _constraints(model), **sampling)
    if name in ("log_ei", "qlog_ei"):
        return qLogExpectedImprovement(model, best, **sampling, **_constrained(model))
    if name == "qlog_nei":
        return qLogNoisyExpectedImprovement(model, table.baseline, **sampling, **_constrained(model))
    if name in ("ucb", "qucb"):
        return qUpperConfidenceBound(model, CONFIDENCE, **sampling)
    if name == "mean":
        return qSimpleRegret(model, **sampling)
    if isinstance(model, EnsembleModel):
        raise _no_fantasies()
    return qKnowledgeGradient(model, budget.num_fantasies, X_pending=sampling["X_pending"])


def _analytic(name: str, model: Model, table: ModelTable, best: float | None) -> AcquisitionFunction | None:
    """The acquisition in closed form, for one point with none pending; None where there is no such form."""
    up_to_zero: tuple[float | None, float | None] = (None, 0.0)
    limits = dict.fromkeys(range(1, model.num_outputs), up_to_zero)
    if limits and not _is_gaussian(model, table):
        return None
    if best is None:
        return LogProbabilityOfFeasibility(model, limits)
    if name == "log_ei" and limits:
        return LogConstrainedExpectedImprovement(model, best, 0, limits)
    if name == "log_ei":
        return LogExpectedImprovement(model, best)
    if name == "ucb":
        return UpperConfidenceBound(model, CONFIDENCE)
    return PosteriorMean(model) if name == "mean" else None


def _sampling(
    model: Model, table: ModelTable, pending: Float[Tensor, "p d"], budget: AcquisitionBudget
) -> dict[str, Any]:
    """What every sampled acquisition is told: how to sample, and what is pending."""
    with torch.no_grad():
        posterior: Any = model.posterior(table.x[:1])  # get_sampler declares less than it takes
    return {
        "sampler": get_sampler(posterior, torch.Size([budget.num_samples])),
        "X_pending": pending if len(pending) else None,
    }


def _constrained(model: Model) -> dict[str, Any]:
    """The first output as objective and the others as constraints; nothing for a model of one output."""
    if model.num_outputs == 1:
        return {}
    return {"objective": GenericMCObjective(_output(0)), "constraints": _constraints(model)}


def _constraints(model: Model) -> list[Callable[[Tensor], Tensor]]:
    return [_output(index) for index in range(1, model.num_outputs)]


def _output(index: int) -> Callable[..., Tensor]:
    """From samples of all outputs to those of one."""

    def select(samples: Tensor, X: Tensor | None = None) -> Tensor:
        return samples[..., index]

    return select


def _is_gaussian(model: Model, table: ModelTable) -> bool:
    """Whether the posterior is normal in every output."""
    with torch.no_grad():
        posterior = model.posterior(table.x[:1])
    parts = posterior.posteriors if isinstance(posterior, PosteriorList) else [posterior]
    return all(isinstance(part, GPyTorchPosterior) for part in parts)


def _no_fantasies() -> InputError:
    return InputError(
        "acquisition: expected one that needs no fantasies, as an ensemble cannot be conditioned on "
        "evaluations; came 'knowledge_gradient'"
    )

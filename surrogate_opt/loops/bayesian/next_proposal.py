"""One more proposal: from the Sobol sequence, or from the model as long as that is of use."""

from __future__ import annotations

import math
import time

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.loops.bayesian.acquisition import make_acquisition
from surrogate_opt.loops.bayesian.ledger import Kind, Ledger, Proposal
from surrogate_opt.loops.bayesian.numerics import (
    NumericalError,
    numerical_work,
)
from surrogate_opt.loops.bayesian.posterior import means_and_variances
from surrogate_opt.loops.bayesian.proposals import (
    Search,
    maximize_acquisition,
    next_sobol_point,
    thompson_point,
)
from surrogate_opt.loops.bayesian.refits import Refit
from surrogate_opt.loops.bayesian.seeds import Purpose, derived_seed
from surrogate_opt.loops.bayesian.settings import LoopSettings
from surrogate_opt.networks.threads import one_thread


def with_sobol_proposal(settings: LoopSettings, ledger: Ledger, *, kind: Kind, note: str = "") -> Ledger:
    """The ledger after the next free point of the Sobol sequence was proposed.

    Raises:
        InputError: every point of the domain is evaluated or pending.
    """
    domain = settings.domain
    point, num_sobol = next_sobol_point(
        domain, _taken(settings, ledger), seed=settings.seed, first=ledger.num_sobol
    )
    proposal = Proposal(x=tuple(domain.to_raw(point).tolist()), kind=kind, note=note)
    return ledger.with_proposal(proposal, num_sobol=num_sobol)


def with_model_proposal(settings: LoopSettings, ledger: Ledger, fit: Refit, *, seconds_fit: float) -> Ledger:
    """The ledger after the point that the acquisition holds for the best was proposed.

    Where the acquisition cannot be used, the proposal is a Sobol point of the kind "fallback".

    Args:
        settings: of the loop.
        ledger: what was asked and told.
        fit: to all evaluations.
        seconds_fit: what to note for the fit.

    Raises:
        InputError: every point of the domain is evaluated or pending, or the acquisition does not go with the
            model.
    """
    began = time.perf_counter()
    try:
        with numerical_work(), one_thread():
            point = _best_point(settings, ledger, fit)
            mean, std = _prediction(fit, point)
    except NumericalError as error:
        return with_sobol_proposal(settings, ledger, kind="fallback", note=f"acquisition: {error}")
    proposal = Proposal(
        x=tuple(settings.domain.to_raw(point).tolist()),
        kind="model",
        predicted_mean=mean if settings.maximize else -mean,
        predicted_std=std,
        seconds_fit=seconds_fit,
        seconds_acquisition=time.perf_counter() - began,
        strength=fit.strength,
    )
    return ledger.with_proposal(proposal, num_sobol=ledger.num_sobol)


def _best_point(settings: LoopSettings, ledger: Ledger, fit: Refit) -> Float[Tensor, " d"]:
    seed = derived_seed(settings.seed, Purpose.PROPOSAL, len(ledger.evaluations), ledger.num_asked)
    search = Search(
        domain=settings.domain,
        taken=_taken(settings, ledger),
        best=fit.table.best_points,
        budget=settings.budget,
        seed=seed,
    )
    if settings.acquisition == "thompson":
        return thompson_point(fit.model, search)
    pending = ledger.pending_points(settings.domain)
    acquisition = make_acquisition(
        settings.acquisition, fit.model, fit.table, pending, settings.budget, seed=seed
    )
    return maximize_acquisition(acquisition, search)


def _prediction(fit: Refit, point: Float[Tensor, " d"]) -> tuple[float, float]:
    """Mean and standard deviation of the objective, of which more is better, in the user's unit."""
    with torch.no_grad():
        means, variances = means_and_variances(fit.model, point[None])
    mean, variance = float(means[0, 0]), float(variances[0, 0])
    if not (math.isfinite(mean) and math.isfinite(variance)):
        raise NumericalError("the model predicts no finite value at the best point")
    unit = float(fit.table.units[0])
    return unit * mean, unit * math.sqrt(max(variance, 0.0))


def _taken(settings: LoopSettings, ledger: Ledger) -> Float[Tensor, "t d"]:
    """Points that must not be proposed again, unit box."""
    domain = settings.domain
    return torch.cat([ledger.evaluated_points(domain), ledger.pending_points(domain)])

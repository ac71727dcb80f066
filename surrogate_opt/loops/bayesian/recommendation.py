"""The point of the whole domain with the best posterior mean, where the constraints hold in the mean."""

from __future__ import annotations

from collections.abc import Callable

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import PosteriorMean
from botorch.models.model import Model
from botorch.optim.optimize import optimize_acqf
from botorch.utils.sampling import manual_seed
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.loops.bayesian.budget import AcquisitionBudget
from surrogate_opt.loops.bayesian.domain import Domain
from surrogate_opt.loops.bayesian.posterior import means
from surrogate_opt.loops.bayesian.proposals import Search, maximize_acquisition
from surrogate_opt.loops.bayesian.starts import spread_points

_CONSTRAINED_STARTS = 4  # SLSQP takes them one by one
_SLACK = 1e-9  # what SLSQP may leave of a constraint, in its own unit times its spread


def recommended_point(
    model: Model,
    domain: Domain,
    *,
    best: Float[Tensor, "b d"],
    budget: AcquisitionBudget,
    seed: int,
) -> Float[Tensor, " d"]:
    """The point with the largest mean of the first output among those where the others' means are up to 0.

    Where no such point was seen, the one whose largest mean constraint is smallest.

    Args:
        model: the objective, of which more is better, then constraints; takes points of the unit box.
        domain: where to look.
        best: the best evaluations, unit box; may be empty.
        budget: how much work.
        seed: of all draws.
    """
    if model.num_outputs == 1:
        nothing = torch.empty(0, domain.dim, dtype=torch.float64)
        search = Search(domain=domain, taken=nothing, best=best, budget=budget, seed=seed)
        return maximize_acquisition(PosteriorMean(model), search)
    points = torch.cat([best, *spread_points(domain, best, budget.raw_samples, seed)])
    with torch.no_grad():
        found = means(model, points)
    feasible = (found[:, 1:] <= 0.0).all(1)
    if not bool(feasible.any()):
        return points[found[:, 1:].amax(1).argmin()]
    objective = torch.where(feasible, found[:, 0], -torch.inf)
    starts = points[objective.topk(min(_CONSTRAINED_STARTS, int(feasible.sum()))).indices]
    with manual_seed(seed):
        ends = torch.cat([_ascend_constrained(model, domain, start, budget) for start in starts])
    return _best_feasible(model, torch.cat([starts, ends]))


class _ObjectiveMean(AcquisitionFunction):
    """The posterior mean of the first output at one point."""

    def forward(self, X: Float[Tensor, "*batch 1 d"]) -> Float[Tensor, "*batch"]:
        """The mean."""
        return means(self.model, X.reshape(-1, X.shape[-1]))[:, 0].reshape(X.shape[:-2])


def _ascend_constrained(
    model: Model, domain: Domain, start: Float[Tensor, " d"], budget: AcquisitionBudget
) -> Float[Tensor, "1 d"]:
    """An ascent of SLSQP over the continuous inputs from a feasible point; the start where it fails."""
    if domain.is_finite:
        return start[None]
    end, _ = optimize_acqf(
        _ObjectiveMean(model),
        domain.unit_bounds,
        q=1,
        num_restarts=1,
        batch_initial_conditions=start[None, None],
        fixed_features={column: float(start[column]) for column in domain.integers} or None,
        nonlinear_inequality_constraints=[
            (_margin(model, output), True) for output in range(1, model.num_outputs)
        ],
        options={"maxiter": budget.max_iterations},
        retry_on_optimization_warning=False,
    )
    return domain.snap(end)


def _margin(model: Model, output: int) -> Callable[[Tensor], Tensor]:
    """How far a mean constraint is under 0 at one point, ``(d,)``."""

    def margin(x: Float[Tensor, " d"]) -> Float[Tensor, ""]:
        return -means(model, x[None])[0, output]

    return margin


def _best_feasible(model: Model, points: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """The best of points of which the first is feasible; SLSQP's rounding at the boundary is let pass."""
    with torch.no_grad():
        found = means(model, points)
    scale = found[:, 1:].abs().amax(0)
    feasible = (found[:, 1:] <= _SLACK * scale).all(1) & found[:, 0].isfinite()
    return points[torch.where(feasible, found[:, 0], -torch.inf).argmax()]

"""From an acquisition to the next point: many ascents in the unit box, and never a point twice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from botorch.acquisition.acquisition import AcquisitionFunction, OneShotAcquisitionFunction
from botorch.generation.sampling import MaxPosteriorSampling
from botorch.models.model import Model
from botorch.optim.optimize import optimize_acqf
from botorch.utils.sampling import manual_seed
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian.budget import AcquisitionBudget
from surrogate_opt.loops.bayesian.domain import Domain
from surrogate_opt.loops.bayesian.integer_steps import climb_integers
from surrogate_opt.loops.bayesian.numerics import NumericalError, is_numerical
from surrogate_opt.loops.bayesian.starts import acquisition_values, choose_starts, spread_points

MOST_ENUMERATED = 10_000
"""Domains of integers alone with no more points than this are searched point by point."""

_SOBOL_TRIES = 1024


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where and how to look for the next point.

    Attributes:
        domain: where the point must lie.
        taken: ``(t, d)``, points that must not be proposed, unit box.
        best: ``(b, d)``, the best evaluations, unit box; may be empty.
        budget: how much work.
        seed: of all draws.
    """

    domain: Domain
    taken: Float[Tensor, "t d"]
    best: Float[Tensor, "b d"]
    budget: AcquisitionBudget
    seed: int


def next_sobol_point(
    domain: Domain, taken: Float[Tensor, "t d"], *, seed: int, first: int
) -> tuple[Float[Tensor, " d"], int]:
    """The next point of the Sobol sequence that is not taken.

    Args:
        domain: where to look.
        taken: points that must not be proposed, unit box.
        seed: of the scrambling.
        first: how many points of the sequence have been used or passed over.

    Returns:
        The point, unit box, and how many points of the sequence are used or passed over now.

    Raises:
        InputError: every point of the domain is taken.
    """
    points = domain.sobol(_SOBOL_TRIES, seed=seed, first=first)
    free = domain.distinct(points, taken).nonzero().flatten().tolist()
    if free:
        return points[free[0]], first + free[0] + 1
    return _free_points(domain, taken)[0], first


def maximize_acquisition(acquisition: AcquisitionFunction, search: Search) -> Float[Tensor, " d"]:
    """The point with the highest acquisition value found, other than those taken.

    A small domain of integers alone is searched point by point. Otherwise ascents by L-BFGS-B start all over
    the box and near the best evaluations: in many dimensions no Sobol point lies in the best one's basin.
    Where the highest end is taken, the next highest end or start is proposed. Integer inputs are relaxed for
    the ascents; the rounded ends then climb by steps of single integers.

    Args:
        acquisition: of one point; larger is better.
        search: where and how.

    Returns:
        The point, unit box.

    Raises:
        NumericalError: no point that is free has a finite value.
        InputError: every point of the domain is taken.
    """
    domain, taken, budget = search.domain, search.taken, search.budget
    with manual_seed(search.seed):
        if isinstance(acquisition, OneShotAcquisitionFunction):
            points, values = _ascend_one_shot(acquisition, domain, budget)
        elif domain.num_points <= MOST_ENUMERATED:
            points = _free_points(domain, taken)
            values = acquisition_values(acquisition, points)
        else:
            points, values = _ascend(acquisition, search)
            if domain.integers:
                points, values = climb_integers(acquisition, domain, points, values, taken, budget)
    usable = domain.distinct(points, taken) & values.isfinite()
    if not bool(usable.any()):
        raise NumericalError("the acquisition has no finite value at a point that is free")
    return points[usable][values[usable].argmax()]


def thompson_point(model: Model, search: Search) -> Float[Tensor, " d"]:
    """The highest of free candidate points under one draw of the objective.

    The candidates are half Sobol points and half perturbed copies of the best evaluations, or a small domain
    of integers as a whole.

    Args, Returns and Raises: as for ``maximize_acquisition``.
    """
    domain, taken = search.domain, search.taken
    num_candidates = search.budget.num_candidates
    if domain.num_points <= num_candidates:
        candidates = _free_points(domain, taken)
    else:
        candidates = torch.cat(spread_points(domain, search.best, num_candidates // 2, search.seed))
        candidates = candidates[domain.distinct(candidates, taken)]
    if len(candidates) == 0:
        raise NumericalError("no candidate of Thompson sampling is free")
    with manual_seed(search.seed), torch.no_grad():
        drawn: Tensor = MaxPosteriorSampling(model)(candidates, num_samples=1)
    return drawn[0]


def _free_points(domain: Domain, taken: Float[Tensor, "t d"]) -> Float[Tensor, "n d"]:
    """All points of a small domain that are not taken."""
    points = domain.all_points() if domain.num_points <= MOST_ENUMERATED else taken[:0]
    free = points[domain.distinct(points, taken)]
    if len(free) == 0:
        raise InputError(
            f"bounds: expected a box with points left to propose; all {domain.num_points:g} are evaluated "
            "or pending"
        )
    return free


def _ascend(
    acquisition: AcquisitionFunction, search: Search
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """Ends of the ascents and all points that were looked at for starts, with their values."""
    domain, budget = search.domain, search.budget
    far, near = spread_points(domain, search.best, budget.raw_samples, search.seed)
    looked_at = torch.cat([far, near])
    values = acquisition_values(acquisition, looked_at)
    starts = choose_starts(far, values[: len(far)], near, values[len(far) :], budget.num_restarts)
    if len(starts) == 0:
        return looked_at, values
    try:
        ends, _ = optimize_acqf(
            acquisition,
            domain.unit_bounds,
            q=1,
            num_restarts=len(starts),
            batch_initial_conditions=starts[:, None],
            options={"maxiter": budget.max_iterations},
            return_best_only=False,
            retry_on_optimization_warning=False,
        )
    except Exception as error:
        if not is_numerical(error):
            raise
        return looked_at, values  # a gradient was NaN on the way: the points looked at still have values
    points = domain.snap(ends[:, 0])
    return torch.cat([points, looked_at]), torch.cat([acquisition_values(acquisition, points), values])


def _ascend_one_shot(
    acquisition: AcquisitionFunction, domain: Domain, budget: AcquisitionBudget
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """Ends of ascents over a point and its fantasies' optima at once; their values hold for those alone."""
    ends, values = optimize_acqf(
        acquisition,
        domain.unit_bounds,
        q=1,
        num_restarts=budget.num_restarts,
        raw_samples=budget.raw_samples,
        options={"maxiter": budget.max_iterations},
        return_best_only=False,
        retry_on_optimization_warning=False,
    )
    assert values is not None, "asked for by default"
    return domain.snap(ends[:, 0]), values

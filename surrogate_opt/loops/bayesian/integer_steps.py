"""Local search over integer inputs: what rounding a relaxed optimum loses is won back by steps of one."""

from __future__ import annotations

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.optim.optimize import optimize_acqf
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.loops.bayesian.budget import AcquisitionBudget
from surrogate_opt.loops.bayesian.domain import Domain
from surrogate_opt.loops.bayesian.starts import acquisition_values

_MOST_STEPS = 50


def climb_integers(
    acquisition: AcquisitionFunction,
    domain: Domain,
    points: Float[Tensor, "n d"],
    values: Float[Tensor, " n"],
    taken: Float[Tensor, "t d"],
    budget: AcquisitionBudget,
) -> tuple[Float[Tensor, "r d"], Float[Tensor, " r"]]:
    """Better points from the best of those given.

    Each goes to the highest of its free neighbors, which differ by 1 in one integer input, as long as that is
    higher. Then the continuous inputs of the highest are optimized with the integers held.

    Args:
        acquisition: of one point; larger is better.
        domain: where to look.
        points: points of the domain, unit box.
        values: their acquisition values.
        taken: points that must not be proposed, unit box.
        budget: how many points to climb from, and how far.

    Returns:
        At most ``num_restarts + 1`` points, unit box, and their values; -inf where nothing is free.
    """
    values = _refuse(domain, points, values, taken)
    top = values.topk(min(budget.num_restarts, len(values))).indices
    points, values = points[top], values[top]
    moves = _moves(domain)
    for _ in range(_MOST_STEPS):
        neighbors = domain.snap(points[:, None] + moves)
        flat = neighbors.flatten(0, 1)
        found = _refuse(domain, flat, acquisition_values(acquisition, flat), taken).view(len(points), -1)
        best_value, best_move = found.max(1)
        higher = best_value > values
        if not bool(higher.any()):
            break
        points = torch.where(higher[:, None], neighbors[torch.arange(len(points)), best_move], points)
        values = torch.where(higher, best_value, values)
    if domain.is_finite or not bool(values.isfinite().any()):
        return points, values
    polished, polished_value = _polish(acquisition, domain, points[values.argmax()], budget)
    return torch.cat([points, polished]), torch.cat([values, polished_value])


def _moves(domain: Domain) -> Float[Tensor, "moves d"]:
    """One step up and one down in each free integer input, unit box."""
    free = [column for column in domain.integers if bool(domain.box.free[column])]
    steps = torch.zeros(len(free), domain.dim, dtype=torch.float64)
    steps[range(len(free)), free] = 1.0 / domain.box.width[free]
    return torch.cat([steps, -steps])


def _refuse(
    domain: Domain, points: Float[Tensor, "n d"], values: Float[Tensor, " n"], taken: Float[Tensor, "t d"]
) -> Float[Tensor, " n"]:
    """Values, -inf at taken points and where the value is not finite."""
    usable = domain.distinct(points, taken) & values.isfinite()
    return torch.where(usable, values, -torch.inf)


def _polish(
    acquisition: AcquisitionFunction, domain: Domain, point: Float[Tensor, " d"], budget: AcquisitionBudget
) -> tuple[Float[Tensor, "1 d"], Float[Tensor, " 1"]]:
    """An ascent over the continuous inputs alone."""
    end, _ = optimize_acqf(
        acquisition,
        domain.unit_bounds,
        q=1,
        num_restarts=1,
        batch_initial_conditions=point[None, None],
        fixed_features={column: float(point[column]) for column in domain.integers},
        options={"maxiter": budget.max_iterations},
        retry_on_optimization_warning=False,
    )
    polished = domain.snap(end)
    return polished, acquisition_values(acquisition, polished)

"""Figures of a loop's paths, each a pure function of arrays; ``ghost_signal`` puts them together.

Outputs are in truth standard deviations, places in unit-box coordinates. Notation: truth f, surrogate fhat, a
path x_0 .. x_T from each of n starts. The starts are the last axis of values; any ``*stack`` axes before it
(one per surrogate) are kept.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.types import Trajectories

MIN_PREDICTED_FALL = 1e-3
"""Below this predicted sum ghost_descent is undefined (standard deviations)."""

MIN_STEP_FALL = 1e-6
"""A step counts for wrong_way_steps once fhat falls by more than this (standard deviations)."""

PHANTOM_TRUE_FALL = 0.1
PHANTOM_PREDICTED_FALL = 0.01

BOUNDARY_TOLERANCE = 1e-6
"""An end point is on the boundary within this share of an input's width."""


def masked_mean(values: Float[Tensor, "*batch n"], mask: Bool[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """Mean over the last axis of the values under the mask; NaN where the mask is empty."""
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum(dim=-1) / mask.sum(dim=-1)


def regrets(
    end_truth: Float[Tensor, "*stack n"],
    end_followed: Float[Tensor, "*stack n"],
    usable: Bool[Tensor, "*stack n"],
    optimum: Float[Tensor, "*stack"],
) -> tuple[Float[Tensor, "*stack"], Float[Tensor, "*stack"]]:
    """Regret of the end point that the followed model ranks first, and mean regret.

    Args:
        end_truth: f at the end points, ``(*stack, n)``.
        end_followed: the followed model's value there, ``(*stack, n)``.
        usable: which loops count, ``(*stack, n)``.
        optimum: f*, ``(*stack,)``.

    Returns:
        regret_selected (the first of equals) and regret_mean, ``(*stack,)``, NaN where no loop is usable.
    """
    rank = torch.where(usable, end_followed, torch.full_like(end_followed, torch.inf))
    positions = torch.arange(rank.shape[-1], device=rank.device)
    is_lowest = usable & (rank == rank.amin(dim=-1, keepdim=True))
    first = torch.where(is_lowest, positions, rank.shape[-1]).amin(dim=-1, keepdim=True)
    selected = masked_mean(end_truth, positions == first)
    return selected - optimum, masked_mean(end_truth, usable) - optimum


def ghost_descent(
    true_fall: Float[Tensor, "*stack n"], predicted_fall: Float[Tensor, "*stack n"]
) -> Float[Tensor, "*stack"]:
    """1 - (sum of true decreases) / (sum of predicted decreases), over the last axis.

    Args:
        true_fall: f(x_0) - f(x_T) of each loop, standard deviations, ``(*stack, n)``.
        predicted_fall: fhat(x_0) - fhat(x_T), likewise.

    Returns:
        ``(*stack,)``: 0 where every promise was kept, 1 where nothing came of them, above 1 where f rose; NaN
        where the predicted sum is under 1e-3.
    """
    predicted = predicted_fall.sum(dim=-1)
    defined = predicted >= MIN_PREDICTED_FALL
    ratio = true_fall.sum(dim=-1) / torch.where(defined, predicted, torch.ones_like(predicted))
    return torch.where(defined, 1.0 - ratio, torch.full_like(ratio, torch.nan))


def wrong_way_steps(
    truth_along: Float[Tensor, "steps *stack n"],
    followed_along: Float[Tensor, "steps *stack n"],
    usable: Bool[Tensor, "*stack n"],
) -> Float[Tensor, "*stack"]:
    """Among steps on which fhat falls by over 1e-6, the share on which f rises.

    Args:
        truth_along: f along the paths, standard deviations, ``(T + 1, *stack, n)``.
        followed_along: fhat along them, likewise.
        usable: which loops count, ``(*stack, n)``.

    Returns:
        ``(*stack,)``, NaN where fhat never falls. Steps on which f is not finite are left out.
    """
    true_rise = truth_along.diff(dim=0)
    falls = (followed_along.diff(dim=0) < -MIN_STEP_FALL) & true_rise.isfinite() & usable
    rises = (falls & (true_rise > 0)).sum(dim=(0, -1))
    return rises.double() / falls.sum(dim=(0, -1))


def path_divergence(
    surrogate: Trajectories,
    truth: Trajectories,
    bounds: Float[Tensor, "2 d"],
    usable: Bool[Tensor, "*stack n"],
) -> Float[Tensor, "*stack"]:
    """Mean over steps and loops of ||x_t - x_t^truth|| / sqrt(d), unit-box coordinates.

    A loop that has stopped stays where it is while the other goes on; once both have, no further step counts,
    so padding changes nothing. A pair that never moved has divergence 0.

    Args:
        surrogate: the loop on fhat, ``(T + 1, *stack, n, d)``.
        truth: the loop on f from the same starts, ``(T' + 1, *stack, n, d)``.
        bounds: ``(2, d)``, raw units.
        usable: which pairs count, ``(*stack, n)``.

    Returns:
        ``(*stack,)``, NaN where no pair is usable.
    """
    steps = max(surrogate.x.shape[0], truth.x.shape[0])
    distance = box_distance(_padded(surrogate.x, steps), _padded(truth.x, steps), bounds)[1:]
    num_steps = torch.maximum(surrogate.num_steps, truth.num_steps)
    step = torch.arange(1, steps, device=distance.device).reshape(-1, *[1] * num_steps.ndim)
    taken = torch.where(step <= num_steps, distance, torch.zeros_like(distance))
    return masked_mean(taken.sum(dim=0) / num_steps.clamp(min=1), usable)


def box_distance(
    one: Float[Tensor, "*batch d"], other: Float[Tensor, "*batch d"], bounds: Float[Tensor, "2 d"]
) -> Float[Tensor, "*batch"]:
    """Euclidean distance in unit-box coordinates, divided by sqrt(d). Fixed inputs add nothing."""
    width = bounds[1] - bounds[0]
    free = width > 0
    unit = (one - other)[..., free] / width[free]
    distance: Tensor = torch.linalg.vector_norm(unit, dim=-1)
    return distance / math.sqrt(width.shape[0])


def _padded(x: Float[Tensor, " steps *rest"], steps: int) -> Float[Tensor, " longer *rest"]:
    return torch.cat([x, x[-1:].expand(steps - x.shape[0], *x.shape[1:])])


def on_boundary(points: Float[Tensor, "*batch d"], bounds: Float[Tensor, "2 d"]) -> Bool[Tensor, "*batch"]:
    """Whether a point lies on (or outside) a face of the box; inputs of zero width have no face."""
    width = bounds[1] - bounds[0]
    tolerance = BOUNDARY_TOLERANCE * width
    hit = (points <= bounds[0] + tolerance) | (points >= bounds[1] - tolerance)
    return (hit & (width > 0)).any(dim=-1)


def phantom_optima(
    true_fall: Float[Tensor, "*stack n"], predicted_fall: Float[Tensor, "*stack n"]
) -> Float[Tensor, "*stack"]:
    """Share of end points from which f can fall by over 0.1 nearby while fhat cannot fall by 0.01.

    Args:
        true_fall: how far f falls from each end point within 0.1 of the box's width, by a local multi-start
            search, standard deviations, ``(*stack, n)``.
        predicted_fall: how far fhat falls, from the same points by the same search, likewise.

    Returns:
        ``(*stack,)``; end points where either is not finite are left out, NaN where none is left.
    """
    usable = true_fall.isfinite() & predicted_fall.isfinite()
    phantom = (true_fall > PHANTOM_TRUE_FALL) & (predicted_fall < PHANTOM_PREDICTED_FALL)
    return masked_mean(phantom.double(), usable)


def start_sensitivity(
    end: Float[Tensor, "*stack n d"],
    moved_end: Float[Tensor, "moves *stack n d"],
    truth_end: Float[Tensor, "*truth_stack n d"],
    truth_moved_end: Float[Tensor, "moves *truth_stack n d"],
    bounds: Float[Tensor, "2 d"],
) -> Float[Tensor, "*stack"]:
    """How far the end point moves when the start moves by 1e-3 of the box, less the truth's own.

    The spread of a loop is the mean over starts and moves of ``box_distance`` between the end points.

    Args:
        end: end points of the loop on fhat, ``(*stack, n, d)``, raw units.
        moved_end: end points from the moved starts, ``(moves, *stack, n, d)``.
        truth_end: end points of the loop on f, without stack axes where one truth serves all.
        truth_moved_end: those from the same moved starts.
        bounds: ``(2, d)``, raw units.

    Returns:
        ``(*stack,)``, negative where the surrogate is the steadier one. Pairs not finite are left out.
    """
    spreads = []
    for stay, moved in ((end, moved_end), (truth_end, truth_moved_end)):
        distance = box_distance(moved, stay, bounds).movedim(0, -1).flatten(-2)
        spreads.append(masked_mean(distance, distance.isfinite()))
    return spreads[0] - spreads[1]

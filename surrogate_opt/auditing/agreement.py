"""Agreement of the members' gradients: where members that saw different rows part ways, nobody knows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.diagnostics import cosines, normalize_gradient
from surrogate_opt.diagnostics.evaluate import chunks
from surrogate_opt.types import DifferentiableEnsemble


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the members' gradients agree over a set of points, normalized units.

    Attributes:
        cosine: mean over points and members of the cosine between a member's gradient and the mean of the
            others'.
        opposed: share of points and members where that cosine is 0 or less.
        norm_spread: standard deviation of the members' gradient norms over their mean, averaged over points.
        sign_agreement: for each input, the share of pairs of members whose df/dx_i have the same sign, d
            entries; a half is what chance gives.
        influence: mean |df/dx_i| of the members over the sum over inputs, d entries.
        num_points: how many points.
    """

    cosine: float
    opposed: float
    norm_spread: float
    sign_agreement: tuple[float, ...]
    influence: tuple[float, ...]
    num_points: int


def member_agreement(
    model: DifferentiableEnsemble, x: Float[Tensor, "n d"], bounds: Float[Tensor, "2 d"]
) -> Agreement | None:
    """Compare the members' gradients; None for a model with one member.

    Args:
        model: of several members.
        x: points, raw units, ``(n, d)``.
        bounds: what normalized units are taken by, ``(2, d)``.
    """
    parts = [model.members_value_and_gradient(x[part])[1].double() for part in chunks(x)]
    gradients = normalize_gradient(torch.cat(parts, 1), bounds, 1.0)
    return agreement_of(gradients) if len(gradients) > 1 else None


def agreement_of(gradients: Float[Tensor, "members n d"]) -> Agreement:
    """Agreement from gradients at hand, at least two members, normalized units."""
    count = len(gradients)
    others = (gradients.sum(0) - gradients) / (count - 1)
    cosine = cosines(gradients, others)
    norms = gradients.norm(dim=-1)
    mean_norm = norms.mean(0)
    spread = norms.std(0) / torch.where(mean_norm > 0, mean_norm, 1.0)
    rising, falling = (gradients > 0).sum(0), (gradients < 0).sum(0)
    same = (rising * (rising - 1) + falling * (falling - 1)).double() / (count * (count - 1))
    size = gradients.abs().mean((0, 1))
    total = size.sum()
    return Agreement(
        cosine=float(cosine.mean()),
        opposed=float((cosine <= 0).double().mean()),
        norm_spread=float(spread.mean()),
        sign_agreement=tuple(same.mean(0).tolist()),
        influence=tuple((size / torch.where(total > 0, total, 1.0)).tolist()),
        num_points=gradients.shape[1],
    )

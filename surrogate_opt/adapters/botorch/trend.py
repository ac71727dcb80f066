"""What compact networks need help with on few rows: a plane and a bowl, fitted in closed form."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.adapters.botorch.last_layer_head import HeadStatistics, choose_scales, condition_head


def trend_features(u: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch r"]:
    """A plane, a bowl and a constant: u / sqrt(d), |u|^2 / d and 1, for u in [-1, 1]^d.

    Hidden units of tanh are flat far from the data; the bowl lets the mean rise or fall toward the corners.

    Source: Snoek et al. 2015, "Scalable Bayesian Optimization Using Deep Neural Networks", Section 3.2, who
    give the mean a quadratic prior.
    """
    bowl = u.square().mean(-1, keepdim=True)
    return torch.cat([u / math.sqrt(u.shape[-1]), bowl, torch.ones_like(bowl)], -1)


def fit_trend(
    u: Float[Tensor, "n d"], y: Float[Tensor, " n"], held_out: Bool[Tensor, "members n"]
) -> tuple[Float[Tensor, " r"], Float[Tensor, "members r"]]:
    """Coefficients of the trend: of all rows, and of those that each fold member is trained on.

    Bayesian linear regression; the prior's variance and the noise maximize the evidence of all rows.

    Args:
        u: rows in network coordinates.
        y: in standard deviations.
        held_out: the rows that each member never sees.
    """
    trend, none = trend_features(u), u.new_zeros(len(u), 0)
    whole = HeadStatistics.of(none, trend, y)
    scales = choose_scales(whole)
    parts = [condition_head(HeadStatistics.of(none[~out], trend[~out], y[~out]), scales) for out in held_out]
    return condition_head(whole, scales).mean, torch.stack([part.mean for part in parts])

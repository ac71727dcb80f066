"""Moments of a model's posterior at single points."""

from __future__ import annotations

from typing import Any

from botorch.models.model import Model
from jaxtyping import Float
from torch import Tensor


def means_and_variances(
    model: Model, points: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k"]]:
    """Mean and variance of every output at each point by itself; gradients go through."""
    posterior: Any = model.posterior(points[:, None])  # BoTorch's base class does not declare moments
    return posterior.mean[:, 0], posterior.variance[:, 0]


def means(model: Model, points: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    """Mean of every output at each point by itself; gradients go through."""
    posterior: Any = model.posterior(points[:, None])
    mean: Tensor = posterior.mean
    return mean[:, 0]

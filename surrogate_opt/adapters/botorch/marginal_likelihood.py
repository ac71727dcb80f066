"""The negative log marginal likelihood of a Gaussian process on features, with its gradient in closed form.

K = exp(-|z_i - z_j|^2 / 2) + t_i . t_j + noise 1: a squared exponential kernel on one set of features, a
linear one on another. Differentiating the Cholesky factor by autograd takes several times as long.

Source: Rasmussen & Williams 2006, Equations 2.30 (likelihood) and 5.9 (its gradient).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def kernel_matrix(
    z: Float[Tensor, "*batch n p"],
    t: Float[Tensor, "*batch n r"],
    other_z: Float[Tensor, "*batch k p"],
    other_t: Float[Tensor, "*batch k r"],
) -> Float[Tensor, "*batch n k"]:
    """The kernel between two sets of points, without noise."""
    return squared_exponential(z, other_z) + t @ other_t.mT


def squared_exponential(
    z: Float[Tensor, "*batch n p"], other: Float[Tensor, "*batch k p"]
) -> Float[Tensor, "*batch n k"]:
    """exp(-|z_i - z_j|^2 / 2)."""
    inner = z @ other.mT
    squares = z.square().sum(-1)[..., :, None] + other.square().sum(-1)[..., None, :]
    return torch.exp(torch.clamp_max(inner - 0.5 * squares, 0.0))


class _NegativeLogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, t: Tensor, noise: Tensor, residual: Tensor) -> Tensor:
        smooth = squared_exponential(z, z)
        matrix = smooth + t @ t.mT
        matrix.diagonal(dim1=-2, dim2=-1).add_(noise[..., None])
        factor = torch.linalg.cholesky(matrix)
        inverse = torch.cholesky_inverse(factor)
        weights = inverse @ residual[..., None]
        ctx.save_for_backward(z, t, smooth, inverse, weights)
        n = z.shape[-2]
        quadratic = (residual[..., None] * weights).sum((-2, -1))
        half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        value: Tensor = 0.5 * quadratic + half_log_det + 0.5 * n * math.log(2.0 * math.pi)
        return value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        z, t, smooth, inverse, weights = ctx.saved_tensors
        by_matrix = 0.5 * grad[..., None, None] * (inverse - weights @ weights.mT)
        by_z = None
        if ctx.needs_input_grad[0]:
            pairs = by_matrix * smooth
            by_z = 2.0 * (pairs @ z - pairs.sum(-1, keepdim=True) * z)
        by_t = 2.0 * by_matrix @ t if ctx.needs_input_grad[1] else None
        by_noise = by_matrix.diagonal(dim1=-2, dim2=-1).sum(-1)
        return by_z, by_t, by_noise, grad[..., None] * weights[..., 0]


def negative_log_likelihood(
    z: Float[Tensor, "*batch n p"],
    t: Float[Tensor, "*batch n r"],
    noise: Float[Tensor, "*batch"],
    residual: Float[Tensor, "*batch n"],
) -> Float[Tensor, "*batch"]:
    """Of a zero-mean process that was observed at n points with noise; differentiable in every argument.

    Args:
        z: features of the squared exponential kernel, lengthscales divided out.
        t: features of the linear kernel, their prior deviation multiplied in; r may be 0.
        noise: variance of the noise.
        residual: observations less the mean.

    Raises:
        torch.linalg.LinAlgError: the kernel matrix is not positive definite.
    """
    value: Tensor = _NegativeLogLikelihood.apply(z, t, noise, residual)  # type: ignore[no-untyped-call]
    return value

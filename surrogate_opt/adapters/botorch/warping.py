"""The feature extractor of the deep kernel: the identity and a small network, under derivative control.

z = x + g(x) in network coordinates. Where control is strong, g is constant and z is x up to a shift: what is
left is a plain Gaussian process. Penalties are differentiated by autograd: the marginal likelihood has no
per-sample error that the closed form could start from.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.networks import ForwardPass, StackedMLP
from surrogate_opt.penalties import Strength, dreg_penalty


def new_extractor(dim: int, hidden: tuple[int, ...], activation: str, seed: int) -> StackedMLP:
    """A network from d inputs to d outputs that begins near zero, float64."""
    stack = StackedMLP((dim, *hidden, dim), 1, activation, dtype=torch.float64).initialize([seed])
    stack.weights[-1].mul_(0.1)
    stack.biases[-1].zero_()
    return stack


def bounded_weights(stack: StackedMLP, strength: Strength) -> list[Tensor]:
    """The layers' weights, scaled down to the spectral bound where there is one."""
    if math.isinf(strength.spectral_bound):
        return stack.weights
    bounded = []
    for weight in stack.weights:
        norm = torch.linalg.matrix_norm(weight, 2)[:, None, None]
        bounded.append(weight * torch.clamp_max(strength.spectral_bound / norm, 1.0))
    return bounded


def warp(
    stack: StackedMLP, x: Float[Tensor, "*batch d"], weights: list[Tensor] | None = None
) -> Float[Tensor, "*batch d"]:
    """x + g(x) in network coordinates."""
    flat = x.reshape(1, -1, x.shape[-1])
    return x + stack.run(flat, weights=weights).output[0].view(x.shape)


def warp_and_penalty(
    stack: StackedMLP, x: Float[Tensor, "n d"], strength: Strength
) -> tuple[Float[Tensor, "n d"], Float[Tensor, ""]]:
    """x + g(x), and the penalty on g at the given strength.

    Args:
        stack: g, one member.
        x: in network coordinates.
        strength: of DREG, of the input-gradient penalty (here the squared Frobenius norm of g's Jacobian, the
            sum of both over the d outputs), and the bound on every layer's spectral norm.
    """
    weights = bounded_weights(stack, strength)
    passed = stack.run(x[None], order=1, weights=weights)
    penalty = torch.zeros((), dtype=x.dtype)
    if strength.dreg:
        penalty = penalty + strength.dreg * dreg_penalty(stack, passed, weights).mean()
    if strength.igp:
        penalty = penalty + strength.igp * _squared_jacobian(passed, weights).mean()
    return x + passed.output[0], penalty


def _squared_jacobian(passed: ForwardPass, weights: list[Tensor]) -> Float[Tensor, " n"]:
    """Squared Frobenius norm of the Jacobian of the only member at every point."""
    jacobian = weights[0]  # (1, d, width), then (n, d, width)
    for slope, weight in zip(passed.slopes, weights[1:], strict=True):
        jacobian = (jacobian * slope[0][:, None, :]) @ weight
    return jacobian.square().sum((-2, -1))

"""DREG: the mean squared Frobenius norm of every layer's local Jacobian.

R = (1 / L) sum_l E_x[d_l(x)],  d_l(x) = sum_j phi'(z_lj)^2 ||W_l[:, j]||^2,  phi' = 1 in the output layer.

Source: "Derivative-Controlled Compact Surrogates for Predictable Sensitivity", Equations 4 and 5. Its Section
4.3 writes ||d_l||^2 instead of d_l; Equation 5 and its pseudocode are followed here. The paper stores weights
as (n_out, n_in), we as (n_in, n_out).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.networks import ForwardPass, StackedMLP


def _squared_slopes(stack: StackedMLP, passed: ForwardPass, layer: int) -> Tensor:
    """phi'^2; the slopes of piecewise linear activations without dropout are 0 or 1, their own squares."""
    slope = passed.slopes[layer]
    return slope if stack.activation.piecewise_linear and not passed.masks else slope * slope


def dreg_penalty(stack: StackedMLP, passed: ForwardPass, weights: list[Tensor]) -> Float[Tensor, "members n"]:
    """The penalty at each input, averaged over layers but not over inputs.

    Args:
        stack: the networks.
        passed: a forward pass with slopes.
        weights: the weights that the pass used.
    """
    total = weights[-1].square().sum((1, 2))[:, None].expand(-1, passed.output.shape[1])
    for layer in range(len(passed.slopes)):
        row_norms = weights[layer].square().sum(1, keepdim=True)
        total = total + (_squared_slopes(stack, passed, layer) * row_norms).sum(-1)
    return total / stack.num_layers


def add_dreg_gradient(
    stack: StackedMLP,
    passed: ForwardPass,
    weights: list[Tensor],
    strength: Float[Tensor, "members 1 1"],
    weight_gradients: list[Tensor],
) -> list[Tensor]:
    """Add strength * dR/dW, slopes held fixed, to the weights' gradients; return what the slopes add.

    The first part is 2 / L * E[phi'^2] * W, an activation-weighted weight decay. For the second,
    strength * dR/d(phi') = factor * phi' with factor = 2 strength / (L n) * ||W_l[:, j]||^2, one number a
    unit: ``(members, 1, width)`` per hidden layer. Where phi'' is zero it has nothing to act on, and the
    list is empty.
    """
    scale = 2.0 / stack.num_layers * strength
    factors = []
    for layer, slope in enumerate(passed.slopes):
        weight = weights[layer]
        mean_squared = _squared_slopes(stack, passed, layer).mean(1, keepdim=True)
        weight_gradients[layer].addcmul_(weight, mean_squared * scale)
        if not stack.activation.piecewise_linear:
            factors.append(weight.square().sum(1, keepdim=True) * (scale / slope.shape[1]))
    weight_gradients[-1].addcmul_(weights[-1], scale.to(weights[-1]))
    return factors


def mean_dreg_penalty(stack: StackedMLP, x: Float[Tensor, "members n d"]) -> Float[Tensor, " members"]:
    """R of Equation 5 over the given inputs, per member: the derivative proxy of the diagnostics."""
    with torch.no_grad():
        parts = [dreg_penalty(stack, stack.run(chunk, order=1), stack.weights) for chunk in stack.chunks(x)]
        return torch.cat(parts, 1).mean(1)

"""Penalties on the input Jacobian J of a stack's outputs seen along directions w: E sum_w ||J^T w||^2.

DataGrad takes what the loss of each input sends back to its outputs, SpectReg and the one-hot penalties a
direction for each input, JacReg the columns of the softmax's own Jacobian.

Source: Varga, Csiszarik & Zombori 2018, Section 5; Sokolic et al. 2017 (JacReg). Differentiated as in
``igp``; where w depends on the outputs, the penalty's derivative by w goes back through it.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.networks import ForwardPass, StackedMLP
from surrogate_opt.penalties.igp import InputGradientPass, by_input, there_and_back


def differentiate_projection(
    stack: StackedMLP,
    passed: ForwardPass,
    weights: list[Tensor],
    strength: Float[Tensor, "members 1 1"],
    directions: Float[Tensor, "members n*k m"],
) -> tuple[InputGradientPass, Float[Tensor, "members n*k m"]]:
    """The passes of E sum_k ||J^T w_k||^2, as ``differentiate_igp`` leaves them.

    Args:
        stack: the networks.
        passed: a forward pass with slopes.
        weights: the weights that the pass used.
        strength: of each member.
        directions: w, k rows for each input next to each other.

    Returns:
        The passes, and strength * dQ/dw.
    """
    per_input = directions.shape[1] // passed.output.shape[1]
    top = torch.bmm(directions, weights[-1].transpose(1, 2))
    v, u_bars, adjoints = there_and_back(stack, passed, weights, strength, top, per_input)
    output_gradient = torch.bmm(u_bars[-1].transpose(1, 2), directions)
    found = InputGradientPass(v, u_bars[:-1], adjoints, output_gradient)
    return found, torch.bmm(u_bars[-1], weights[-1])


def differentiate_jacreg(
    stack: StackedMLP, passed: ForwardPass, weights: list[Tensor], strength: Float[Tensor, "members 1 1"]
) -> tuple[InputGradientPass, Float[Tensor, "members n m"]]:
    """The passes of E ||J_p||_F^2, p the softmax, and its derivative by the logits through the softmax.

    J_p = A J with A = diag(p) - p p^T, so the directions are A's columns. With the derivative B by A, that by
    p is diag(B) - (B + B^T) p, and A times it is that by the logits.
    """
    num_outputs = passed.output.shape[-1]
    p = passed.output.softmax(-1)
    softmax_jacobian = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    found, adjoint = differentiate_projection(
        stack, passed, weights, strength, softmax_jacobian.flatten(1, 2)
    )
    by_jacobian = by_input(adjoint, num_outputs)
    symmetric = by_jacobian + by_jacobian.transpose(-1, -2)
    by_p = by_jacobian.diagonal(dim1=-2, dim2=-1) - (symmetric @ p[..., None])[..., 0]
    return found, (softmax_jacobian @ by_p[..., None])[..., 0]


def spectral_directions(
    shape: tuple[int, int], like: Tensor, generator: torch.Generator
) -> Float[Tensor, "n m"]:
    """SpectReg's: normal, of variance 1 / m."""
    drawn = torch.randn(shape, generator=generator, dtype=like.dtype)
    return drawn.div_(math.sqrt(shape[1])).to(like.device)


def random_basis(shape: tuple[int, int], like: Tensor, generator: torch.Generator) -> Float[Tensor, "n m"]:
    """RandomOneHot's: a basis vector times sqrt(m)."""
    chosen = torch.randint(shape[1], (shape[0],), generator=generator)
    return math.sqrt(shape[1]) * one_hot(chosen.to(like.device), shape[1], like)


def one_hot(labels: Int[Tensor, "*n"], num_outputs: int, like: Tensor) -> Float[Tensor, "*n m"]:
    """One at the label, zero elsewhere."""
    return torch.nn.functional.one_hot(labels, num_outputs).to(like.dtype)


def confidence_gradient(
    output: Float[Tensor, "members n m"], strength: Float[Tensor, "members 1 1"]
) -> Float[Tensor, "members n m"]:
    """strength * dQ/df of Q = E sum_k p_k log p_k, p the softmax: p_k (log p_k + H), H the entropy.

    Source: Pereyra et al. 2017.
    """
    log_p = output.log_softmax(-1)
    p = log_p.exp()
    negative_entropy = (p * log_p).sum(-1, keepdim=True)
    return (p * (log_p - negative_entropy)).mul_(strength / output.shape[1])

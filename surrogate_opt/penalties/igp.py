"""The input-gradient penalty of a stack's outputs: E ||J||_F^2 = E sum_k ||grad_x f_k||^2.

Source: Drucker & LeCun 1992 (double backpropagation); Ross & Doshi-Velez 2018; the Frobenius norm for several
outputs as in Hoffman, Roberts & Yaida 2019, Equation 4. A sum of ||J^T w||^2 over the basis vectors w,
differentiated by hand: one backward pass for every J^T w, one forward pass for its adjoint, and phi'' terms
handed to the loss's own backward pass. Several w share these passes, as rows for each input.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.networks import ForwardPass, StackedMLP


def igp_penalty(stack: StackedMLP, x: Float[Tensor, "members n d"]) -> Float[Tensor, "members n"]:
    """||grad_x f||^2 at each input, summed over the outputs."""
    if stack.sizes[-1] == 1:
        return stack.value_and_gradient(x)[1].square().sum(-1)
    return stack.value_and_jacobian(x)[1].square().sum((-2, -1))


@dataclass(frozen=True)
class InputGradientPass:
    """What differentiating a penalty on J^T w leaves, hidden layer by hidden layer; k rows for each input.

    Attributes:
        v: d<f, w>/dz_l, ``(members, n * k, width)``, the k rows of one input next to each other.
        u_bars: adjoint of d<f, w>/dh_{l-1}, ``(members, n * k, width)``; strength * dQ/dW_l is
            u_bar_{l-1}^T v_l.
        slope_adjoints: strength * dQ/d(phi'(z_l)), ``(members, n, width)``; empty where phi'' is zero.
        output_gradient: strength * dQ/dW of the output layer, ``(members, width, m)``.
    """

    v: list[Tensor]
    u_bars: list[Tensor]
    slope_adjoints: list[Tensor]
    output_gradient: Tensor


def differentiate_igp(
    stack: StackedMLP, passed: ForwardPass, weights: list[Tensor], strength: Float[Tensor, "members 1 1"]
) -> InputGradientPass:
    """The backward pass for each output's grad_x f, and the forward pass of its adjoint."""
    num_rows, num_outputs = passed.output.shape[1:]
    top = weights[-1].transpose(1, 2)
    if num_outputs > 1 or not passed.slopes:
        top = top.repeat(1, num_rows, 1)
    v, u_bars, adjoints = there_and_back(stack, passed, weights, strength, top, num_outputs)
    output_gradient = by_input(u_bars[-1], num_outputs).sum(1).transpose(1, 2)
    return InputGradientPass(v, u_bars[:-1], adjoints, output_gradient)


def there_and_back(
    stack: StackedMLP,
    passed: ForwardPass,
    weights: list[Tensor],
    strength: Float[Tensor, "members 1 1"],
    top: Float[Tensor, "members rows width"],
    rows_per_input: int,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """J^T w from d<f, w>/dh_{L-1} at the top, and its adjoint from there up again.

    With u_l = d<f, w>/dh_l and v_l = d<f, w>/dz_l = phi'(z_l) u_l, the input gradient is g = W_1 v_1. Its
    adjoint (2 strength / n) g runs forward: v_bar_l = u_bar_{l-1} W_l, u_bar_l = phi'(z_l) v_bar_l, and
    leaves v_bar_l u_l at each slope.

    Returns:
        v of each hidden layer; u_bar below each layer, the output layer's last; adjoints of the slopes.
    """
    smooth = not stack.activation.piecewise_linear
    slopes, u = passed.slopes, [top]
    scale = 2.0 / passed.output.shape[1] * strength
    if not slopes:
        return [], [top * scale], []
    if rows_per_input > 1:
        slopes = [slope.repeat_interleave(rows_per_input, 1) for slope in slopes]
    v = [slopes[-1] * u[0]]
    for layer in range(len(slopes) - 2, -1, -1):
        u.append(torch.bmm(v[-1], weights[layer + 1].transpose(1, 2)))
        v.append(u[-1] * slopes[layer] if smooth else u[-1].mul_(slopes[layer]))
    u.reverse()
    v.reverse()

    u_bars = [torch.bmm(v[0], weights[0].transpose(1, 2)).mul_(scale)]
    adjoints = []
    for layer, slope in enumerate(slopes):
        v_bar = torch.bmm(u_bars[-1], weights[layer])
        if smooth:
            adjoints.append(v_bar * u[layer])
        u_bars.append(v_bar.mul_(slope))
    if rows_per_input > 1:
        adjoints = [by_input(adjoint, rows_per_input).sum(2) for adjoint in adjoints]
    return v, u_bars, adjoints


def by_input(rows: Float[Tensor, "members rows width"], rows_per_input: int) -> Tensor:
    """The rows with an axis for those of one input, ``(members, n, k, width)``."""
    return rows.view(len(rows), -1, rows_per_input, rows.shape[2])

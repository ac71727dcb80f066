"""IGP: the expected squared norm of the outputs' input gradients, E ||J||_F^2 = E sum_k ||grad_x f_k||^2.

Source: Drucker & LeCun 1992 (double backpropagation); Ross & Doshi-Velez 2018; the Frobenius norm for several
outputs as in Hoffman, Roberts & Yaida 2019, Equation 4. Differentiated by hand: one backward pass for every
grad_x f_k, one forward pass for its adjoint, and phi'' terms handed to the loss's own backward pass. Several
outputs share these passes, as m rows for each input.
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
    """What differentiating the penalty leaves, hidden layer by hidden layer.

    Attributes:
        v: df_k/dz_l, ``(members, n * m, width)``, the m outputs of one input next to each other.
        u_bars: adjoint of df_k/dh_{l-1}, ``(members, n * m, width)``; strength * dQ/dW_l = u_bar_{l-1}^T v_l.
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
    """The backward pass for each output's grad_x f, and the forward pass of its adjoint.

    With u_l = df/dh_l and v_l = df/dz_l = phi'(z_l) u_l, the input gradient is g = W_1 v_1. Its adjoint
    (2 strength / n) g runs forward: v_bar_l = u_bar_{l-1} W_l, u_bar_l = phi'(z_l) v_bar_l, and leaves
    v_bar_l u_l at each slope.
    """
    smooth = not stack.activation.piecewise_linear
    num_rows, num_outputs = passed.output.shape[1:]
    slopes, u = passed.slopes, [weights[-1].transpose(1, 2)]
    if num_outputs > 1:
        slopes = [slope.repeat_interleave(num_outputs, 1) for slope in slopes]
        u = [u[0].repeat(1, num_rows, 1)]
    v = [slopes[-1] * u[0]]
    for layer in range(len(slopes) - 2, -1, -1):
        u.append(torch.bmm(v[-1], weights[layer + 1].transpose(1, 2)))
        v.append(u[-1] * slopes[layer] if smooth else u[-1].mul_(slopes[layer]))
    u.reverse()
    v.reverse()

    u_bars = [torch.bmm(v[0], weights[0].transpose(1, 2)).mul_(2.0 / num_rows * strength)]
    adjoints = []
    for layer, slope in enumerate(slopes):
        v_bar = torch.bmm(u_bars[-1], weights[layer])
        if smooth:
            adjoints.append(v_bar * u[layer])
        u_bars.append(v_bar.mul_(slope))
    if num_outputs > 1:
        adjoints = [_by_input(adjoint, num_outputs).sum(2) for adjoint in adjoints]
    output_gradient = _by_input(u_bars[-1], num_outputs).sum(1).transpose(1, 2)
    return InputGradientPass(
        v=v, u_bars=u_bars[:-1], slope_adjoints=adjoints, output_gradient=output_gradient
    )


def _by_input(rows: Float[Tensor, "members rows width"], num_outputs: int) -> Tensor:
    """The rows with an axis for the outputs, ``(members, n, m, width)``."""
    return rows.view(len(rows), -1, num_outputs, rows.shape[2])

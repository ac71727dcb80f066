"""IGP: the expected squared norm of the output's input gradient, E ||grad_x f||^2.

Source: Drucker & LeCun 1992 (double backpropagation); Ross & Doshi-Velez 2018. Differentiated by hand: one
backward pass for grad_x f, one forward pass for its adjoint, and phi'' terms handed to the loss's own
backward pass. Single-output networks only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.networks import ForwardPass, StackedMLP


def igp_penalty(stack: StackedMLP, x: Float[Tensor, "members n d"]) -> Float[Tensor, "members n"]:
    """||grad_x f||^2 at each input."""
    return stack.value_and_gradient(x)[1].square().sum(-1)


@dataclass(frozen=True)
class InputGradientPass:
    """What differentiating the penalty leaves, hidden layer by hidden layer.

    Attributes:
        v: df/dz_l, ``(members, n, width)``.
        u_bars: adjoint of df/dh_{l-1}: strength * dQ/dW_l is u_bar_{l-1}^T v_l, ``(members, n, width)``.
        slope_adjoints: strength * dQ/d(phi'(z_l)), ``(members, n, width)``; empty where phi'' is zero.
        last_u_bar: adjoint of df/dh of the last hidden layer.
    """

    v: list[Tensor]
    u_bars: list[Tensor]
    slope_adjoints: list[Tensor]
    last_u_bar: Tensor


def differentiate_igp(
    stack: StackedMLP, passed: ForwardPass, weights: list[Tensor], strength: Float[Tensor, "members 1 1"]
) -> InputGradientPass:
    """The backward pass for grad_x f, and the forward pass of its adjoint.

    With u_l = df/dh_l and v_l = df/dz_l = phi'(z_l) u_l, the input gradient is g = W_1 v_1. Its adjoint
    (2 strength / n) g runs forward: v_bar_l = u_bar_{l-1} W_l, u_bar_l = phi'(z_l) v_bar_l, and leaves
    v_bar_l u_l at each slope.
    """
    smooth = not stack.activation.piecewise_linear
    slopes = passed.slopes
    u = [weights[-1].transpose(1, 2)]
    v = [slopes[-1] * u[0]]
    for layer in range(len(slopes) - 2, -1, -1):
        u.append(torch.bmm(v[-1], weights[layer + 1].transpose(1, 2)))
        v.append(u[-1] * slopes[layer] if smooth else u[-1].mul_(slopes[layer]))
    u.reverse()
    v.reverse()

    u_bars = [torch.bmm(v[0], weights[0].transpose(1, 2)).mul_(2.0 / passed.output.shape[1] * strength)]
    adjoints = []
    for layer, slope in enumerate(slopes):
        v_bar = torch.bmm(u_bars[-1], weights[layer])
        if smooth:
            adjoints.append(v_bar * u[layer])
        u_bars.append(v_bar.mul_(slope))
    return InputGradientPass(v=v, u_bars=u_bars[:-1], slope_adjoints=adjoints, last_u_bar=u_bars[-1])

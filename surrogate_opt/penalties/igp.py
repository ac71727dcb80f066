"""IGP: the expected squared norm of the output's input gradient, E ||grad_x f||^2.

Source: Drucker & LeCun 1992 (double backpropagation); Ross & Doshi-Velez 2018. Differentiated by hand: one
backward pass for grad_x f, one forward pass for its adjoint, and phi'' terms handed to the loss's own
backward pass. Single-output networks only.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.networks import ForwardPass, StackedMLP


def igp_penalty(stack: StackedMLP, x: Float[Tensor, "members n d"]) -> Float[Tensor, "members n"]:
    """||grad_x f||^2 at each input."""
    return stack.value_and_gradient(x)[1].square().sum(-1)


def add_igp_gradient(
    stack: StackedMLP,
    passed: ForwardPass,
    weights: list[Tensor],
    strength: Float[Tensor, "members 1 1"],
    weight_gradients: list[Tensor],
) -> list[Tensor | None]:
    """Add strength * dQ/dW to the weights' gradients; return strength * dQ/d(phi') of each hidden layer.

    With u_l = df/dh_l and v_l = df/dz_l = phi'(z_l) u_l, the input gradient is g = W_1 v_1. Its adjoint
    (2 strength / n) g runs forward: v_bar_l = u_bar_{l-1} W_l, u_bar_l = phi'(z_l) v_bar_l, leaving
    u_bar_{l-1}^T v_l at each weight and v_bar_l u_l at each slope (None where phi'' is zero).
    """
    batch = passed.output.shape[1]
    if stack.num_layers == 1:
        weight_gradients[0].addcmul_(weights[0], 2.0 * strength)
        return []
    smooth = not stack.activation.piecewise_linear
    slopes = passed.slopes
    u = [weights[-1].transpose(1, 2)]
    v = [slopes[-1] * u[0]]
    for layer in range(len(slopes) - 2, -1, -1):
        u.append(torch.bmm(v[-1], weights[layer + 1].transpose(1, 2)))
        v.append(u[-1] * slopes[layer] if smooth else u[-1].mul_(slopes[layer]))
    u.reverse()
    v.reverse()

    u_bar = torch.bmm(v[0], weights[0].transpose(1, 2)).mul_(2.0 / batch * strength)
    adjoints: list[Tensor | None] = []
    for layer, slope in enumerate(slopes):
        weight_gradients[layer].baddbmm_(u_bar.transpose(1, 2), v[layer])
        v_bar = torch.bmm(u_bar, weights[layer])
        adjoints.append(v_bar * u[layer] if smooth else None)
        u_bar = v_bar.mul_(slope)
    weight_gradients[-1].add_(u_bar.sum(1)[..., None])
    return adjoints

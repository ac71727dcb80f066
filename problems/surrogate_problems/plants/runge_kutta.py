"""The classical Runge-Kutta method of order 4 and its exact derivatives, batched."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Derivative = Callable[[Tensor, Tensor], Tensor]
"""dx/dt from states ``(..., n)`` and actions ``(..., m)``."""

Jacobians = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From the same, the derivatives of dx/dt with respect to x ``(..., n, n)`` and u ``(..., n, m)``."""


def step(
    derivative: Derivative,
    x: Float[Tensor, "*batch n"],
    u: Float[Tensor, "*batch m"],
    dt: float,
    substeps: int,
) -> Float[Tensor, "*batch n"]:
    """Integrate over dt with the actions held.

    Args:
        derivative: dx/dt.
        x: states ``(..., n)``.
        u: actions ``(..., m)``.
        dt: length of the step.
        substeps: Runge-Kutta steps in dt.

    Returns:
        States at the end ``(..., n)``, differentiable.
    """
    h = dt / substeps
    for _ in range(substeps):
        x, _ = _substep(derivative, x, u, h)
    return x


def linearize(
    derivative: Derivative,
    jacobians: Jacobians,
    x: Float[Tensor, "*batch n"],
    u: Float[Tensor, "*batch m"],
    dt: float,
    substeps: int,
) -> tuple[Float[Tensor, "*batch n"], Float[Tensor, "*batch n n"], Float[Tensor, "*batch n m"]]:
    """`step` and its exact derivatives.

    The stages of all substeps are differentiated in one call; what is left is the chain rule through the
    method, with the sensitivity [dx/dx0, dx/du] ``(..., n, n + m)`` carried along.

    Args:
        derivative: dx/dt.
        jacobians: derivatives of dx/dt.
        x: states ``(..., n)``.
        u: actions ``(..., m)``, of the same leading shape.
        dt: length of the step.
        substeps: Runge-Kutta steps in dt.

    Returns:
        States at the end ``(..., n)``, their derivatives with respect to x ``(..., n, n)`` and u ``(..., n,
        m)``; all detached.
    """
    h, n = dt / substeps, x.shape[-1]
    with torch.no_grad():
        end, stages = x, []
        for _ in range(substeps):
            end, points = _substep(derivative, end, u, h)
            stages.extend(points)
        at = torch.stack(stages)
        by_state, by_action = jacobians(at, u.expand(*at.shape[:-1], -1))
        sensitivity = torch.eye(n, n + u.shape[-1]).to(x).expand(*x.shape[:-1], -1, -1)
        for first in range(0, 4 * substeps, 4):
            rates: list[Tensor] = []
            for stage, share in enumerate((0.0, 0.5, 0.5, 1.0)):
                inner = sensitivity + share * h * rates[-1] if rates else sensitivity
                rate = by_state[first + stage] @ inner
                rate[..., n:] += by_action[first + stage]
                rates.append(rate)
            D1, D2, D3, D4 = rates
            sensitivity = sensitivity + h / 6.0 * (D1 + 2.0 * (D2 + D3) + D4)
    return end, sensitivity[..., :n], sensitivity[..., n:]


def _substep(derivative: Derivative, x: Tensor, u: Tensor, h: float) -> tuple[Tensor, list[Tensor]]:
    """One step of length h, and the four states at which it took the derivative."""
    first = derivative(x, u)
    x2 = x + 0.5 * h * first
    second = derivative(x2, u)
    x3 = x + 0.5 * h * second
    third = derivative(x3, u)
    x4 = x + h * third
    fourth = derivative(x4, u)
    return x + h / 6.0 * (first + 2.0 * (second + third) + fourth), [x, x2, x3, x4]

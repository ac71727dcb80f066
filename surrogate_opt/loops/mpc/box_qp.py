"""Small quadratic programs in boxes, a batch of them at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

_MAX_ITERATIONS = 30
_STEP_SIZES = 0.5 ** np.arange(12.0)
_SUFFICIENT_DECREASE = 0.1


def box_qp(
    hessian: Float[np.ndarray, "R m m"],
    gradient: Float[np.ndarray, "R m"],
    lower: Float[np.ndarray, "R m"],
    upper: Float[np.ndarray, "R m"],
) -> tuple[Float[np.ndarray, "R m"], Bool[np.ndarray, "R m"]]:
    """Minimize x'Hx / 2 + g'x within a box by projected Newton steps.

    Args:
        hessian: symmetric, positive definite.
        gradient: at x = 0.
        lower: bounds, ``lower <= upper``.
        upper: likewise.

    Returns:
        The minima, and the free coordinates there: those that no bound holds.

    Source:
        Tassa, Mansard and Todorov 2014, "Control-limited differential dynamic programming", Algorithm 1
        (Bertsekas 1982). The step sizes of the Armijo search are tried in one batch.
    """
    if gradient.shape[-1] == 1:
        return _interval(hessian[..., 0], gradient, lower, upper)
    newton = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
    inside = (lower <= newton) & (newton <= upper)
    if inside.all():
        return newton, inside
    return _projected_newton(hessian, gradient, lower, upper, np.clip(newton, lower, upper))


def _interval(
    curvature: Float[np.ndarray, "R 1"],
    gradient: Float[np.ndarray, "R 1"],
    lower: Float[np.ndarray, "R 1"],
    upper: Float[np.ndarray, "R 1"],
) -> tuple[Float[np.ndarray, "R 1"], Bool[np.ndarray, "R 1"]]:
    """One variable: the Newton step, cut off."""
    newton = -gradient / curvature
    x = np.minimum(np.maximum(newton, lower), upper)
    return x, x == newton


def _projected_newton(
    hessian: Float[np.ndarray, "R m m"],
    gradient: Float[np.ndarray, "R m"],
    lower: Float[np.ndarray, "R m"],
    upper: Float[np.ndarray, "R m"],
    x: Float[np.ndarray, "R m"],
) -> tuple[Float[np.ndarray, "R m"], Bool[np.ndarray, "R m"]]:
    def value(at: Float[np.ndarray, "*s R m"]) -> Float[np.ndarray, "*s R"]:
        curved = (hessian @ at[..., None])[..., 0]
        values: Float[np.ndarray, "*s R"] = (at * (gradient + 0.5 * curved)).sum(-1)
        return values

    scale = np.abs(gradient).max(-1, keepdims=True) + 1e-300
    rows, steps = np.arange(len(x)), _STEP_SIZES[:, None, None]
    for _ in range(_MAX_ITERATIONS):
        slope = gradient + (hessian @ x[..., None])[..., 0]
        free = ~(((x <= lower) & (slope > 0)) | ((x >= upper) & (slope < 0)))
        open_slope = np.where(free, slope, 0.0)
        if not (np.abs(open_slope) > 1e-12 * scale).any():
            break
        direction = -np.linalg.solve(free_block(hessian, free), open_slope[..., None])[..., 0]
        trials = np.clip(x + steps * direction, lower, upper)
        promised = (open_slope * (trials - x)).sum(-1)
        enough = value(trials) - value(x) <= _SUFFICIENT_DECREASE * promised
        trial = trials[enough.argmax(0), rows]
        x = np.where(enough.any(0)[:, None], trial, x)
    return x, free


def free_block(
    hessian: Float[np.ndarray, "R m m"], free: Bool[np.ndarray, "R m"]
) -> Float[np.ndarray, "R m m"]:
    """The Hessian of the free coordinates, the identity for the others."""
    both = free[..., :, None] & free[..., None, :]
    return np.where(both, hessian, np.eye(hessian.shape[-1]))

"""Heavy multi-start minimization in a box: the optimum of truths that have no closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.quasirandom import SobolEngine

ValueAndGradient = Callable[[Tensor], tuple[Tensor, Tensor]]

_LARGEST_STEP, _SMALLEST_STEP = 0.05, 1e-3  # of the box's width
_NUM_SCAN_POINTS, _NUM_SCANS = 257, 2
_DISTINCT = 0.02  # root mean square distance, in widths of the box, under which two starts count as one


def sobol_points(num_points: int, dim: int, seed: int) -> Float[Tensor, "n d"]:
    """Draw scrambled Sobol points of the unit box, float64; the same seed gives the same points."""
    engine = SobolEngine(dim, scramble=True, seed=seed)  # type: ignore[no-untyped-call]  # torch leaves it so
    return engine.draw(num_points, dtype=torch.float64)


def minimize_in_box(
    value_and_gradient: ValueAndGradient,
    bounds: Float[Tensor, "2 d"],
    *,
    num_samples: int = 8192,
    num_starts: int = 256,
    num_steps: int = 150,
    num_polished: int = 16,
    seed: int = 0,
) -> tuple[Float[Tensor, " d"], float]:
    """Search a box for the lowest value: sample, descend from many starts at once, polish the best.

    Half of the starts are the lowest of the Sobol samples, half are samples taken as they come. They descend
    together by projected Adam under a cosine schedule. The lowest distinct end points are scanned along each
    axis in turn, which finds the way out of local minima where inputs act nearly apart, and polished by
    L-BFGS-B. Work is done in the unit box, so inputs may have any units. Deterministic.

    Args:
        value_and_gradient: x ``(n, d)`` float64 to values ``(n,)`` and gradients ``(n, d)``.
        bounds: ``(2, d)`` float64, lower row and upper row, finite.
        num_samples: size of the first scan.
        num_starts: descents, at most ``num_samples``.
        num_steps: steps of each descent.
        num_polished: end points that are polished.
        seed: of the Sobol scrambling.

    Returns:
        The point ``(d,)`` and its value.
    """
    lower, width = bounds[0], bounds[1] - bounds[0]
    unit = sobol_points(num_samples, bounds.shape[1], seed)
    order = value_and_gradient(lower + unit * width)[0].nan_to_num(nan=math.inf).argsort()
    half = num_starts // 2
    starts = torch.cat([unit[order[:half]], unit[order[half:].sort().values][: num_starts - half]])
    ends, values = _descend(value_and_gradient, bounds, starts, num_steps)
    best = lower + _distinct(ends, values, num_polished) * width
    return polish(value_and_gradient, bounds, _scan_axes(value_and_gradient, bounds, best))


def polish(
    value_and_gradient: ValueAndGradient, bounds: Float[Tensor, "2 d"], starts: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, " d"], float]:
    """Run L-BFGS-B to convergence from each start and keep the lowest point met.

    Args:
        value_and_gradient: as for `minimize_in_box`.
        bounds: ``(2, d)`` float64.
        starts: ``(n, d)`` float64, inside the bounds, at least one.

    Returns:
        The lowest point ``(d,)``, a start itself where polishing brings nothing, and its value.
    """
    lower, width = bounds[0], bounds[1] - bounds[0]

    def objective(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = value_and_gradient((lower + torch.from_numpy(u) * width)[None])
        return float(value[0]), (gradient[0] * width).numpy()

    points = [starts]
    for start in ((starts - lower) / width).clamp(0.0, 1.0):
        result = minimize(
            objective,
            start.numpy(),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * len(start),
            options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-10},
        )
        # Rounding in the scaling may leave the box by the last bit.
        end = (lower + torch.from_numpy(np.asarray(result.x)) * width).clamp(bounds[0], bounds[1])
        points.append(end[None])
    candidates = torch.cat(points)
    values = value_and_gradient(candidates)[0].nan_to_num(nan=math.inf)
    best = int(values.argmin())
    return candidates[best], float(values[best])


def _descend(
    value_and_gradient: ValueAndGradient, bounds: Tensor, starts: Tensor, num_steps: int
) -> tuple[Tensor, Tensor]:
    """Projected Adam on all starts at once, in unit-box coordinates; returns the end points and values."""
    lower, width = bounds[0], bounds[1] - bounds[0]
    u, mean, square = starts, torch.zeros_like(starts), torch.zeros_like(starts)
    for step in range(1, num_steps + 1):
        gradient = (value_and_gradient(lower + u * width)[1] * width).nan_to_num(0.0, 0.0, 0.0)
        mean = torch.lerp(gradient, mean, 0.9)
        square = torch.lerp(gradient**2, square, 0.99)
        cosine = 0.5 * (1.0 + math.cos(math.pi * (step - 1) / num_steps))
        rate = _SMALLEST_STEP + (_LARGEST_STEP - _SMALLEST_STEP) * cosine
        scale = (square / (1.0 - 0.99**step)).sqrt() + 1e-12
        u = (u - rate * mean / (1.0 - 0.9**step) / scale).clamp(0.0, 1.0)
    return u, value_and_gradient(lower + u * width)[0].nan_to_num(nan=math.inf)


def _scan_axes(value_and_gradient: ValueAndGradient, bounds: Tensor, points: Tensor) -> Tensor:
    """Move each point to the lowest of a grid along each axis in turn, where that is lower."""
    points = points.clone()
    fraction = torch.linspace(0.0, 1.0, _NUM_SCAN_POINTS, dtype=torch.float64)
    for axis in [*range(points.shape[1])] * _NUM_SCANS:
        line = bounds[0, axis] + fraction * (bounds[1, axis] - bounds[0, axis])
        moved = points[:, None].repeat(1, _NUM_SCAN_POINTS + 1, 1)  # the point itself comes last
        moved[:, :-1, axis] = line
        values = value_and_gradient(moved.flatten(0, 1))[0].reshape(len(points), -1)
        best = values.nan_to_num(nan=math.inf).argmin(1)
        points = moved[torch.arange(len(points)), best]
    return points


def _distinct(points: Tensor, values: Tensor, num_points: int) -> Tensor:
    """The lowest points of which no two are the same local minimum, lowest first, at most ``num_points``."""
    points = points[values.argsort()]
    chosen = points[:1]
    for point in points[1:]:
        if len(chosen) == num_points:
            break
        if float((chosen - point).square().mean(-1).sqrt().min()) > _DISTINCT:
            chosen = torch.cat([chosen, point[None]])
    return chosen

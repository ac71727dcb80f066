"""Evaluation of a model or truth on many points: Sobol points in a box, chunks, normalized units.

Normalized units: inputs scaled to the unit box by the bounds, outputs divided by ``scale``, so that
``g_normalized = g_raw * (upper - lower) / scale``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.quasirandom import SobolEngine

from surrogate_opt.adapters.box import as_box
from surrogate_opt.errors import InputError
from surrogate_opt.types import Differentiable

NUM_POINTS = 2048
"""How many Sobol points a figure is taken over unless told otherwise."""

SCALE_SEED = 0
"""The scramble of the one Sobol set that output scales are taken on."""

MAX_POINTS_PER_CALL = 16_384
"""The most points a model is asked for at once: 10^6 points then need little beyond their own storage."""


def check_bounds(bounds: Any, dim: int | None = None) -> Float[Tensor, "2 d"]:
    """Bounds as a float64 tensor, once they make sense.

    An input may have equal bounds (it is held fixed), but not all of them.

    Args:
        bounds: lower bounds, then upper bounds, ``(2, d)``, raw units: a tensor or an array.
        dim: the d to expect, if known.

    Raises:
        InputError: another shape, a bound that is not finite, lower above upper, or a box without extent.
    """
    box = as_box(bounds, dim=dim)
    if not bool(box.free.any()):
        raise InputError("bounds: expected at least one input with lower < upper, got a single point")
    return box.bounds


def find_bounds(bounds: Any, *owners: object, dim: int | None = None) -> Float[Tensor, "2 d"]:
    """The bounds given, else those of the first owner that has some as ``owner.bounds``.

    Raises:
        InputError: nobody has bounds, or they make no sense.
    """
    for candidate in (bounds, *(getattr(owner, "bounds", None) for owner in owners)):
        if candidate is not None:
            return check_bounds(candidate, dim)
    raise InputError("bounds: expected a (2, d) tensor or a model that has bounds, got neither")


def sobol_points(bounds: Float[Tensor, "2 d"], num_points: int, seed: int) -> Float[Tensor, "n d"]:
    """Scrambled Sobol points in a box.

    Args:
        bounds: ``(2, d)``, raw units.
        num_points: n.
        seed: of the scramble; equal seeds give equal points.

    Returns:
        float64 points in raw units, ``(n, d)``.
    """
    if num_points < 1:
        raise InputError(f"num_points: expected at least 1, got {num_points}")
    lower, upper = check_bounds(bounds)
    engine = SobolEngine(lower.shape[0], scramble=True, seed=seed)  # type: ignore[no-untyped-call]  # torch
    unit: Tensor = engine.draw(num_points, dtype=torch.float64)
    return torch.lerp(lower, upper, unit)


def chunks(x: Float[Tensor, "*stack n d"], max_points: int = MAX_POINTS_PER_CALL) -> Iterator[slice]:
    """Slices of the points axis (the last but one), each at most ``max_points`` points over all leading axes.

    A model of C surrogates wants its own axis whole, so only the points axis is cut; every slice holds at
    least one point of each.
    """
    if x.ndim < 2:
        raise InputError(f"x: expected shape (..., n, d), got {tuple(x.shape)}")
    num_points = x.shape[-2]
    stack = x.shape[:-2].numel()
    size = max(1, max_points // max(1, stack))
    for begin in range(0, num_points, size):
        yield slice(begin, min(begin + size, num_points))


def evaluate_values(
    model: Differentiable, x: Float[Tensor, "*stack n d"], max_points: int = MAX_POINTS_PER_CALL
) -> Float[Tensor, "*stack n"]:
    """Values on many points, chunk by chunk.

    Args:
        model: what to evaluate.
        x: points, raw units, ``(*stack, n, d)``; n >= 1.
        max_points: the most points in one call.

    Returns:
        float64 values, raw units, ``(*stack, n)``.
    """
    values = torch.empty(x.shape[:-1], dtype=torch.float64, device=x.device)
    for part in chunks(x, max_points):
        values[..., part] = model.value(x[..., part, :])
    return values


def evaluate_values_and_gradients(
    model: Differentiable, x: Float[Tensor, "*stack n d"], max_points: int = MAX_POINTS_PER_CALL
) -> tuple[Float[Tensor, "*stack n"], Float[Tensor, "*stack n d"]]:
    """Values and gradients on many points, chunk by chunk; arguments as for ``evaluate_values``.

    Returns:
        float64 values ``(*stack, n)`` and gradients ``(*stack, n, d)``, raw units.
    """
    values = torch.empty(x.shape[:-1], dtype=torch.float64, device=x.device)
    gradients = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    for part in chunks(x, max_points):
        values[..., part], gradients[..., part, :] = model.value_and_gradient(x[..., part, :])
    return values, gradients


def evaluate_along(
    truth: Differentiable, x: Float[Tensor, "*batch d"], max_points: int = MAX_POINTS_PER_CALL
) -> Float[Tensor, "*batch"]:
    """Values of one function at points of any shape, such as ``Trajectories.x``.

    All points go through the function as one list ``(n, d)``, so this is for a truth or a single model, not
    for a model of C surrogates.
    """
    return evaluate_values(truth, x.reshape(-1, x.shape[-1]), max_points).reshape(x.shape[:-1])


def output_scale(truth: Differentiable, bounds: Float[Tensor, "2 d"]) -> float:
    """The truth's standard deviation over the fixed Sobol set of 2048 points: the unit of outputs.

    Raises:
        InputError: the truth is constant or not finite somewhere in the box.
    """
    values = evaluate_values(truth, sobol_points(bounds, NUM_POINTS, SCALE_SEED))
    if not bool(values.isfinite().all()):
        raise InputError(
            f"truth: expected finite values in the box, got {int((~values.isfinite()).sum())} others"
        )
    if bool((values == values[0]).all()):
        raise InputError(
            f"truth: expected values that vary in the box, got the constant {float(values[0]):g}"
        )
    return float(values.std(correction=0))


def normalize_gradient(
    gradient: Float[Tensor, "*batch d"], bounds: Float[Tensor, "2 d"], scale: float | Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch d"]:
    """Gradients in normalized units: ``g_raw * (upper - lower) / scale``.

    Args:
        gradient: raw units, ``(*batch, d)``.
        bounds: ``(2, d)``, raw units.
        scale: output units per normalized unit; a tensor must broadcast to ``(*batch,)``.
    """
    width = bounds[1] - bounds[0]
    divisor = torch.as_tensor(scale, dtype=torch.float64).unsqueeze(-1)
    return gradient * width / divisor

"""Checks of what a user tells: points of the box, values, constraint values."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from surrogate_opt.data.checks import as_float_array
from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian.domain import Domain

LARGEST_VALUE = 1e150
"""A number that is larger, of either sign, is taken for infinite: its square is, in every fit."""

_SLACK = 1e-6  # of a side: what rounding to float32 or to a table's digits does


def check_told(
    domain: Domain, num_constraints: int, x: Any, y: Any, constraints: Any
) -> tuple[
    Float[NDArray[np.float64], "n d"], Float[NDArray[np.float64], " n"], Float[NDArray[np.float64], "n m"]
]:
    """Points, values and constraint values as arrays, one row an evaluation.

    Args:
        domain: where the points must lie.
        num_constraints: m.
        x: ``(n, d)``, or ``(d,)`` for one evaluation; raw units.
        y: ``(n,)``, ``(n, 1)``, or one number; anything but a finite number is a failed evaluation, and so is
            one beyond 1e150, which becomes infinite. Constraint values likewise.
        constraints: ``(n, m)``; ``(n,)`` with one constraint, ``(m,)`` for one evaluation; none without
            constraints.

    Raises:
        InputError: shapes that do not fit together, a point outside of the box, or an integer input that is
            no integer.
    """
    points = check_points(domain, x)
    values = as_float_array(y, "y")
    if values.ndim == 0 or (values.ndim == 2 and values.shape[1] == 1):
        values = values.reshape(-1)
    if values.shape != (len(points),):
        raise InputError(f"y: expected one value a row of x, {len(points)}; came the shape {values.shape}")
    _check_inside(domain, points)
    limits = _check_constraints(num_constraints, len(points), constraints)
    return points, _without_giants(values), _without_giants(limits)


def check_points(domain: Domain, x: Any) -> Float[NDArray[np.float64], "n d"]:
    """Points as an array, one row a point; one point may come as ``(d,)``.

    Raises:
        InputError: another shape.
    """
    points = as_float_array(x, "x")
    if points.ndim == 1 and len(points) == domain.dim:
        points = points[None]
    if points.ndim != 2 or points.shape[1] != domain.dim:
        raise InputError(f"x: expected the shape (rows, {domain.dim}); came {points.shape}")
    return points


def _without_giants(values: Float[NDArray[np.float64], "*shape"]) -> Float[NDArray[np.float64], "*shape"]:
    return np.where(np.abs(values) > LARGEST_VALUE, np.copysign(np.inf, values), values)


def _check_inside(domain: Domain, points: Float[NDArray[np.float64], "n d"]) -> None:
    lower, upper = domain.box.bounds.numpy()
    slack = _SLACK * (upper - lower)
    outside = ~((points >= lower - slack) & (points <= upper + slack))
    if outside.any():
        row, column = map(int, np.argwhere(outside)[0])
        raise InputError(
            f"x[{row}, {column}]: expected a number from {lower[column]:g} to {upper[column]:g}; "
            f"came {points[row, column]:g}"
        )
    for column in domain.integers:
        broken = np.flatnonzero(points[:, column] != points[:, column].round())
        if len(broken):
            row = int(broken[0])
            raise InputError(f"x[{row}, {column}]: expected an integer; came {points[row, column]:g}")


def _check_constraints(num_constraints: int, num_rows: int, constraints: Any) -> NDArray[np.float64]:
    shape = (num_rows, num_constraints)
    if num_constraints == 0:
        if constraints is not None:
            raise InputError("constraints: expected none, as the loop was made with num_constraints=0")
        return np.empty(shape)
    if constraints is None:
        raise InputError(f"constraints: expected values of the shape {shape}; came none")
    values = as_float_array(constraints, "constraints")
    if values.ndim <= 1 and values.size == num_rows * num_constraints and 1 in shape:
        values = values.reshape(shape)
    if values.shape != shape:
        raise InputError(f"constraints: expected the shape {shape}; came {values.shape}")
    return values

"""SciPy's constraints: checked, carried over to unit-box coordinates, and measured at points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import LinearConstraint, NonlinearConstraint

from surrogate_opt.adapters.box import Box
from surrogate_opt.errors import InputError

Vector = npt.NDArray[np.float64]
Constraint = LinearConstraint | NonlinearConstraint | Mapping[str, Any]
"""What ``scipy.optimize.minimize(method="SLSQP")`` takes: objects, or a dict of type, fun, jac and args."""


def as_constraints(constraints: Any, dim: int) -> tuple[Constraint, ...]:
    """Check one constraint or a sequence of them.

    Args:
        constraints: a constraint of SciPy's or a sequence of them, on points in raw units.
        dim: number of inputs.

    Returns:
        The constraints, a tuple.

    Raises:
        InputError: something else, a dict without ``type`` or ``fun``, or a matrix of another width.
    """
    if isinstance(constraints, LinearConstraint | NonlinearConstraint | Mapping):
        constraints = (constraints,)
    if not isinstance(constraints, Sequence):
        raise InputError(f"constraints: expected a sequence, got {type(constraints).__name__}")
    for constraint in constraints:
        if isinstance(constraint, Mapping):
            if constraint.get("type") not in ("eq", "ineq") or not callable(constraint.get("fun")):
                raise InputError(
                    "constraints: expected a dict with type 'eq' or 'ineq' and a callable fun, "
                    f"got {dict(constraint)}"
                )
        elif isinstance(constraint, LinearConstraint):
            columns = _matrix(constraint).shape[-1]
            if columns != dim:
                raise InputError(f"constraints: expected a matrix of {dim} columns, got {columns}")
        elif not isinstance(constraint, NonlinearConstraint):
            raise InputError(
                "constraints: expected scipy's LinearConstraint, NonlinearConstraint or a dict, "
                f"got {type(constraint).__name__}"
            )
    return tuple(constraints)


def in_unit_box(constraint: Constraint, box: Box) -> Constraint:
    """The same constraint on unit coordinates: x = lower + width u, and Jacobians times the width."""
    lower, upper = box.lower.numpy(), box.upper.numpy()
    width = upper - lower

    def raw(u: Vector) -> Vector:
        point: Vector = np.clip(lower + width * u, lower, upper)
        return point

    def scaled(jacobian: Callable[..., Any]) -> Callable[..., Any]:
        return lambda u, *args: _dense(jacobian(raw(u), *args)) * width

    if isinstance(constraint, LinearConstraint):
        matrix = _matrix(constraint)
        offset = matrix @ lower
        return LinearConstraint(matrix * width, constraint.lb - offset, constraint.ub - offset)
    if isinstance(constraint, NonlinearConstraint):
        function, jacobian = constraint.fun, constraint.jac
        return NonlinearConstraint(
            lambda u: function(raw(u)),
            constraint.lb,
            constraint.ub,
            jac=scaled(jacobian) if callable(jacobian) else jacobian,
        )
    moved = dict(constraint)
    outer = constraint["fun"]
    moved["fun"] = lambda u, *args: outer(raw(u), *args)
    if callable(constraint.get("jac")):
        moved["jac"] = scaled(constraint["jac"])
    return moved


def violation(constraints: Sequence[Constraint], x: Vector) -> float:
    """By how much a point breaks the constraint it breaks most.

    Args:
        constraints: on points in raw units.
        x: one point, ``(d,)``, raw units.

    Returns:
        The largest excess over a limit, divided by 1 + |limit|; 0 where all hold, infinite where one is not a
        number.
    """
    worst = 0.0
    for constraint in constraints:
        low: Any = 0.0
        high: Any = np.inf
        if isinstance(constraint, Mapping):
            value = constraint["fun"](x, *constraint.get("args", ()))
            high = 0.0 if constraint["type"] == "eq" else high
        elif isinstance(constraint, LinearConstraint):
            value, low, high = _matrix(constraint) @ x, constraint.lb, constraint.ub
        else:
            value, low, high = constraint.fun(x), constraint.lb, constraint.ub
        values = np.atleast_1d(np.asarray(value, dtype=np.float64))
        worst = max(worst, _excess(values, low), _excess(-values, np.negative(high)))
    return worst


def _excess(value: Vector, low: npt.ArrayLike) -> float:
    limit = np.broadcast_to(np.asarray(low, dtype=np.float64), value.shape)
    bounded = np.isfinite(limit)
    if not bounded.any():
        return 0.0
    excess = (limit[bounded] - value[bounded]) / (1 + np.abs(limit[bounded]))
    return float("inf") if np.isnan(excess).any() else max(0.0, float(excess.max()))


def _matrix(constraint: LinearConstraint) -> Vector:
    return np.atleast_2d(_dense(constraint.A))


def _dense(matrix: Any) -> Vector:
    dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    return np.asarray(dense, dtype=np.float64)

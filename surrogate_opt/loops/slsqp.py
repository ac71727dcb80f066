"""SciPy's SLSQP, one run a start: the loop for linear and nonlinear constraints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from scipy.optimize import OptimizeResult
from scipy.optimize import minimize as scipy_minimize
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.loops.constraints import Constraint, as_constraints, in_unit_box
from surrogate_opt.loops.objective import Scale, UnitObjective, begin
from surrogate_opt.types import Differentiable, Trajectories

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SLSQPConfig:
    """Settings of ``slsqp``.

    Attributes:
        max_steps: at most so many iterations.
        tolerance: SciPy's ``ftol``, for the normalized function of unit coordinates.
    """

    max_steps: int = 100
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise InputError(f"max_steps: expected 1 or more, got {self.max_steps}")
        if not (self.tolerance > 0 and math.isfinite(self.tolerance)):
            raise InputError(f"tolerance: expected a positive number, got {self.tolerance}")


def slsqp(
    model: Differentiable,
    starts: Float[Tensor, "n d"],
    bounds: Float[Tensor, "2 d"],
    config: SLSQPConfig | None = None,
    *,
    constraints: Constraint | Sequence[Constraint] = (),
    scale: float = 1.0,
) -> Trajectories:
    """Minimize under constraints by SLSQP, from one start after the other.

    Works in unit-box coordinates; constraints see points in raw units. A path holds the points at which SLSQP
    asked for a gradient, which are its accepted ones (SciPy's callback also sees rejected trial points), and
    the last one.

    Args:
        model: the model to follow.
        starts: ``(n, d)``, raw units; moved into the box, not onto the constraints.
        bounds: ``(2, d)``, raw units; an input of zero width never moves.
        config: settings.
        constraints: SciPy's ``LinearConstraint``, ``NonlinearConstraint`` or dicts, on x ``(d,)``, raw units.
        scale: what normalizes values, positive.

    Returns:
        The paths, ``max_steps + 1`` points each.

    Raises:
        InputError: starts, bounds, scale or constraints that cannot be used.

    Source:
        Kraft 1988, DFVLR-FB 88-28, in SciPy's implementation.
    """
    return run_slsqp(model, starts, bounds, config, constraints=constraints, scale=scale)[0]


def run_slsqp(
    model: Differentiable,
    starts: Any,
    bounds: Any,
    config: SLSQPConfig | None = None,
    *,
    constraints: Any = (),
    scale: Scale = 1.0,
) -> tuple[Trajectories, Bool[Tensor, " n"]]:
    """As ``slsqp``, with the starts where SciPy reports success."""
    config = SLSQPConfig() if config is None else config
    objective, x = begin(model, starts, bounds, scale)
    if x.ndim != 2:
        raise InputError(f"starts: expected shape (n, {objective.box.dim}), got {tuple(x.shape)}")
    checked = as_constraints(constraints, objective.box.dim)
    moved: list[Any] = [in_unit_box(constraint, objective.box) for constraint in checked]
    runs = [_run(objective, start, moved, config) for start in objective.box.to_unit(x).numpy()]

    length = config.max_steps + 1
    path = torch.stack([_padded([point for point, _ in run.path], length) for run, _ in runs], dim=1)
    path = objective.box.from_unit(path)
    path[0] = x
    trajectories = Trajectories(
        x=path,
        value=torch.stack([_padded([value for _, value in run.path], length) for run, _ in runs], dim=1),
        num_steps=torch.tensor([len(run.path) - 1 for run, _ in runs]),
        failed=torch.tensor([run.failed for run, _ in runs]),
    )
    return trajectories, torch.tensor([success for _, success in runs])


class _NotFiniteError(Exception):
    """Leaves SciPy's solver at a value or gradient that is not finite."""


class _Run:
    """One start's objective, with its accepted points and raw values."""

    def __init__(self, objective: UnitObjective) -> None:
        self.path: list[tuple[Vector, float]] = []
        self.failed = False
        self._objective = objective
        self._scale = float(objective.scale)
        self._point: Vector | None = None
        self._value, self._gradient = math.nan, np.empty(0)

    def value(self, u: Vector) -> float:
        """The normalized value."""
        return self._at(u)[0] / self._scale

    def gradient(self, u: Vector) -> Vector:
        """The normalized gradient, asked for at accepted points alone."""
        value, gradient = self._at(u)
        self.accept(u, value)
        return gradient

    def accept(self, u: Vector, value: float) -> None:
        """Add a point to the path, unless it is there already."""
        if not self.path or not np.array_equal(self.path[-1][0], u):
            self.path.append((np.clip(u, 0.0, 1.0), value))

    def _at(self, u: Vector) -> tuple[float, Vector]:
        if self._point is None or not np.array_equal(self._point, u):
            evaluation = self._objective.at(torch.from_numpy(np.clip(u, 0.0, 1.0)).unsqueeze(0))
            self._point, self._value = u.copy(), float(evaluation.value)
            self._gradient = evaluation.gradient[0].numpy()
            if not evaluation.finite:
                self.failed = True
                raise _NotFiniteError
        return self._value, self._gradient

    @property
    def last(self) -> tuple[Vector, float]:
        """The point evaluated last and its raw value."""
        assert self._point is not None
        return self._point, self._value


def _run(
    objective: UnitObjective, start: Vector, constraints: list[Any], config: SLSQPConfig
) -> tuple[_Run, bool]:
    run = _Run(objective)
    try:
        result: OptimizeResult = scipy_minimize(
            run.value,
            start,
            jac=run.gradient,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(start),
            constraints=constraints,
            options={"maxiter": config.max_steps, "ftol": config.tolerance},
        )
    except _NotFiniteError:
        if not run.path:
            run.path.append(run.last)
        return run, False
    run.accept(result.x, result.fun * float(objective.scale))
    run.path = run.path[: config.max_steps + 1]
    return run, bool(result.success)


def _padded(points: list[Any], length: int) -> Tensor:
    """Points or values along a path, the last one repeated, ``(length, ...)``."""
    known = torch.from_numpy(np.array(points, dtype=np.float64))
    rest = known[-1:].expand(length - len(known), *known.shape[1:])
    return torch.cat([known, rest])

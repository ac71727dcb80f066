"""SciPy's L-BFGS-B from many starts in lock step: one model call serves every start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from scipy.optimize import _lbfgsb
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # has no types
from torch import Tensor

from surrogate_opt.errors import InputError
from surrogate_opt.loops.objective import Evaluation, Scale, UnitObjective, begin
from surrogate_opt.types import Differentiable, Trajectories

# What setulb asks for, in the first entry of its task.
_NEW_ITERATE, _WANTS_VALUE, _CONVERGED = 1, 3, 4
_LINE_SEARCH_LIMIT = 20

Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LBFGSBConfig:
    """Settings of ``lbfgsb``.

    Attributes:
        max_steps: at most so many iterations; line searches inside one do not count.
        tolerance: stop where no coordinate of the projected normalized gradient exceeds this.
        value_tolerance: SciPy's ``ftol``: stop where a step lowers the normalized value by less than this
            times max(|value|, 1).
        history: how many past steps shape the curvature.
    """

    max_steps: int = 100
    tolerance: float = 1e-6
    value_tolerance: float = 2.2e-9
    history: int = 10

    def __post_init__(self) -> None:
        if self.max_steps < 1 or self.history < 1:
            raise InputError(f"max_steps, history: expected 1 or more, got {self.max_steps}, {self.history}")
        if not (self.tolerance >= 0 and self.value_tolerance >= 0 and math.isfinite(self.value_tolerance)):
            raise InputError(
                "tolerance, value_tolerance: expected 0 or more, "
                f"got {self.tolerance}, {self.value_tolerance}"
            )


def lbfgsb(
    model: Differentiable,
    starts: Float[Tensor, "*batch n d"],
    bounds: Float[Tensor, "2 d"],
    config: LBFGSBConfig | None = None,
    *,
    scale: Scale = 1.0,
) -> Trajectories:
    """Minimize by L-BFGS-B from every start at once.

    Each start takes the steps it would take alone in ``scipy.optimize.minimize(method="L-BFGS-B")`` on the
    normalized function of unit-box coordinates. A start that meets a value or gradient that is not finite
    stays at its last accepted point.

    Args:
        model: the model to follow; one of C surrogates takes starts ``(C, n, d)``.
        starts: ``(*batch, n, d)``, raw units; moved into the box.
        bounds: ``(2, d)``, raw units; an input of zero width never moves.
        config: settings.
        scale: what normalizes values, positive; ``(*batch)`` or a number.

    Returns:
        The accepted iterates, ``max_steps + 1`` points each.

    Raises:
        InputError: starts, bounds or scale that cannot be used.

    Source:
        Zhu, Byrd, Lu and Nocedal 1997, Algorithm 778, in SciPy's compiled form, which hands control back
        whenever it wants a value. ``botorch.optim.batched_lbfgs_b`` drives it likewise.
    """
    return run_lbfgsb(model, starts, bounds, config, scale=scale)[0]


def run_lbfgsb(
    model: Differentiable,
    starts: Any,
    bounds: Any,
    config: LBFGSBConfig | None = None,
    *,
    scale: Scale = 1.0,
) -> tuple[Trajectories, Bool[Tensor, "*batch n"]]:
    """As ``lbfgsb``, with the starts that met a tolerance."""
    config = LBFGSBConfig() if config is None else config
    objective, x = begin(model, starts, bounds, scale)
    d, batch = x.shape[-1], x.shape[:-1]
    solvers = _Solvers(objective.box.to_unit(x).reshape(-1, d).numpy(), config)
    path = _Path(solvers.u, config.max_steps)
    scales = objective.scale.expand(batch).reshape(-1).numpy()
    converged = np.zeros(batch.numel(), dtype=np.bool_)

    rows = np.arange(batch.numel())
    value, gradient, finite = _flat(objective.at_raw(x))
    path.value[0] = value
    with threadpool_limits(1, user_api="blas"):  # threads only hinder the solver's tiny matrices
        while True:
            path.failed[rows[~finite]] = True
            rows = rows[finite]
            solvers.feed(rows, value[finite], value[finite] / scales[rows], gradient[finite])
            rows, done = _advance(solvers, path, rows)
            converged[done] = True
            if not rows.size:
                break
            value, gradient, finite = _evaluate(objective, solvers.u, rows, batch)
    return path.trajectories(objective, x), torch.from_numpy(converged).reshape(batch)


class _Solvers:
    """SciPy's solver state for every start: one row of each array is one run."""

    def __init__(self, u: Vector, config: LBFGSBConfig) -> None:
        n, d = u.shape
        m = config.history
        self.u = u.copy()
        self.raw_value = np.zeros(n)
        self._task = np.zeros((n, 2), np.int32)
        self._value, self._gradient = np.zeros(n), np.zeros((n, d))
        lower, upper, both_bounded = np.zeros(d), np.ones(d), np.full(d, 2, np.int32)
        work = np.zeros((n, 2 * m * d + 5 * d + 11 * m * m + 8 * m))
        int_work, logical_save = np.zeros((n, 3 * d), np.int32), np.zeros((n, 4), np.int32)
        int_save, float_save = np.zeros((n, 44), np.int32), np.zeros((n, 29))
        line_search_task = np.zeros((n, 2), np.int32)
        relative_decrease = config.value_tolerance / float(np.finfo(np.float64).eps)
        # Views made once: a call then costs no more than passing a tuple. The value is a view of no
        # dimensions, which setulb reads as a number.
        self._arguments = [
            (
                *(m, self.u[i], lower, upper, both_bounded, self._value[i : i + 1].reshape(())),
                *(self._gradient[i], relative_decrease, config.tolerance, work[i], int_work[i]),
                *(self._task[i], logical_save[i], int_save[i], float_save[i]),
                *(_LINE_SEARCH_LIMIT, line_search_task[i]),
            )
            for i in range(n)
        ]
        self.advance(np.arange(n))  # each now waits for the value at its start

    def feed(self, rows: Rows, raw: Vector, normalized: Vector, gradient: Vector) -> None:
        """Hand over values and gradients at the present points of some rows."""
        self.raw_value[rows] = raw
        self._value[rows] = normalized
        self._gradient[rows] = gradient

    def advance(self, rows: Rows) -> npt.NDArray[np.int32]:
        """Let some rows work until each wants something; returns what, ``(len(rows),)``."""
        arguments, setulb = self._arguments, _lbfgsb.setulb
        for i in rows.tolist():
            setulb(*arguments[i])
        wants: npt.NDArray[np.int32] = self._task[rows, 0]
        return wants


class _Path:
    """The accepted iterates of every start, in unit coordinates."""

    def __init__(self, u: Vector, max_steps: int) -> None:
        n, d = u.shape
        self.max_steps = max_steps
        self.u = np.empty((max_steps + 1, n, d))
        self.value = np.empty((max_steps + 1, n))
        self.u[0] = u
        self.num_steps = np.zeros(n, dtype=np.int64)
        self.failed = np.zeros(n, dtype=np.bool_)

    def record(self, rows: Rows, u: Vector, value: Vector) -> Rows:
        """Add an iterate to some rows; returns those that may go on."""
        self.num_steps[rows] += 1
        steps = self.num_steps[rows]
        self.u[steps, rows], self.value[steps, rows] = u[rows], value[rows]
        return rows[steps < self.max_steps]

    def trajectories(self, objective: UnitObjective, x: Tensor) -> Trajectories:
        """Raw units, with every row repeating its last iterate; the starts as they were given."""
        for step in range(1, self.max_steps + 1):
            over = self.num_steps < step
            self.u[step, over], self.value[step, over] = self.u[step - 1, over], self.value[step - 1, over]
        steps = self.max_steps + 1
        path = objective.box.from_unit(torch.from_numpy(self.u)).reshape(steps, *x.shape)
        path[0] = x
        return Trajectories(
            x=path,
            value=torch.from_numpy(self.value).reshape(steps, *x.shape[:-1]),
            num_steps=torch.from_numpy(self.num_steps).reshape(x.shape[:-1]),
            failed=torch.from_numpy(self.failed).reshape(x.shape[:-1]),
        )


def _advance(solvers: _Solvers, path: _Path, rows: Rows) -> tuple[Rows, Rows]:
    """Let rows work until each wants a value or ends; returns those that want one, and those converged."""
    waiting, converged = [rows[:0]], [rows[:0]]
    while rows.size:
        wants = solvers.advance(rows)
        waiting.append(rows[wants == _WANTS_VALUE])
        converged.append(rows[wants == _CONVERGED])
        rows = path.record(rows[wants == _NEW_ITERATE], solvers.u, solvers.raw_value)
    return np.sort(np.concatenate(waiting)), np.concatenate(converged)


def _evaluate(
    objective: UnitObjective, u: Vector, rows: Rows, batch: torch.Size
) -> tuple[Vector, Vector, npt.NDArray[np.bool_]]:
    """Values, gradients and finiteness of some rows, sorted, in one model call.

    Rows that have ended are left out, but a model of several surrogates wants as many points of each: the
    shorter ones are filled up with their first start.
    """
    num_groups, n = batch[:-1].numel(), batch[-1]
    group = rows // n
    counts = np.bincount(group, minlength=num_groups)
    longest = int(counts.max())
    place = group * longest + np.arange(len(rows)) - (np.cumsum(counts) - counts)[group]
    table = np.repeat(np.arange(num_groups) * n, longest)
    table[place] = rows
    points = torch.from_numpy(u[table]).reshape(*batch[:-1], longest, u.shape[-1])
    value, gradient, finite = _flat(objective.at(points))
    return value[place], gradient[place], finite[place]


def _flat(evaluation: Evaluation) -> tuple[Vector, Vector, npt.NDArray[np.bool_]]:
    """Values, gradients and finiteness as arrays of one row for each start."""
    gradient = evaluation.gradient
    return (
        evaluation.value.reshape(-1).numpy(),
        gradient.reshape(-1, gradient.shape[-1]).numpy(),
        evaluation.finite.reshape(-1).numpy(),
    )

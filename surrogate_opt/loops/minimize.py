"""The public entry to the loops: any model, any of the methods, from many starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.quasirandom import SobolEngine

from surrogate_opt.adapters.box import Box, as_box
from surrogate_opt.adapters.differentiable import as_differentiable
from surrogate_opt.data import check_seed
from surrogate_opt.errors import InputError
from surrogate_opt.loops.constraints import Constraint, as_constraints, violation
from surrogate_opt.loops.guards import Guard, as_guard
from surrogate_opt.loops.lbfgsb import LBFGSBConfig, run_lbfgsb
from surrogate_opt.loops.negation import negated
from surrogate_opt.loops.projected import (
    AdamConfig,
    DescentConfig,
    lipschitz_step,
    run_adam,
    run_descent,
)
from surrogate_opt.loops.result import Array, Method, MinimizeResult, Status
from surrogate_opt.loops.slsqp import SLSQPConfig, run_slsqp
from surrogate_opt.types import Differentiable, Trajectories

LoopConfig = AdamConfig | DescentConfig | LBFGSBConfig | SLSQPConfig

_METHODS: dict[str, Method] = {
    "adam": "adam",
    "gradient_descent": "gradient_descent",
    "lbfgsb": "lbfgsb",
    "l-bfgs-b": "lbfgsb",
    "slsqp": "slsqp",
}
_CONFIGS: dict[Method, type[LoopConfig]] = {
    "adam": AdamConfig,
    "gradient_descent": DescentConfig,
    "lbfgsb": LBFGSBConfig,
    "slsqp": SLSQPConfig,
}
_FEASIBLE = 1e-6
_SCALE_POINTS = 64


def minimize(
    model: Any,
    bounds: Any = None,
    *,
    method: str = "adam",
    starts: Any = 64,
    seed: int = 0,
    guard: Guard | str | None = None,
    constraints: Any = (),
    maximize: bool = False,
    fixed: Mapping[int, float] | None = None,
    config: LoopConfig | None = None,
) -> MinimizeResult:
    """Follow a model's gradient from many starts in a box.

    Inside, inputs are scaled to the unit box and values are divided by the model's standard deviation over
    it, so that tolerances and step sizes mean the same for every model.

    Args:
        model: a surrogate, or anything that ``as_differentiable`` takes.
        bounds: ``(2, d)``, raw units; by default the model's own.
        method: "adam", "gradient_descent", "lbfgsb" (or "L-BFGS-B") or "slsqp".
        starts: how many, spread by a scrambled Sobol sequence, or the points, ``(n, d)``, raw units; these
            are moved into the box.
        seed: of the starts, and of the measured step of gradient descent.
        guard: "pessimistic", or a function from model to model: see ``loops.guards``.
        constraints: for "slsqp" alone: SciPy's ``LinearConstraint``, ``NonlinearConstraint`` or dicts.
        maximize: look for the largest value.
        fixed: inputs held at a value: from index to raw value within the bounds.
        config: the method's settings; gradient descent measures its step where there is none.

    Returns:
        The best point, every end point and path. NumPy arrays, or tensors where bounds or starts were.

    Raises:
        InputError: an argument that cannot be used.

    Example:
        >>> import numpy as np
        >>> from surrogate_opt.loops import minimize
        >>> result = minimize(lambda x: ((x - 0.3) ** 2).sum(-1), [[-1, -1], [1, 1]], method="lbfgsb")
        >>> np.round(result.x, 6)
        array([0.3, 0.3])
    """
    chosen = _choose_method(method, config)
    check_seed(seed)
    box = _choose_box(model, bounds, fixed)
    checked = as_constraints(constraints, box.dim)
    if checked and chosen != "slsqp":
        raise InputError(f"constraints: expected method 'slsqp' with constraints, got method {method!r}")
    own = as_differentiable(model, bounds=box.bounds)
    followed: Differentiable = negated(own) if maximize else own
    if guard is not None:
        followed = as_guard(guard)(followed)
    points = _choose_starts(starts, box, seed)
    scale = _spread(followed, box)
    trajectories, converged = _run(chosen, followed, points, box, config, checked, scale, seed)

    ends, followed_values = trajectories.end.clone(), trajectories.end_value.clone()
    excess = torch.tensor([violation(checked, end) for end in ends.numpy()], dtype=torch.float64)
    best = _best(followed_values, excess)
    end_values = own.value(ends).detach().double()
    as_torch = isinstance(bounds, Tensor) or isinstance(starts, Tensor)

    def out(array: Tensor) -> Array:
        return array if as_torch else array.numpy()

    return MinimizeResult(
        x=out(ends[best]),
        fun=float(end_values[best]),
        ends=out(ends),
        end_values=out(end_values),
        followed_values=out(followed_values),
        feasible=tuple((excess <= _FEASIBLE).tolist()),
        statuses=_statuses(trajectories, converged),
        trajectories=trajectories,
        method=chosen,
        bounds=out(box.bounds),
    )


def _run(
    method: Method,
    model: Differentiable,
    starts: Tensor,
    box: Box,
    config: Any,
    constraints: tuple[Constraint, ...],
    scale: float,
    seed: int,
) -> tuple[Trajectories, Bool[Tensor, " n"]]:
    if method == "adam":
        return run_adam(model, starts, box, config, scale=scale)
    if method == "lbfgsb":
        return run_lbfgsb(model, starts, box, config, scale=scale)
    if method == "slsqp":
        return run_slsqp(model, starts, box, config, constraints=constraints, scale=scale)
    step = config or DescentConfig(step_size=lipschitz_step(model, box.bounds, scale=scale, seed=seed))
    return run_descent(model, starts, box, step, scale=scale)


def _choose_method(method: str, config: LoopConfig | None) -> Method:
    chosen = _METHODS.get(method.lower()) if isinstance(method, str) else None
    if chosen is None:
        raise InputError(f"method: expected one of {', '.join(_CONFIGS)}, got {method!r}")
    expected = _CONFIGS[chosen]
    if config is not None and not isinstance(config, expected):
        raise InputError(
            f"config: expected {expected.__name__} for method {method!r}, got {type(config).__name__}"
        )
    return chosen


def _choose_box(model: Any, bounds: Any, fixed: Mapping[int, float] | None) -> Box:
    """The bounds, or the model's own, with fixed inputs at zero width."""
    own = getattr(model, "bounds", None)
    if bounds is None and own is None:
        raise InputError("bounds: expected shape (2, d), got none, and the model has no bounds of its own")
    box = as_box(own if bounds is None else bounds, dim=None if own is None else as_box(own).dim)
    lower, upper = box.lower.clone(), box.upper.clone()
    for index, value in (fixed or {}).items():
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < box.dim:
            raise InputError(f"fixed: expected input numbers from 0 to {box.dim - 1}, got {index!r}")
        low, high = float(box.lower[index]), float(box.upper[index])
        if not low <= value <= high:
            raise InputError(
                f"fixed: expected a value from {low:g} to {high:g} for input {index}, got {value}"
            )
        lower[index] = upper[index] = value
    return Box(lower, upper)


def _choose_starts(starts: Any, box: Box, seed: int) -> Float[Tensor, "n d"]:
    """So many Sobol points of the box, or the points that were given."""
    if isinstance(starts, int | np.integer) and not isinstance(starts, bool):
        if starts < 1:
            raise InputError(f"starts: expected 1 or more, got {starts}")
        return box.from_unit(_sobol(int(starts), box.dim, seed))
    try:
        points = (
            starts.detach().cpu() if isinstance(starts, Tensor) else torch.from_numpy(np.array(starts, float))
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"starts: expected a number or points (n, {box.dim}), got {starts!r}") from error
    if points.ndim != 2:
        raise InputError(f"starts: expected a number or shape (n, {box.dim}), got {tuple(points.shape)}")
    return points


def _sobol(num_points: int, dim: int, seed: int) -> Tensor:
    engine = SobolEngine(dim, scramble=True, seed=seed)  # type: ignore[no-untyped-call]  # torch
    return engine.draw(num_points, dtype=torch.float64)


def _spread(model: Differentiable, box: Box) -> float:
    """The standard deviation of what is followed over the box; 1 where there is none."""
    values = model.value(box.from_unit(_sobol(_SCALE_POINTS, box.dim, seed=0))).detach().double()
    values = values[values.isfinite()]
    spread = float(values.std(correction=0)) if len(values) else 0.0
    return spread if np.isfinite(spread) and spread > 0 else 1.0


def _best(values: Float[Tensor, " n"], excess: Float[Tensor, " n"]) -> int:
    """The lowest finite value that breaks no constraint, or the one that breaks them least."""
    infinity = float("inf")
    broken = torch.where(values.isfinite(), excess.clamp_min(_FEASIBLE), infinity)
    usable = values.isfinite() & (broken == broken.min())
    return int(torch.where(usable, values, infinity).argmin())


def _statuses(trajectories: Trajectories, converged: Tensor) -> tuple[Status, ...]:
    """A word for each loop; the paths hold one point more than the steps that were allowed."""
    used_up = trajectories.num_steps >= len(trajectories.x) - 1
    return tuple(
        "converged" if done else ("max_steps" if used and not failed else "failed")
        for done, used, failed in zip(
            converged.tolist(), used_up.tolist(), trajectories.failed.tolist(), strict=True
        )
    )

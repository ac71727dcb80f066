"""Adam and plain gradient descent on a box: every start at once, one model call a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.adapters.box import as_box
from surrogate_opt.errors import InputError
from surrogate_opt.loops.objective import Scale, UnitObjective, begin, projected_gradient_norm
from surrogate_opt.types import Differentiable, Trajectories

Move = Callable[[Tensor, int], Tensor]
"""Normalized gradient and step number to the step that is tried, in unit coordinates."""


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Settings of ``adam``.

    Attributes:
        steps: at most so many steps.
        learning_rate: first step length, in widths of the box; falls to 0 along a cosine.
        beta1: decay of the mean gradient.
        beta2: decay of the mean squared gradient.
        epsilon: keeps the division finite, in units of the normalized gradient.
        tolerance: a loop stops where no coordinate of its projected normalized gradient exceeds this.
    """

    steps: int = 200
    learning_rate: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        _check_positive(steps=self.steps, learning_rate=self.learning_rate, epsilon=self.epsilon)
        _check_tolerance(self.tolerance)
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise InputError(f"beta1, beta2: expected numbers in [0, 1), got {self.beta1}, {self.beta2}")


@dataclass(frozen=True, kw_only=True)
class DescentConfig:
    """Settings of ``gradient_descent``.

    Attributes:
        step_size: the step is so many times the normalized gradient, in unit coordinates: see
            ``lipschitz_step``.
        steps: at most so many steps.
        tolerance: a loop stops where no coordinate of its projected normalized gradient exceeds this.
    """

    step_size: float
    steps: int = 200
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        _check_positive(steps=self.steps, step_size=self.step_size)
        _check_tolerance(self.tolerance)


def adam(
    model: Differentiable,
    starts: Float[Tensor, "*batch n d"],
    bounds: Float[Tensor, "2 d"],
    config: AdamConfig | None = None,
    *,
    scale: Scale = 1.0,
) -> Trajectories:
    """Minimize by Adam, projected on the box, from every start at once.

    Works in unit-box coordinates: the learning rate is in widths of the box. A loop that meets a value or
    gradient that is not finite stays at its last finite point.

    Args:
        model: the model to follow; one of C surrogates takes starts ``(C, n, d)``.
        starts: ``(*batch, n, d)``, raw units; moved into the box.
        bounds: ``(2, d)``, raw units; an input of zero width never moves.
        config: settings.
        scale: what normalizes values, the truth's standard deviation, say: a positive number or ``(*batch)``.

    Returns:
        The paths, ``steps + 1`` points each.

    Raises:
        InputError: starts, bounds or scale that cannot be used.

    Source:
        Kingma & Ba 2015, Algorithm 1; projection and the cosine rate are added.
    """
    return run_adam(model, starts, bounds, config, scale=scale)[0]


def gradient_descent(
    model: Differentiable,
    starts: Float[Tensor, "*batch n d"],
    bounds: Float[Tensor, "2 d"],
    config: DescentConfig,
    *,
    scale: Scale = 1.0,
) -> Trajectories:
    """Minimize by plain gradient descent, projected on the box, from every start at once.

    Args:
        model: as for ``adam``.
        starts: as for ``adam``.
        bounds: as for ``adam``.
        config: settings; the step is the same everywhere.
        scale: as for ``adam``.

    Returns:
        The paths, ``steps + 1`` points each.

    Raises:
        InputError: starts, bounds or scale that cannot be used.
    """
    return run_descent(model, starts, bounds, config, scale=scale)[0]


def run_adam(
    model: Differentiable, starts: Any, bounds: Any, config: AdamConfig | None = None, *, scale: Scale = 1.0
) -> tuple[Trajectories, Bool[Tensor, "*batch n"]]:
    """As ``adam``, with the loops that met the tolerance."""
    config = AdamConfig() if config is None else config
    objective, x = begin(model, starts, bounds, scale)
    move = _adam_move(config, torch.zeros_like(x))
    return _run(objective, x, config.steps, config.tolerance, move)


def run_descent(
    model: Differentiable, starts: Any, bounds: Any, config: DescentConfig, *, scale: Scale = 1.0
) -> tuple[Trajectories, Bool[Tensor, "*batch n"]]:
    """As ``gradient_descent``, with the loops that met the tolerance."""
    objective, x = begin(model, starts, bounds, scale)
    return _run(
        objective, x, config.steps, config.tolerance, lambda gradient, _: -config.step_size * gradient
    )


def _adam_move(config: AdamConfig, zero: Tensor) -> Move:
    mean, square = zero.clone(), zero.clone()

    def move(gradient: Tensor, step: int) -> Tensor:
        mean.lerp_(gradient, 1 - config.beta1)
        square.mul_(config.beta2).addcmul_(gradient, gradient, value=1 - config.beta2)
        rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        root = (square / (1 - config.beta2 ** (step + 1))).sqrt_()
        return -rate / (1 - config.beta1 ** (step + 1)) * mean / root.add_(config.epsilon)

    return move


def _run(
    objective: UnitObjective, x: Tensor, steps: int, tolerance: float, move: Move
) -> tuple[Trajectories, Tensor]:
    """Take projected steps until every loop has converged, failed or used up its steps."""
    now = objective.at_raw(x)
    u, gradient = objective.box.to_unit(x), torch.where(now.finite.unsqueeze(-1), now.gradient, 0.0)
    value, failed = now.value, ~now.finite
    running = now.finite & (projected_gradient_norm(u, gradient) > tolerance)
    num_steps = torch.zeros(failed.shape, dtype=torch.int64)
    path_x, path_value = x.new_empty((steps + 1, *x.shape)), x.new_empty((steps + 1, *value.shape))
    path_x[0], path_value[0] = x, value
    for step in range(steps):
        if not running.any():
            path_x[step + 1 :], path_value[step + 1 :] = x, value
            break
        trial = (u + move(gradient, step)).clamp_(0.0, 1.0)
        tried = objective.at(trial)
        moved = running & tried.finite
        failed |= running & ~tried.finite
        mask = moved.unsqueeze(-1)
        u, x = torch.where(mask, trial, u), torch.where(mask, tried.x, x)
        gradient, value = torch.where(mask, tried.gradient, gradient), torch.where(moved, tried.value, value)
        num_steps += moved
        running = moved & (projected_gradient_norm(u, gradient) > tolerance)
        path_x[step + 1], path_value[step + 1] = x, value
    converged = ~failed & ~running
    return Trajectories(x=path_x, value=path_value, num_steps=num_steps, failed=failed), converged


def lipschitz_step(
    model: Differentiable,
    bounds: Float[Tensor, "2 d"],
    *,
    scale: float = 1.0,
    seed: int = 0,
    num_points: int = 512,
) -> float:
    """The step of plain gradient descent for a function: 1 / L, in unit-box coordinates.

    L is the 99th percentile, over random points of the box, of how fast the normalized gradient changes along
    a segment of 0.02 box widths. Each segment is first turned towards the steepest change by four power
    iterations on the gradient's differences. One step moves at most about the diagonal of the box, so
    that a plane has a finite step.

    Args:
        model: the function, one, not a batch of several.
        bounds: ``(2, d)``, raw units.
        scale: what normalizes values.
        seed: of the random points and first directions.
        num_points: how many segments.

    Returns:
        The ``step_size`` of ``DescentConfig``, positive.

    Raises:
        InputError: bounds or scale that cannot be used, or a model with no finite gradient in the box.
    """
    generator = torch.Generator().manual_seed(seed)
    box = as_box(bounds)
    centre = torch.rand(num_points, box.dim, dtype=torch.float64, generator=generator)
    direction = torch.randn(num_points, box.dim, dtype=torch.float64, generator=generator)
    objective, _ = begin(model, box.from_unit(centre), bounds, scale)
    free = box.free.double()
    curvature = torch.zeros(num_points, dtype=torch.float64)
    slope = curvature
    for _ in range(5):
        direction = direction * free
        direction = direction / direction.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        first = (centre - 0.01 * direction).clamp(0.0, 1.0)
        second = (centre + 0.01 * direction).clamp(0.0, 1.0)
        ends = objective.at(torch.cat([first, second]))
        at_first, at_second = ends.gradient.chunk(2)
        slope = at_first.norm(dim=-1)
        change = at_second - at_first
        length = (second - first).norm(dim=-1)
        curvature = torch.where(length > 0, change.norm(dim=-1) / length.clamp_min(1e-12), 0.0)
        direction = torch.where(change.norm(dim=-1, keepdim=True) > 0, change, direction)
    usable = curvature.isfinite() & slope.isfinite()
    if not usable.any():
        raise InputError("model: expected finite gradients in the box, got none at all")
    lipschitz = float(torch.quantile(curvature[usable], 0.99))
    diagonal = math.sqrt(max(1.0, float(free.sum())))
    lipschitz = max(lipschitz, float(slope[usable].mean()) / diagonal)
    return 1.0 / lipschitz if lipschitz > 0 else 1.0


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"{name}: expected a positive number, got {value}")


def _check_tolerance(tolerance: float) -> None:
    if not tolerance >= 0:
        raise InputError(f"tolerance: expected 0 or more, got {tolerance}")

"""Ghost signal: what a gradient loop loses by following a surrogate, from the paths it took.

Everything is minimization. Outputs are in truth standard deviations (divided by ``scale``), places in
unit-box coordinates. Notation: truth f, surrogate fhat, a path x_0 .. x_T from each start. A loop is *usable*
where it did not fail and its end point, f and fhat are finite there; the others are counted, and left out of
the rest.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.diagnostics.evaluate import check_bounds
from surrogate_opt.diagnostics.path_figures import (
    ghost_descent,
    masked_mean,
    on_boundary,
    path_divergence,
    regrets,
    wrong_way_steps,
)
from surrogate_opt.errors import InputError
from surrogate_opt.types import Trajectories


@dataclass(frozen=True, kw_only=True)
class LoopEvidence:
    """The paths of one loop, on a surrogate and on the truth, from the same n starts.

    A model of C surrogates has a leading axis of its own, here ``*stack``; without one, ``stack`` is empty.
    The truth's paths may lack it, where all surrogates stand in for one truth.

    Attributes:
        surrogate: the loop on fhat, ``x (T + 1, *stack, n, d)``.
        truth_along: f at every point of it, raw units, ``(T + 1, *stack, n)``.
        truth: the same loop on f, ``x (T' + 1, *stack, n, d)``; T' may differ.
        optimum: f*, the lowest value of f in the box, raw units, ``(*stack,)``.
        scale: standard deviation of f over the box, ``(*stack,)``.
        bounds: ``(2, d)``, raw units.
        box_mean_truth: mean of f over the box, raw units, ``(*stack,)``.
        box_mean_surrogate: mean of fhat over the same points, raw units, ``(*stack,)``.
        phantom_optima: from ``phantom_optima``, ``(*stack,)``; None where not searched for.
        start_sensitivity: from ``start_sensitivity``, ``(*stack,)``; None where not measured.
    """

    surrogate: Trajectories
    truth_along: Float[Tensor, "steps *stack n"]
    truth: Trajectories
    optimum: float | Float[Tensor, "*stack"]
    scale: float | Float[Tensor, "*stack"]
    bounds: Float[Tensor, "2 d"]
    box_mean_truth: float | Float[Tensor, "*stack"]
    box_mean_surrogate: float | Float[Tensor, "*stack"]
    phantom_optima: float | Float[Tensor, "*stack"] | None = None
    start_sensitivity: float | Float[Tensor, "*stack"] | None = None


@dataclass(frozen=True, kw_only=True)
class GhostSignal:
    """What following the surrogate cost. Lower is better in every figure; NaN where undefined.

    Attributes:
        regret_selected: f(the usable end point with the lowest fhat, the first of equals) - f*.
        regret_mean: mean over usable loops of f(end) - f*.
        truth_regret_selected: regret_selected of the truth's own loop.
        truth_regret_mean: regret_mean of the truth's own loop.
        optimism: mean of f - fhat at end points, minus its mean over the box.
        end_error: mean |f - fhat| at end points.
        ghost_descent: 1 - (sum over loops of f(x_0) - f(x_T)) / (the same sum of fhat); undefined where the
            sum of fhat is under 1e-3.
        ghost_descent_defined: whether it is; where not, it ranks last.
        wrong_way_steps: among steps on which fhat falls by over 1e-6, the share on which f rises.
        path_divergence: mean over steps and loops of ||x_t - x_t^truth|| / sqrt(d), over the steps until both
            loops have stopped; only starts from which both are usable.
        boundary_share: share of usable end points on the box's boundary (a confounder).
        truth_boundary_share: the same of the truth's own loop.
        failed_share: share of loops that are not usable.
        truth_failed_share: the same of the truth's own loop.
        phantom_optima: share of end points from which f can fall nearby while fhat cannot.
        start_sensitivity: how much more the end point moves with the start than the truth's does.
        num_starts: how many loops.
    """

    regret_selected: float
    regret_mean: float
    truth_regret_selected: float
    truth_regret_mean: float
    optimism: float
    end_error: float
    ghost_descent: float
    ghost_descent_defined: bool
    wrong_way_steps: float
    path_divergence: float
    boundary_share: float
    truth_boundary_share: float
    failed_share: float
    truth_failed_share: float
    phantom_optima: float
    start_sensitivity: float
    num_starts: int

    @property
    def ghost_descent_rank(self) -> float:
        """ghost_descent for sorting: inf, hence last, where undefined."""
        return self.ghost_descent if self.ghost_descent_defined else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """The figures by name."""
        return dataclasses.asdict(self)


def ghost_signal_of(evidence: LoopEvidence) -> GhostSignal:
    """The ghost signal of one surrogate.

    Args:
        evidence: paths without a stack axis: ``x`` of shape ``(T + 1, n, d)``.

    Raises:
        InputError: shapes that do not fit, other starts on the truth, or a scale that is not positive.
    """
    if evidence.surrogate.x.ndim != 3:
        raise InputError(
            f"surrogate: expected paths of shape (steps + 1, n, d), got {tuple(evidence.surrogate.x.shape)}"
        )
    return _report(_figures(evidence), evidence.surrogate.x.shape[-2], ())


def ghost_signal_of_each(evidence: LoopEvidence) -> list[GhostSignal]:
    """The ghost signal of every surrogate in a stack.

    Args:
        evidence: paths with one stack axis: ``x`` of shape ``(T + 1, C, n, d)``.

    Raises:
        InputError: as for ``ghost_signal_of``.
    """
    shape = tuple(evidence.surrogate.x.shape)
    if len(shape) != 4:
        raise InputError(f"surrogate: expected paths of shape (steps + 1, stack, n, d), got {shape}")
    figures = _figures(evidence)
    return [_report(figures, shape[-2], (index,)) for index in range(shape[1])]


def _report(figures: dict[str, Tensor], num_starts: int, index: tuple[int, ...]) -> GhostSignal:
    row = {name: float(figure[index]) for name, figure in figures.items()}
    defined = row["ghost_descent"] == row["ghost_descent"]
    return GhostSignal(**row, ghost_descent_defined=defined, num_starts=num_starts)


def _figures(evidence: LoopEvidence) -> dict[str, Tensor]:
    """Every figure, ``(*stack,)``."""
    path = evidence.surrogate
    stack = path.x.shape[1:-2]
    truth = _stacked(evidence.truth, stack)
    bounds = check_bounds(evidence.bounds, path.x.shape[-1])
    scale = _per_surrogate(evidence.scale, stack)
    _check(evidence, truth, scale)
    unit = scale.unsqueeze(-1)
    along, followed, truth_end = evidence.truth_along / unit, path.value / unit, truth.end_value / unit
    optimum = _per_surrogate(evidence.optimum, stack) / scale
    usable = ~path.failed & path.end.isfinite().all(dim=-1) & along[-1].isfinite() & followed[-1].isfinite()
    truth_usable = ~truth.failed & truth.end.isfinite().all(dim=-1) & truth_end.isfinite()

    regret_selected, regret_mean = regrets(along[-1], followed[-1], usable, optimum)
    truth_selected, truth_mean = regrets(truth_end, truth_end, truth_usable, optimum)
    gap = along[-1] - followed[-1]
    box_gap = _per_surrogate(evidence.box_mean_truth, stack) - _per_surrogate(
        evidence.box_mean_surrogate, stack
    )
    true_fall, predicted_fall = along[0] - along[-1], followed[0] - followed[-1]
    both_ends = usable & true_fall.isfinite() & predicted_fall.isfinite()
    zero = torch.zeros_like(gap)
    nan = float("nan")
    return {
        "regret_selected": regret_selected,
        "regret_mean": regret_mean,
        "truth_regret_selected": truth_selected,
        "truth_regret_mean": truth_mean,
        "optimism": masked_mean(gap, usable) - box_gap / scale,
        "end_error": masked_mean(gap.abs(), usable),
        "ghost_descent": ghost_descent(
            torch.where(both_ends, true_fall, zero), torch.where(both_ends, predicted_fall, zero)
        ),
        "wrong_way_steps": wrong_way_steps(along, followed, usable),
        "path_divergence": path_divergence(path, truth, bounds, usable & truth_usable),
        "boundary_share": masked_mean(on_boundary(path.end, bounds).double(), usable),
        "truth_boundary_share": masked_mean(on_boundary(truth.end, bounds).double(), truth_usable),
        "failed_share": (~usable).double().mean(dim=-1),
        "truth_failed_share": (~truth_usable).double().mean(dim=-1),
        "phantom_optima": _per_surrogate(
            nan if evidence.phantom_optima is None else evidence.phantom_optima, stack
        ),
        "start_sensitivity": _per_surrogate(
            nan if evidence.start_sensitivity is None else evidence.start_sensitivity, stack
        ),
    }


def _per_surrogate(given: float | Tensor, stack: torch.Size) -> Float[Tensor, "*stack"]:
    return torch.as_tensor(given, dtype=torch.float64).expand(stack)


def _stacked(truth: Trajectories, stack: torch.Size) -> Trajectories:
    """The truth's paths with the surrogates' stack axes; the caller checks what comes out."""
    if truth.x.ndim - 2 > len(stack):
        return truth
    steps, num_starts, dim = truth.x.shape
    return Trajectories(
        x=truth.x.reshape(steps, *[1] * len(stack), num_starts, dim).expand(steps, *stack, num_starts, dim),
        value=truth.value.reshape(steps, *[1] * len(stack), num_starts).expand(steps, *stack, num_starts),
        num_steps=truth.num_steps.expand(*stack, num_starts),
        failed=truth.failed.expand(*stack, num_starts),
    )


def _check(evidence: LoopEvidence, truth: Trajectories, scale: Float[Tensor, "*stack"]) -> None:
    path = evidence.surrogate
    if evidence.truth_along.shape != path.value.shape:
        raise InputError(
            f"truth_along: expected shape {tuple(path.value.shape)}, got {tuple(evidence.truth_along.shape)}"
        )
    if truth.x.shape[1:] != path.x.shape[1:]:
        raise InputError(
            f"truth: expected paths of shape (steps + 1, {', '.join(map(str, path.x.shape[1:]))}), "
            f"got {tuple(truth.x.shape)}"
        )
    if not torch.allclose(truth.start, path.start, rtol=1e-9, atol=1e-9, equal_nan=True):
        raise InputError("truth: expected paths from the surrogate's starts, got others")
    if not bool(((scale > 0) & scale.isfinite()).all()):
        raise InputError(f"scale: expected a positive finite number, got {evidence.scale}")

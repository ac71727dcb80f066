"""How well a learned plant knows the true one, and how far its derivatives can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from surrogate_problems.plants import Plant
from torch import Tensor

from surrogate_opt.diagnostics import DegeneracyKind, degeneracy_kind
from surrogate_opt.dynamics import Dynamics, LinearDynamics, Transitions

_SPIKE = 1.25  # times the truth's 99th percentile


@dataclass(frozen=True, kw_only=True)
class DynamicsFigures:
    """Figures of one surrogate at transitions of the noise-free plant that it was not trained on.

    Errors are of the increment x_{t+1} - x_t, each state's in its standard deviation over the points.
    Derivatives are those of the increments by states and actions, in these units and with inputs scaled to
    the unit box; their size is the Frobenius norm.

    Attributes:
        test_error: mean squared error, mean over the states: 1 - R².
        nonlinear_skill: 1 - MSE / MSE of least squares on the same data.
        gradient_error: mean size of the derivatives' error over the mean size of the true ones.
        gradient_error_p99: its 99th percentile, likewise over the mean size of the true ones.
        tail_ratio: 99th percentile of the surrogate's size over its mean.
        gradient_p99: that percentile over the mean size of the true ones.
        gradient_max: the largest size over the mean size of the true ones.
        gain: mean size over that of the true ones.
        spike_excess: share of the points where the size exceeds 1.25 times the truth's 99th percentile.
        disagreement: root mean square standard deviation over the members.
        kind: "collapsed", "linearized" or "sound"; see ``Degeneracy``.
    """

    test_error: float
    nonlinear_skill: float
    gradient_error: float
    gradient_error_p99: float
    tail_ratio: float
    gradient_p99: float
    gradient_max: float
    gain: float
    spike_excess: float
    disagreement: float
    kind: DegeneracyKind


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthAtPoints:
    """The true plant where surrogates are tested.

    Attributes:
        states: ``(s, n)``, raw units.
        actions: ``(s, m)``.
        next_states: ``(s, n)``, without noise.
        derivatives: of the increments, normalized as in `DynamicsFigures`, ``(s, n, n + m)``.
        std: of the increments, ``(n,)``.
        width: of the boxes of states and actions, ``(n + m,)``.
    """

    states: Float[Tensor, "s n"]
    actions: Float[Tensor, "s m"]
    next_states: Float[Tensor, "s n"]
    derivatives: Float[Tensor, "s n columns"]
    std: Float[Tensor, " n"]
    width: Float[Tensor, " columns"]

    @classmethod
    def of(cls, plant: Plant, points: Transitions) -> TruthAtPoints:
        """At the states and actions of some transitions."""
        following, by_state, by_action = plant.linearize(points.states, points.actions)
        std = (following - points.states).std(0, correction=0)
        box = torch.cat([plant.data_bounds, plant.action_bounds], 1)
        width = box[1] - box[0]
        return cls(
            states=points.states,
            actions=points.actions,
            next_states=following,
            derivatives=_normalized(by_state, by_action, std, width),
            std=std,
            width=width,
        )

    def mean_squared_error(self, following: Float[Tensor, "*batch s n"]) -> Float[Tensor, "*batch"]:
        """Of predicted next states, in variances of the increments, mean over points and states."""
        return ((following - self.next_states) / self.std).square().mean((-1, -2))


def dynamics_figures(model: Dynamics, truth: TruthAtPoints, linear: LinearDynamics) -> DynamicsFigures:
    """The figures of one surrogate.

    Args:
        model: what was learned.
        truth: the plant at points that it was not trained on.
        linear: least squares on the same data.
    """
    following, by_state, by_action = model.linearize(truth.states, truth.actions)
    derivatives = _normalized(by_state, by_action, truth.std, truth.width)
    size, true_size = _size(derivatives), _size(truth.derivatives)
    wrong, scale = _size(derivatives - truth.derivatives), float(true_size.mean())
    error = float(truth.mean_squared_error(following))
    linear_error = float(truth.mean_squared_error(linear.step(truth.states, truth.actions)))
    spread = model.member_step(truth.states, truth.actions).std(0, correction=0) / truth.std
    skill, gain = 1.0 - error / linear_error, float(size.mean()) / scale
    return DynamicsFigures(
        test_error=error,
        nonlinear_skill=skill,
        gradient_error=float(wrong.mean()) / scale,
        gradient_error_p99=_p99(wrong) / scale,
        tail_ratio=_p99(size) / max(float(size.mean()), torch.finfo(torch.float64).tiny),
        gradient_p99=_p99(size) / scale,
        gradient_max=float(size.max()) / scale,
        gain=gain,
        spike_excess=float((size > _SPIKE * _p99(true_size)).double().mean()),
        disagreement=float(spread.square().mean().sqrt()),
        kind=degeneracy_kind(r2=1.0 - error, nonlinear_skill=skill, linear_r2=1.0 - linear_error, gain=gain),
    )


def _normalized(by_state: Tensor, by_action: Tensor, std: Tensor, width: Tensor) -> Tensor:
    """Derivatives of next states as derivatives of the increments in normalized units."""
    increments = by_state - torch.eye(by_state.shape[-1], dtype=by_state.dtype)
    return torch.cat([increments, by_action], -1) * width / std[:, None]


def _size(derivatives: Tensor) -> Float[Tensor, " s"]:
    size: Tensor = torch.linalg.matrix_norm(derivatives)
    return size


def _p99(values: Float[Tensor, " s"]) -> float:
    return float(values.quantile(0.99))

"""The cost of tracking: diagonal in states and actions, its derivatives in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surrogate_problems.problem import ProblemError


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackingCost:
    """What a plant pays at time step k for being away from its target, and for acting.

    With the error e_i = x_i - target[k]_i, and d_i(e) = e², or 2 (1 - cos e) for angles (smooth, periodic and
    of the same curvature at 0), the costs are

        stage(x, u, k) = sum over i of q_i d_i(e_i) + sum over j of r_j (u_j - action_target_j)²
        terminal(x, k) = sum over i of p_i d_i(e_i)

    Beyond the end of the target its last row holds.

    Attributes:
        state_weights: q ``(n,)``, each at least 0, in 1/unit².
        action_weights: r ``(m,)``, likewise.
        terminal_weights: p ``(n,)``, likewise.
        target: of the states, one row a time step ``(num_steps + 1, n)``.
        action_target: actions that hold the target ``(m,)``.
        angles: columns of the state that are angles in rad.

    Raises:
        ProblemError: the shapes do not fit each other, or a weight is negative or not finite.
    """

    state_weights: Float[Tensor, " n"]
    action_weights: Float[Tensor, " m"]
    terminal_weights: Float[Tensor, " n"]
    target: Float[Tensor, "steps n"]
    action_target: Float[Tensor, " m"]
    angles: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        num_states, num_actions = len(self.state_weights), len(self.action_weights)
        _check_shape("terminal_weights", self.terminal_weights, (num_states,))
        _check_shape("action_target", self.action_target, (num_actions,))
        _check_shape("target", self.target, (len(self.target), num_states))
        for field in ("state_weights", "action_weights", "terminal_weights"):
            weights = getattr(self, field)
            if not (weights.isfinite() & (weights >= 0.0)).all():
                raise ProblemError(f"{field}: expected finite numbers of at least 0, got {weights.tolist()}")
        if not set(self.angles) <= set(range(num_states)):
            raise ProblemError(f"angles: expected columns below {num_states}, got {self.angles}")

    def stage(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"], k: int | Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """The cost of one time step.

        Args:
            x: states ``(..., n)``.
            u: actions ``(..., m)``.
            k: time step, at least 0; one for all, or one a state ``(...)``.

        Returns:
            Costs ``(...)``, differentiable.
        """
        effort = (u - self.action_target.to(u)).square() @ self.action_weights.to(u)
        return self._distance(x, k) @ self.state_weights.to(x) + effort

    def terminal(
        self, x: Float[Tensor, "*batch n"], k: int | Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """The cost of the state in which a plan ends.

        Args:
            x: states ``(..., n)``.
            k: time step, as for `stage`.

        Returns:
            Costs ``(...)``, differentiable.
        """
        return self._distance(x, k) @ self.terminal_weights.to(x)

    def stage_derivatives(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"], k: int | Int[Tensor, "*batch"]
    ) -> tuple[
        Float[Tensor, "*batch n"],
        Float[Tensor, "*batch m"],
        Float[Tensor, "*batch n"],
        Float[Tensor, "*batch m"],
    ]:
        """Gradients and Hessians of `stage`; the Hessians are diagonal, and mixed terms are 0.

        The curvature of an angle's term is 2 q cos(e): negative beyond 90 degrees.

        Args:
            x: states ``(..., n)``.
            u: actions ``(..., m)``.
            k: time step, as for `stage`.

        Returns:
            Gradients with respect to x ``(..., n)`` and u ``(..., m)``, then the diagonals of the Hessians,
            shaped likewise.
        """
        slope, curvature = self._distance_derivatives(x, k)
        weights, effort = self.state_weights.to(x), self.action_weights.to(u)
        action_slope = 2.0 * effort * (u - self.action_target.to(u))
        return weights * slope, action_slope, weights * curvature, (2.0 * effort).expand_as(u)

    def terminal_derivatives(
        self, x: Float[Tensor, "*batch n"], k: int | Int[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch n"], Float[Tensor, "*batch n"]]:
        """Gradient and diagonal of the Hessian of `terminal`.

        Args:
            x: states ``(..., n)``.
            k: time step, as for `stage`.

        Returns:
            Gradient and Hessian's diagonal, each ``(..., n)``.
        """
        slope, curvature = self._distance_derivatives(x, k)
        weights = self.terminal_weights.to(x)
        return weights * slope, weights * curvature

    def error(
        self, x: Float[Tensor, "*batch n"], k: int | Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch n"]:
        """How far the states are from the target.

        Args:
            x: states ``(..., n)``.
            k: time step, as for `stage`.

        Returns:
            x - target[k] ``(..., n)``, not wrapped.
        """
        last = len(self.target) - 1
        row = k.clamp(max=last) if isinstance(k, Tensor) else min(k, last)
        return x - self.target[row].to(x)

    def _distance(self, x: Tensor, k: int | Tensor) -> Tensor:
        error = self.error(x, k)
        if not self.angles:
            return error.square()
        return torch.where(self._is_angle, 2.0 * (1.0 - torch.cos(error)), error.square())

    def _distance_derivatives(self, x: Tensor, k: int | Tensor) -> tuple[Tensor, Tensor]:
        error = self.error(x, k)
        curvature = torch.full_like(error, 2.0)
        if not self.angles:
            return 2.0 * error, curvature
        slope = 2.0 * torch.where(self._is_angle, torch.sin(error), error)
        return slope, torch.where(self._is_angle, 2.0 * torch.cos(error), curvature)

    @cached_property
    def _is_angle(self) -> Bool[Tensor, " n"]:
        columns = torch.arange(len(self.state_weights))
        return torch.isin(columns, torch.tensor(self.angles, dtype=columns.dtype))


def constant_target(values: Float[Tensor, " n"], num_steps: int) -> Float[Tensor, "steps n"]:
    """A target that does not move.

    Args:
        values: the states to hold ``(n,)``.
        num_steps: time steps of an episode.

    Returns:
        The target ``(num_steps + 1, n)``.
    """
    return values.expand(num_steps + 1, -1).clone()


def _check_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ProblemError(f"{name}: expected shape {shape}, got {tuple(tensor.shape)}")

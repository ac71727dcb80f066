"""What a controller is asked to do: a cost, hard action bounds, state bounds and a horizon."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surrogate_opt.data.checks import check_count
from surrogate_opt.errors import InputError

BLOW_UP_FACTOR = 10.0
"""A plan that leaves its first state by this many times half the data box has diverged."""


class TrackingCost(Protocol):
    """A sum over states and actions whose Hessian is diagonal.

    ``k`` is the time step, counted from the beginning of the episode: a number, or one for each point,
    ``(*batch)``.
    """

    def stage(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"], k: int | Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Cost of one time step."""
        ...

    def terminal(
        self, x: Float[Tensor, "*batch n"], k: int | Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Cost of the last state of a plan."""
        ...

    def stage_derivatives(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"], k: int | Int[Tensor, "*batch"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients by x and u, then the Hessian's diagonals: ``(*batch, n), (*batch, m)``, twice."""
        ...

    def terminal_derivatives(
        self, x: Float[Tensor, "*batch n"], k: int | Int[Tensor, "*batch"]
    ) -> tuple[Tensor, Tensor]:
        """Gradient by x and the Hessian's diagonal, ``(*batch, n)`` each."""
        ...


class HasControlProblem(Protocol):
    """The part of a plant that says what is to be achieved."""

    @property
    def cost(self) -> TrackingCost: ...  # noqa: D102

    @property
    def action_bounds(self) -> Float[Tensor, "2 m"]: ...  # noqa: D102

    @property
    def state_bounds(self) -> Float[Tensor, "2 n"]: ...  # noqa: D102

    @property
    def data_bounds(self) -> Float[Tensor, "2 n"]: ...  # noqa: D102

    @property
    def horizon(self) -> int: ...  # noqa: D102

    @property
    def num_steps(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class ControlProblem:
    """What a controller minimizes, and within what.

    Controllers work with actions in unit coordinates, [-1, 1] between the bounds, so that steps and
    regularization mean the same for a torque in N m and a heat flow in kJ/h.

    Attributes:
        cost: stage and terminal cost, of states and actions in raw units.
        action_bounds: hard, finite, ``(2, m)``, raw units.
        state_bounds: what planned states should respect, ``(2, n)``, raw units; infinite where free.
        data_bounds: the finite box in which a model can be known, ``(2, n)``, raw units. It scales state
            constraints, and a plan that goes 10 times half its width has diverged.
        horizon: how many steps a plan has, H.
        num_steps: length of an episode.
        copies: how many copies of the state a model carries along: 1, or the members of a pessimistic model.
            ``state_bounds`` and ``data_bounds`` are those of all copies.

    Raises:
        InputError: bounds of a wrong shape, out of order or infinite where they must not be.
    """

    cost: TrackingCost
    action_bounds: Float[Tensor, "2 m"]
    state_bounds: Float[Tensor, "2 n"]
    data_bounds: Float[Tensor, "2 n"]
    horizon: int
    num_steps: int
    copies: int = 1

    def __post_init__(self) -> None:
        check_count("horizon", self.horizon, 1)
        check_count("num_steps", self.num_steps, 1)
        _check_box("action_bounds", self.action_bounds, finite=True)
        _check_box("state_bounds", self.state_bounds, finite=False)
        _check_box("data_bounds", self.data_bounds, finite=True)
        if self.state_bounds.shape != self.data_bounds.shape:
            raise InputError(
                f"data_bounds: expected the shape of state_bounds, {tuple(self.state_bounds.shape)}; "
                f"came {tuple(self.data_bounds.shape)}"
            )

    @classmethod
    def from_plant(cls, plant: HasControlProblem, *, horizon: int | None = None) -> ControlProblem:
        """A plant's own problem, perhaps with another horizon."""
        return cls(
            cost=plant.cost,
            action_bounds=plant.action_bounds.double(),
            state_bounds=plant.state_bounds.double(),
            data_bounds=plant.data_bounds.double(),
            horizon=plant.horizon if horizon is None else horizon,
            num_steps=plant.num_steps,
        )

    @property
    def num_states(self) -> int:
        """n, all copies counted."""
        return self.state_bounds.shape[1]

    @property
    def num_actions(self) -> int:
        """m."""
        return self.action_bounds.shape[1]

    @cached_property
    def action_center(self) -> Float[Tensor, " m"]:
        """The action at 0 in unit coordinates."""
        return self.action_bounds.mean(0)

    @cached_property
    def action_half_width(self) -> Float[Tensor, " m"]:
        """How much of an action one unit is."""
        return (self.action_bounds[1] - self.action_bounds[0]) / 2.0

    def raw_actions(self, u: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch m"]:
        """Unit coordinates to raw units."""
        return torch.addcmul(self.action_center, self.action_half_width, u)

    @cached_property
    def rest(self) -> Float[Tensor, " m"]:
        """Action 0, or the nearest the bounds allow, in unit coordinates."""
        return (-self.action_center / self.action_half_width).clamp(-1.0, 1.0)

    def blown_up(self, x: Float[Tensor, "*batch Hplus1 n"]) -> Bool[Tensor, "*batch"]:
        """Whether plans go too far from their first states, or are not finite.

        Where they begin does not count: an angle that was wound up is as good as any.
        """
        half_width = (self.data_bounds[1] - self.data_bounds[0]) / 2.0
        near = (x - x[..., :1, :]).abs() <= BLOW_UP_FACTOR * half_width
        return ~near.all(-1).all(-1)

    def as_copies(self, x: Float[Tensor, "*batch raw"]) -> Float[Tensor, "*batch n"]:
        """A measured state as the state a model carries along."""
        return x.repeat(*(1,) * (x.ndim - 1), self.copies)

    def mean_of_copies(self, x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch raw"]:
        """The mean state over the copies."""
        return x.reshape(*x.shape[:-1], self.copies, -1).mean(-2)


def _check_box(label: str, bounds: Tensor, *, finite: bool) -> None:
    if bounds.ndim != 2 or bounds.shape[0] != 2 or bounds.shape[1] == 0:
        raise InputError(f"{label}: expected the shape (2, columns); came {tuple(bounds.shape)}")
    in_order = bounds[0] < bounds[1]
    usable = in_order & bounds.isfinite().all(0) if finite else in_order
    if not usable.all():
        column = int((~usable).nonzero()[0])
        kind = "finite lower < upper" if finite else "lower < upper"
        lower, upper = bounds[:, column].tolist()
        raise InputError(f"{label}[:, {column}]: expected {kind}; came {lower:g} and {upper:g}")

"""Transitions (x_t, u_t, x_{t+1}) and the trajectories they come from.

Rows of one trajectory resemble each other, so a fold must hold out whole stretches of time: an out-of-fold
error between neighbours would be a promise that no rollout keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from surrogate_opt.data.checks import as_float_array, check_num_rows, check_spread
from surrogate_opt.errors import InputError

MIN_ROWS = 10
_STRETCHES = 10  # at least so many parts that folds and stopping rows are made of


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """A stretch of time without gaps.

    Attributes:
        states: ``(steps + 1, n)``, float64, raw units.
        actions: held between an instant and the next, ``(steps, m)``.
    """

    states: Float[Tensor, "instants n"]
    actions: Float[Tensor, "steps m"]

    @property
    def num_steps(self) -> int:
        """Transitions."""
        return len(self.actions)


@dataclass(frozen=True, kw_only=True, eq=False)
class Transitions:
    """Rows to learn from, those of one trajectory next to each other in the order of time.

    Attributes:
        states: ``(N, n)``, float64, raw units.
        actions: ``(N, m)``.
        next_states: ``(N, n)``.
        trajectory: the number of the trajectory each row belongs to, ``(N,)``.
    """

    states: Float[Tensor, "rows n"]
    actions: Float[Tensor, "rows m"]
    next_states: Float[Tensor, "rows n"]
    trajectory: Int[Tensor, " rows"]

    def __len__(self) -> int:
        return len(self.states)

    @property
    def columns(self) -> Float[Tensor, "rows columns"]:
        """States, then actions."""
        return torch.cat([self.states, self.actions], 1)

    @property
    def stretches(self) -> Int[Tensor, " rows"]:
        """The number of the stretch each row belongs to: its trajectory, long ones cut into blocks.

        A block has at most a tenth of all rows, so that even one long record makes folds.
        """
        longest = max(1, -(-len(self) // _STRETCHES))
        first = torch.cat([torch.tensor([True]), self.trajectory.diff() != 0])
        starts = torch.where(first, torch.arange(len(self)), 0).cummax(0).values
        cut = (torch.arange(len(self)) - starts) % longest == 0
        return cut.cumsum(0) - 1

    def windows(self, num_steps: int, allowed: Bool[Tensor, " rows"]) -> Int[Tensor, " windows"]:
        """First rows of all runs of so many rows of one trajectory that are all allowed."""
        last = len(self) - num_steps
        if last < 0:
            return torch.empty(0, dtype=torch.int64)
        inside = allowed.unfold(0, num_steps, 1).all(1)
        return (inside & (self.trajectory[: last + 1] == self.trajectory[num_steps - 1 :])).nonzero()[:, 0]


def transitions(trajectories: Sequence[Trajectory]) -> Transitions:
    """The transitions of several trajectories.

    Raises:
        InputError: no trajectory, or shapes or values that cannot be used.
    """
    if not len(trajectories):
        raise InputError("trajectories: expected at least one, got none")
    lengths = torch.tensor([trajectory.num_steps for trajectory in trajectories])
    return _checked(
        torch.cat([trajectory.states[:-1] for trajectory in trajectories]),
        torch.cat([trajectory.actions for trajectory in trajectories]),
        torch.cat([trajectory.states[1:] for trajectory in trajectories]),
        torch.repeat_interleave(torch.arange(len(lengths)), lengths),
    )


def as_trajectories(
    states: Sequence[ArrayLike | Tensor], actions: Sequence[ArrayLike | Tensor]
) -> list[Trajectory]:
    """Trajectories of arrays, ``(steps + 1, n)`` and ``(steps, m)`` each; a vector is one column.

    Raises:
        InputError: numbers of arrays or shapes that do not fit together.
    """
    if len(states) != len(actions):
        raise InputError(
            f"actions: expected one array for each of the {len(states)} of states, got {len(actions)}"
        )
    found: list[Trajectory] = []
    for number, (x, u) in enumerate(zip(states, actions, strict=True)):
        trajectory = Trajectory(
            states=_matrix(x, f"states[{number}]"), actions=_matrix(u, f"actions[{number}]")
        )
        if len(trajectory.states) != len(trajectory.actions) + 1:
            raise InputError(
                f"actions[{number}]: expected one row less than the {len(trajectory.states)} of "
                f"states[{number}], got {len(trajectory.actions)} (rows that are transitions need "
                "next_states)"
            )
        if found and (trajectory.states.shape[1], trajectory.actions.shape[1]) != (
            found[0].states.shape[1],
            found[0].actions.shape[1],
        ):
            raise InputError(
                f"states[{number}], actions[{number}]: expected {found[0].states.shape[1]} and "
                f"{found[0].actions.shape[1]} columns as in the first trajectory, got "
                f"{trajectory.states.shape[1]} and {trajectory.actions.shape[1]}"
            )
        found.append(trajectory)
    return found


def from_rows(
    states: ArrayLike | Tensor, actions: ArrayLike | Tensor, next_states: ArrayLike | Tensor
) -> Transitions:
    """Transitions of three tables; a row that begins exactly where the row before ended goes on with it.

    Raises:
        InputError: shapes or values that cannot be used.
    """
    x, u = _matrix(states, "states"), _matrix(actions, "actions")
    following = _matrix(next_states, "next_states")
    if following.shape != x.shape:
        raise InputError(
            f"next_states: expected the shape of states, {tuple(x.shape)}, got {tuple(following.shape)}"
        )
    if len(u) != len(x):
        raise InputError(f"actions: expected as many rows as states, {len(x)}, got {len(u)}")
    goes_on = (x[1:] == following[:-1]).all(1)
    return _checked(x, u, following, torch.cat([torch.tensor([0]), (~goes_on).cumsum(0)])[: len(x)])


def _checked(x: Tensor, u: Tensor, following: Tensor, trajectory: Tensor) -> Transitions:
    check_num_rows(len(x), MIN_ROWS, "states")
    for name, table in (("states", x), ("actions", u), ("next_states", following)):
        if not bool(table.isfinite().all()):
            row, column = (~table.isfinite()).nonzero()[0].tolist()
            raise InputError(
                f"{name}: expected finite numbers, got {float(table[row, column])} "
                f"in row {row}, column {column}"
            )
        for column in range(table.shape[1]):
            check_spread(table[:, column].numpy(), f"{name}[:, {column}]")
    return Transitions(states=x, actions=u, next_states=following, trajectory=trajectory)


def _matrix(values: ArrayLike | Tensor, label: str) -> Float[Tensor, "rows columns"]:
    array = torch.from_numpy(as_float_array(values, label))
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise InputError(f"{label}: expected the shape (rows, columns), got {tuple(array.shape)}")
    return array

"""States and actions as a network sees them, and what its outputs mean: angles, increments, exact copies.

A state z at the next instant is z + increment; the network gives the increment alone. Angles enter as cosine
and sine, so a full turn changes nothing. A state that only repeats another column one instant later (the past
outputs and inputs of a lagged state) is copied, not learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Between states and actions in raw units and a network's inputs and outputs in raw units.

    Features are the state columns that are no angles and the actions, then the cosines, then the sines of
    the angles; outputs are the increments of the states that are no copies.

    Attributes:
        num_states: n.
        num_actions: m.
        angles: state columns in radians.
        copies: ``{state: source}``: at the next instant this state is what column ``source`` of (state,
            action), counted through both, is now.

    Raises:
        InputError: a column that does not exist, or an angle that is a copy.
    """

    num_states: int
    num_actions: int
    angles: tuple[int, ...] = ()
    copies: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, columns, count in (
            ("angles", self.angles, self.num_states),
            ("copies", self.copies.keys(), self.num_states),
            ("copies", self.copies.values(), self.num_states + self.num_actions),
        ):
            for column in columns:
                if not 0 <= column < count:
                    raise InputError(f"{name}: expected columns from 0 to {count - 1}, got {column}")
        if len(set(self.angles)) != len(self.angles):
            raise InputError(f"angles: expected every column once, got {self.angles}")
        if set(self.angles) & self.copies.keys():
            raise InputError(
                f"copies: expected no angles, got {sorted(set(self.angles) & self.copies.keys())}"
            )
        if not self.learned:
            raise InputError("copies: expected at least one state to learn, got a copy for each")

    @cached_property
    def learned(self) -> tuple[int, ...]:
        """State columns whose increments are outputs, p of them."""
        return tuple(column for column in range(self.num_states) if column not in self.copies)

    @property
    def num_features(self) -> int:
        """Inputs of the network."""
        return self.num_states + self.num_actions + len(self.angles)

    @cached_property
    def plain(self) -> tuple[int, ...]:
        """Columns of (state, action) that are features themselves: all but the angles."""
        return tuple(
            column for column in range(self.num_states + self.num_actions) if column not in self.angles
        )

    def features(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]
    ) -> Float[Tensor, "*batch features"]:
        """What enters the network, raw units."""
        columns = torch.cat([x, u], -1)
        if not self.angles:
            return columns
        angle = x.index_select(-1, self._angle_index)
        return torch.cat([columns.index_select(-1, self._plain_index), angle.cos(), angle.sin()], -1)

    def feature_bounds(self, bounds: Float[Tensor, "2 columns"]) -> Float[Tensor, "2 features"]:
        """The features' box where that of (state, action) is given; cosines and sines have -1 and 1."""
        turn = torch.ones(2 * len(self.angles), dtype=bounds.dtype)
        return torch.cat([bounds[:, self._plain_index], torch.stack([-turn, turn])], 1)

    @cached_property
    def differences(self) -> Float[Tensor, "features features"]:
        """Turns each past output into its difference from what came after it; other features stay.

        Features times this matrix; a copy's source comes one instant after it. Past actions stay too.
        """
        matrix = torch.eye(self.num_features, dtype=torch.float64)
        for state, source in self.copies.items():
            if self._is_past_output(state):
                column = self.plain.index(state)
                matrix[:, column] = self._as_feature(source) - self._as_feature(state)
        return matrix

    def _is_past_output(self, state: int) -> bool:
        """Whether the copies lead back to a learned state that is no angle, and not to an action."""
        column = state
        for _ in self.copies:  # copies of one another would lead round for ever
            column = self.copies.get(column, column)
        return column in self.learned and column not in self.angles

    def _as_feature(self, column: int) -> Float[Tensor, " features"]:
        return torch.eye(self.num_features, dtype=torch.float64)[self.plain.index(column)]

    def increments(
        self, x: Float[Tensor, "*batch n"], following: Float[Tensor, "*batch n"]
    ) -> Float[Tensor, "*batch p"]:
        """Change of the learned states; that of an angle is taken the short way round, in [-pi, pi)."""
        change = following - x
        if self.angles:
            turned = torch.remainder(change + math.pi, 2.0 * math.pi) - math.pi
            change = torch.where(self._is_angle, turned, change)
        return change.index_select(-1, self._learned_index) if self.copies else change

    def advance(
        self,
        x: Float[Tensor, "*batch n"],
        u: Float[Tensor, "*batch m"],
        increments: Float[Tensor, "*batch p"],
    ) -> Float[Tensor, "*batch n"]:
        """The next state; angles run on beyond +-pi."""
        if not self.copies:
            return x + increments
        columns = torch.cat([x, u], -1)
        return columns.index_select(-1, self._base_index) + increments @ self._placement.to(increments.dtype)

    def differentiate(
        self, x: Float[Tensor, "*batch n"], jacobian: Float[Tensor, "*batch p features"]
    ) -> tuple[Float[Tensor, "*batch n n"], Float[Tensor, "*batch n m"]]:
        """Derivatives of the next state by state and action, by the chain rule through the features.

        Args:
            x: the states at which the features were taken.
            jacobian: derivatives of the increments by the features.
        """
        n = self.num_states
        by_columns = jacobian
        if self.angles:
            num_plain = len(self.plain)
            by_plain = jacobian[..., :num_plain]
            by_cosine, by_sine = jacobian[..., num_plain:].chunk(2, -1)
            angle = x.index_select(-1, self._angle_index).unsqueeze(-2)
            by_columns = jacobian.new_empty(*jacobian.shape[:-1], n + self.num_actions)
            by_columns[..., self._plain_index] = by_plain
            by_columns[..., self._angle_index] = by_sine * angle.cos() - by_cosine * angle.sin()
        if self.copies:
            by_columns = self._placement.T.to(jacobian.dtype) @ by_columns
        by_columns = by_columns + torch.eye(n + self.num_actions, dtype=jacobian.dtype)[self._base_index]
        return by_columns[..., :n], by_columns[..., n:]

    @cached_property
    def _angle_index(self) -> Int[Tensor, " angles"]:
        return torch.tensor(self.angles, dtype=torch.int64)

    @cached_property
    def _plain_index(self) -> Int[Tensor, " plain"]:
        return torch.tensor(self.plain)

    @cached_property
    def _learned_index(self) -> Int[Tensor, " p"]:
        return torch.tensor(self.learned)

    @cached_property
    def _is_angle(self) -> Tensor:
        return torch.tensor([column in self.angles for column in range(self.num_states)])

    @cached_property
    def _base_index(self) -> Int[Tensor, " n"]:
        """What each next state is before its increment is added: itself, or the source of its copy."""
        return torch.tensor([self.copies.get(column, column) for column in range(self.num_states)])

    @cached_property
    def _placement(self) -> Float[Tensor, "p n"]:
        """Puts the increments into the columns of the state."""
        return torch.eye(self.num_states, dtype=torch.float64)[self._learned_index]

"""Dynamics: learned x_{t+1} of (x_t, u_t), what ``fit_dynamics`` returns.

NumPy in, NumPy out; torch in, torch out. All figures are in raw units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.dynamics.ensemble import DynamicsEnsemble
from surrogate_opt.dynamics.numpy_step import NumpyStep
from surrogate_opt.dynamics.scaling import TransitionScaling
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength

Array = TypeVar("Array", Tensor, NDArray[np.float64])


@dataclass(frozen=True, kw_only=True, eq=False)
class DynamicsRecord:
    """What the fit says about itself.

    Attributes:
        penalty: the method's name.
        strength: what the members were trained with.
        level: the method's one number; 0 without one.
        selection: one row a strength tried: error, standard error, gradient tails, accepted, chosen.
        one_step_r2: of each state's increment, out of fold, ``(n,)``; 1 where the state is an exact copy.
        one_step_rmse: out of fold, ``(n,)``, raw units.
        num_rows: transitions that the fit was given.
        rollout_steps: what the members were fine-tuned on; 1 for single steps alone.
    """

    penalty: str
    strength: Strength
    level: float
    selection: pd.DataFrame
    one_step_r2: Float[Tensor, " n"]
    one_step_rmse: Float[Tensor, " n"]
    num_rows: int
    rollout_steps: int


class Dynamics:
    """One learned plant: the fold members of the chosen strength, their mean as the next state.

    It is a dynamics model of one model (``num_models`` = 1) for every controller of the toolkit.

    Attributes:
        stack: the members in network coordinates, float64.
        scaling: between raw units and network coordinates.
        encoding: angles, increments and copies.
        ensemble: the same members from raw features to raw increments, as controllers call them.
        record: how it was chosen and how good it is.
        bounds: the box of states and actions it was trained in, ``(2, n + m)``, raw units.
        state_names: n of them.
        action_names: m of them.
        dt: the time step in the unit of the data; None where it was not said.
    """

    num_models = 1

    def __init__(
        self,
        stack: StackedMLP,
        scaling: TransitionScaling,
        encoding: Encoding,
        record: DynamicsRecord,
        *,
        bounds: Float[Tensor, "2 columns"],
        state_names: tuple[str, ...],
        action_names: tuple[str, ...],
        dt: float | None,
    ) -> None:
        self.stack = stack
        self.scaling = scaling
        self.encoding = encoding
        self.ensemble = DynamicsEnsemble(scaling.folded(stack), encoding, 1)
        self.record = record
        self.bounds = bounds
        self.state_names = state_names
        self.action_names = action_names
        self.dt = dt

    @property
    def num_states(self) -> int:
        """n."""
        return self.encoding.num_states

    @property
    def num_actions(self) -> int:
        """m."""
        return self.encoding.num_actions

    @property
    def num_members(self) -> int:
        """Members of the ensemble."""
        return self.stack.num_members

    @property
    def penalty(self) -> str:
        """The method's name."""
        return self.record.penalty

    @property
    def strength(self) -> Strength:
        """What the members were trained with."""
        return self.record.strength

    @property
    def level(self) -> float:
        """The method's one number."""
        return self.record.level

    @property
    def selection(self) -> pd.DataFrame:
        """One row a strength tried."""
        return self.record.selection

    @property
    def one_step_r2(self) -> Float[Tensor, " n"]:
        """Out-of-fold coefficient of determination of each state's increment, ``(n,)``."""
        return self.record.one_step_r2

    @property
    def numpy_step(self) -> NumpyStep | None:
        """``step`` in NumPy, for a few points ``(s, n)`` and ``(s, m)``; None where there is none."""
        return self.ensemble.numpy_step

    @property
    def single(self) -> DynamicsEnsemble:
        """The same model in float32, points as in ``(1, s, n)`` and ``(1, s, m)``."""
        return self.ensemble.single

    def step(self, x: Array, u: Array) -> Array:
        """Mean over the members' next states, ``(*batch, n)`` and ``(*batch, m)`` to ``(*batch, n)``."""
        points = self._points(x, u)
        return _like(x, points.restore(self.ensemble.step(points.x, points.u)))

    def member_step(self, x: Array, u: Array) -> Array:
        """Next states of every member, ``(*batch, s, n)`` to ``(*batch, K, s, n)``; one point: ``(K, n)``."""
        points = self._points(x, u)
        members = self.ensemble.member_step(points.x, points.u)
        following = members.reshape(self.num_members, *points.batch, self.num_states)
        return _like(x, following.movedim(0, -3) if points.batch else following)

    def linearize(self, x: Array, u: Array) -> tuple[Array, Array, Array]:
        """``step`` and its derivatives in closed form.

        Returns:
            Next states ``(*batch, n)``, their derivatives by the state ``(*batch, n, n)`` and by the action
            ``(*batch, n, m)``.
        """
        points = self._points(x, u)
        following, by_state, by_action = self.ensemble.linearize(points.x, points.u)
        return (
            _like(x, points.restore(following)),
            _like(x, points.restore(by_state)),
            _like(x, points.restore(by_action)),
        )

    def rollout(self, x0: Array, actions: Array) -> Array:
        """States along action sequences, ``(*batch, n)`` and ``(*batch, T, m)`` to ``(*batch, T + 1, n)``."""
        sequences = _as_tensor(actions)
        if sequences.ndim < 2 or sequences.shape[-2] == 0:
            raise InputError(
                f"actions: expected the shape (..., steps, {self.num_actions}), got {tuple(sequences.shape)}"
            )
        points = self._points(x0, sequences[..., 0, :])
        flat = sequences.expand(*points.batch, *sequences.shape[-2:]).reshape(1, -1, *sequences.shape[-2:])
        return _like(x0, points.restore(self.ensemble.rollout(points.x, flat)))

    def save(self, path: str | Path) -> None:
        """Write the model to a safetensors file; a half-written file never takes the name."""
        from surrogate_opt.dynamics.dynamics_file import save_dynamics

        save_dynamics(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Dynamics:
        """Read a model back.

        Raises:
            ModelFileError: the file is missing, truncated or of another kind.
        """
        from surrogate_opt.dynamics.dynamics_file import load_dynamics

        return load_dynamics(Path(path))

    def __repr__(self) -> str:
        sizes = "-".join(str(size) for size in self.stack.sizes)
        return (
            f"Dynamics({', '.join(self.state_names)}; {', '.join(self.action_names)}; {self.num_members} x "
            f"{sizes} {self.stack.activation.name}, penalty={self.penalty!r}, level={self.level:.3g})"
        )

    def _points(self, x: Any, u: Any) -> _Points:
        states, actions = _as_tensor(x), _as_tensor(u)
        for name, array, count in (("x", states, self.num_states), ("u", actions, self.num_actions)):
            if array.ndim == 0 or array.shape[-1] != count:
                raise InputError(f"{name}: expected the shape (..., {count}), got {tuple(array.shape)}")
        batch = states.shape[:-1]
        if actions.shape[:-1] != batch:
            try:
                batch = torch.Size(np.broadcast_shapes(batch, actions.shape[:-1]))
            except ValueError:
                raise InputError(
                    f"u: expected leading axes that fit those of x, {tuple(batch)}, "
                    f"got {tuple(actions.shape[:-1])}"
                ) from None
            states = states.expand(*batch, -1)
            actions = actions.expand(*batch, -1)
        return _Points(
            states.reshape(1, -1, self.num_states), actions.reshape(1, -1, self.num_actions), batch
        )


@dataclass(frozen=True)
class _Points:
    """Points in one row, and the axes they came in."""

    x: Float[Tensor, "1 s n"]
    u: Float[Tensor, "1 s m"]
    batch: tuple[int, ...]

    def restore(self, answer: Tensor) -> Tensor:
        """From ``(1, s, ...)`` to the axes of the question."""
        return answer.reshape(*self.batch, *answer.shape[2:])


def stack_dynamics(models: Sequence[Dynamics]) -> DynamicsEnsemble:
    """Several learned plants as one model with an axis for them, so that their closed loops run as one batch.

    Args:
        models: M of equal architecture, encoding and number of members.

    Raises:
        InputError: none, or two that differ.
    """
    return DynamicsEnsemble.concatenate([model.ensemble for model in models])


def _as_tensor(values: Any) -> Tensor:
    # NumPy copies first: torch takes no negative strides and complains about read-only arrays
    array = values if isinstance(values, Tensor) else np.array(values, dtype=np.float64)
    return torch.as_tensor(array, dtype=torch.float64)


def _like(question: Array, answer: Tensor) -> Array:
    """The answer as NumPy where the question came as NumPy."""
    return answer if isinstance(question, Tensor) else answer.numpy()

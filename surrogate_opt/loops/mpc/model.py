"""What a controller plans through, and a plant as such a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

NumpyStep = Callable[[Float[np.ndarray, "s n"], Float[np.ndarray, "s m"]], Float[np.ndarray, "s n"]]


class DynamicsModel(Protocol):
    """x_{t+1} from (x_t, u_t), raw units, for M models at once.

    The first axis is the model, the second the points. Where M = 1 the one model serves every closed loop.

    Attributes:
        num_states: n.
        num_actions: m.
        num_models: M.
    """

    @property
    def num_states(self) -> int: ...  # noqa: D102

    @property
    def num_actions(self) -> int: ...  # noqa: D102

    @property
    def num_models(self) -> int: ...  # noqa: D102

    def step(
        self, x: Float[Tensor, "models s n"], u: Float[Tensor, "models s m"]
    ) -> Float[Tensor, "models s n"]:
        """Next states."""
        ...

    def linearize(
        self, x: Float[Tensor, "models s n"], u: Float[Tensor, "models s m"]
    ) -> tuple[Float[Tensor, "models s n"], Float[Tensor, "models s n n"], Float[Tensor, "models s n m"]]:
        """Next states and their derivatives by state and action."""
        ...


@runtime_checkable
class HasNumpyStep(Protocol):
    """A model that can also step a few points in plain NumPy, which saves most of the time of one loop."""

    @property
    def numpy_step(self) -> NumpyStep | None:
        """``step`` of states ``(s, n)`` and actions ``(s, m)``, float64 arrays in raw units; None without."""
        ...


@runtime_checkable
class HasSinglePrecision(Protocol):
    """A model with a twin in float32, which takes half of the time: for samples and for derivatives."""

    @property
    def single(self) -> DynamicsModel | None:
        """The same models, float32 in and out; None without."""
        ...


class Simulator(Protocol):
    """A plant on any batch of states and actions."""

    @property
    def num_states(self) -> int: ...  # noqa: D102

    @property
    def num_actions(self) -> int: ...  # noqa: D102

    def step(self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch n"]:
        """Next states."""
        ...

    def linearize(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]
    ) -> tuple[Float[Tensor, "*batch n"], Float[Tensor, "*batch n n"], Float[Tensor, "*batch n m"]]:
        """Next states and their derivatives by state and action."""
        ...


def numpy_step_of(model: DynamicsModel) -> NumpyStep | None:
    """The model's step in NumPy, where it has one."""
    return model.numpy_step if isinstance(model, HasNumpyStep) else None


def single_of(model: DynamicsModel) -> DynamicsModel | None:
    """The model's twin in float32, where it has one."""
    return model.single if isinstance(model, HasSinglePrecision) else None


class PlantModel:
    """The truth as a model: the controller that plans through it is the oracle.

    Args:
        plant: anything with ``step`` and ``linearize`` on a batch.
    """

    num_models = 1

    def __init__(self, plant: Simulator) -> None:
        self.num_states = plant.num_states
        self.num_actions = plant.num_actions
        self.step = plant.step
        self.linearize = plant.linearize

"""What every control plant offers: batched, differentiable steps, bounds, cost, starts, noise, success."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_problems.plants import runge_kutta
from surrogate_problems.plants.cost import TrackingCost
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing
from surrogate_problems.problem import ProblemError, make_generator

_TAIL: float = 0.1  # share of an episode in which a plant must stay at its target


class Plant(ABC):
    """A dynamical system dx/dt = f(x, u) with a task: bring it to the target of its cost and keep it there.

    Tensors are float64; any leading axes are a batch. Integrated by Runge-Kutta of order 4 with the action
    held over dt.

    Args:
        states: the n states.
        actions: the m actions.
        timing: time step, horizon and length of an episode.
        cost: what a controller minimizes, over n states and m actions.

    Attributes:
        name: of the plant, as in `make_plant`.
        state_names: n names, `state_units` their units.
        action_names: m names, `action_units` their units.
        angles: columns of the state that are angles in rad, not wrapped.
        dt: time step of the controller in `time_unit`.
        substeps: Runge-Kutta steps in one dt.
        horizon: time steps a controller should plan.
        num_steps: time steps of an episode.
        action_bounds: ``(2, m)``; `step` clamps to them.
        state_bounds: ``(2, n)``, what a controller must respect; infinite where free.
        data_bounds: ``(2, n)``, finite box in which training data are sensibly drawn.
        start_bounds: ``(2, n)``, box of the initial states.
        tolerance: ``(n,)``, largest distance from the target that counts as being there.
        process_std: ``(n,)``, of the disturbance that each time step adds to the state.
        measurement_std: ``(n,)``, of the sensors' noise.
        cost: as given.

    Raises:
        ProblemError: the cost is for another number of states or actions, or other angles.
    """

    name: str

    def __init__(
        self,
        *,
        states: Sequence[StateVariable],
        actions: Sequence[ActionVariable],
        timing: Timing,
        cost: TrackingCost,
    ) -> None:
        self.state_names = tuple(state.name for state in states)
        self.state_units = tuple(state.unit for state in states)
        self.action_names = tuple(action.name for action in actions)
        self.action_units = tuple(action.unit for action in actions)
        self.angles = tuple(column for column, state in enumerate(states) if state.angle)
        self.dt, self.time_unit = timing.dt, timing.unit
        self.substeps, self.horizon, self.num_steps = timing.substeps, timing.horizon, timing.num_steps
        self.action_bounds = _columns([action.bounds for action in actions])
        self.state_bounds = _columns([state.state_bounds for state in states])
        self.data_bounds = _columns([state.data_bounds for state in states])
        self.start_bounds = _columns(
            [(state.start - state.spread, state.start + state.spread) for state in states]
        )
        self.tolerance = _row([state.tolerance for state in states])
        self.process_std = _row([state.process_std for state in states])
        self.measurement_std = _row([state.measurement_std for state in states])
        self.cost = cost
        got = (len(cost.state_weights), len(cost.action_weights), tuple(cost.angles))
        expected = (len(states), len(actions), self.angles)
        if got != expected:
            raise ProblemError(f"cost: expected (states, actions, angles) {expected}, got {got}")

    @property
    def num_states(self) -> int:
        """Number of states n."""
        return len(self.state_names)

    @property
    def num_actions(self) -> int:
        """Number of actions m."""
        return len(self.action_names)

    @abstractmethod
    def derivative(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]
    ) -> Float[Tensor, "*batch n"]:
        """The states' rates dx/dt per `time_unit`, differentiable; the action is not clamped.

        Args:
            x: states ``(..., n)``.
            u: actions ``(..., m)``.

        Returns:
            Rates ``(..., n)``.
        """

    @abstractmethod
    def jacobians(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]
    ) -> tuple[Float[Tensor, "*batch n n"], Float[Tensor, "*batch n m"]]:
        """Derivatives of `derivative`, in closed form.

        Args:
            x: states ``(..., n)``.
            u: actions ``(..., m)``, of the same leading shape.

        Returns:
            Derivatives with respect to x ``(..., n, n)`` and u ``(..., n, m)``, detached.
        """

    @abstractmethod
    def succeeded(self, states: Float[Tensor, "*batch steps n"]) -> Bool[Tensor, "*batch"]:
        """Whether an episode did what it was for; never where a state is not a number.

        Args:
            states: of an episode, the initial one first ``(..., T + 1, n)``.

        Returns:
            One verdict an episode ``(...)``.
        """

    def step(self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch n"]:
        """The states one dt later, with the action clamped to its bounds and held.

        Args:
            x: states ``(..., n)``.
            u: actions ``(..., m)``.

        Returns:
            Next states ``(..., n)``, differentiable.

        Raises:
            ProblemError: x or u has another number of columns.
        """
        x, u = self._together(x, u)
        lower, upper = self.action_bounds.to(u)
        return runge_kutta.step(self.derivative, x, u.clamp(lower, upper), self.dt, self.substeps)

    def linearize(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]
    ) -> tuple[Float[Tensor, "*batch n"], Float[Tensor, "*batch n n"], Float[Tensor, "*batch n m"]]:
        """`step` and its exact derivatives.

        An action beyond its bounds changes nothing: its column is 0. At a bound the derivative is that from
        inside.

        Args:
            x: states ``(..., n)``.
            u: actions ``(..., m)``.

        Returns:
            Next states ``(..., n)``, derivatives A ``(..., n, n)`` with respect to x and B ``(..., n, m)``
            with respect to u; all detached.

        Raises:
            ProblemError: x or u has another number of columns.
        """
        x, u = self._together(x, u)
        lower, upper = self.action_bounds.to(u)
        held = u.clamp(lower, upper)
        following, A, B = runge_kutta.linearize(
            self.derivative, self.jacobians, x, held, self.dt, self.substeps
        )
        return following, A, B * (u == held).unsqueeze(-2)

    def starts(self, num: int, seed: int) -> Float[Tensor, "num n"]:
        """Draw initial states, uniform on `start_bounds`.

        Args:
            num: how many, at least 1.
            seed: a non-negative integer. The first of more starts are those of fewer.

        Returns:
            States ``(num, n)``.

        Raises:
            ProblemError: ``num`` or ``seed`` is out of range.
        """
        if num < 1:
            raise ProblemError(f"num: expected at least 1 start, got {num}")
        lower, upper = self.start_bounds
        generator = make_generator(seed, f"starts of {self.name}")
        share = torch.rand(num, self.num_states, generator=generator, dtype=torch.float64)
        starts: Tensor = lower + (upper - lower) * share
        return starts

    def process_noise(self, shape: Sequence[int], seed: int) -> Float[Tensor, "*shape n"]:
        """Draw the disturbances of an experiment: normal, `process_std` a time step.

        Args:
            shape: leading shape, such as (starts, num_steps).
            seed: a non-negative integer.

        Returns:
            Additions to the next states ``(*shape, n)``.

        Raises:
            ProblemError: the seed is negative.
        """
        return self._noise("process", self.process_std, shape, seed)

    def measurement_noise(self, shape: Sequence[int], seed: int) -> Float[Tensor, "*shape n"]:
        """Draw the sensors' noise of an experiment: normal, `measurement_std`; independent of the process's.

        Args:
            shape: leading shape, such as (starts, num_steps).
            seed: a non-negative integer.

        Returns:
            Additions to what a controller sees ``(*shape, n)``.

        Raises:
            ProblemError: the seed is negative.
        """
        return self._noise("measurement", self.measurement_std, shape, seed)

    def settled(self, states: Float[Tensor, "*batch steps n"]) -> Bool[Tensor, "*batch"]:
        """Whether the last tenth of an episode is within `tolerance` of the target, angles modulo 2 pi.

        Args:
            states: of an episode, the initial one first ``(..., T + 1, n)``.

        Returns:
            One verdict an episode ``(...)``.
        """
        num_steps = states.shape[-2] - 1
        first = num_steps - math.ceil(_TAIL * num_steps) + 1
        return self.at_target(states[..., first:, :], torch.arange(first, num_steps + 1)).all(-1)

    def at_target(self, states: Float[Tensor, "*batch n"], k: int | Tensor) -> Bool[Tensor, "*batch"]:
        """Whether states are within `tolerance` of the target of time step k, angles modulo 2 pi.

        Args:
            states: ``(..., n)``.
            k: time step, one for all or one a state ``(...)``.

        Returns:
            One verdict a state ``(...)``.
        """
        error = self.cost.error(states, k)
        for column in self.angles:
            error[..., column] = torch.remainder(error[..., column] + math.pi, 2.0 * math.pi) - math.pi
        return (error.abs() <= self.tolerance).all(-1)

    def within_bounds(self, states: Float[Tensor, "*batch n"]) -> Bool[Tensor, "*batch"]:
        """Whether states are inside `state_bounds`.

        Args:
            states: ``(..., n)``.

        Returns:
            One verdict a state ``(...)``.
        """
        lower, upper = self.state_bounds
        inside: Tensor = ((states >= lower) & (states <= upper)).all(-1)
        return inside

    def _noise(self, kind: str, std: Tensor, shape: Sequence[int], seed: int) -> Tensor:
        generator = make_generator(seed, f"{kind} noise of {self.name}")
        return std * torch.randn(*shape, self.num_states, generator=generator, dtype=torch.float64)

    def _together(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """States and actions, checked, with one leading shape."""
        for name, tensor, columns in (("x", x, self.num_states), ("u", u, self.num_actions)):
            if tensor.ndim < 1 or tensor.shape[-1] != columns:
                raise ProblemError(
                    f"{name}: expected {columns} columns of {self.name}, got shape {tuple(tensor.shape)}"
                )
        batch = torch.broadcast_shapes(x.shape[:-1], u.shape[:-1])  # type: ignore[no-untyped-call]
        return x.expand(*batch, -1), u.expand(*batch, -1)


def _row(values: Sequence[float]) -> Float[Tensor, " n"]:
    return torch.tensor(values, dtype=torch.float64)


def _columns(bounds: Sequence[tuple[float, float]]) -> Float[Tensor, "2 n"]:
    return torch.tensor(bounds, dtype=torch.float64).T.contiguous()

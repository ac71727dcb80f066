"""A plant a family: stable linear dynamics plus one of the synthetic families in every state."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_problems.families import FAMILIES, Family
from surrogate_problems.plants import runge_kutta
from surrogate_problems.plants.cost import TrackingCost, constant_target
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing
from surrogate_problems.problem import ProblemError, make_generator
from surrogate_problems.search import sobol_points

_NUM_SLOPE_POINTS = 1024
_NUM_PROBES = 8
_NUM_ATTEMPTS = 50
_INPUT_GAIN = 1.5
_TOLERANCE = 0.1
_SPREAD = 0.5
_TIMING = Timing(dt=0.1, substeps=2, horizon=20, num_steps=60, unit="")


@dataclass(frozen=True, kw_only=True, eq=False)
class _System:
    """The random parts A, B, f and c of one instance, as in `FamilyPlant`."""

    drift: Float[Tensor, "n n"]
    entry: Float[Tensor, "n m"]
    functions: tuple[Family, ...]
    gains: Float[Tensor, " n"]

    def rates(self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch n"]:
        """A x + B u + c f(z): dx/dt, but for a constant."""
        z = torch.cat([torch.tanh(x), u], dim=-1)
        values = torch.stack([function._evaluate_true(z) for function in self.functions], dim=-1)
        return x @ self.drift.T.to(x) + u @ self.entry.T.to(u) + self.gains.to(x) * values


class FamilyPlant(Plant):
    """A random plant in continuous time whose nonlinearity is a family's, one function f_i a state.

    With z = (tanh(x), u) in [-1, 1]^(n + m), the setpoint x* and the actions u* that hold it,

        x_i' = (A (x - x*) + B (u - u*))_i + c_i (f_i(z) - f_i(z*))

    A = -I + W with W skew: the linear part is stable, |x| shrinking as exp(-t) while it turns. B has
    orthogonal columns (rows where m > n) of length 1.5. The c_i give all c_i f_i the same root mean square
    slope over the box, and the matrix of their slopes a mean spectral norm of `nonlinearity`: at 1 it is as
    strong as the linear part's pull, whatever the family. As f_i(z) is bounded, so are the states, whatever
    the controller does. Time is in units of the linear part's time constant.

    Everything is drawn again until holding u* leads from the middle of the starts to x*, and holding 0 from
    anywhere to somewhere else.

    Source: ours; the families are those of `surrogate_problems.families`.

    Args:
        family: a key of `FAMILIES`.
        num_states: n, at least 1.
        num_actions: m, at least 1.
        seed: the instance, a non-negative integer.
        difficulty: of the family's functions; None for its default.
        nonlinearity: mean spectral norm of the nonlinear part's slopes, at least 0.

    Attributes:
        family: as given.
        seed: as given.

    Raises:
        ProblemError: an argument is out of range, or no setpoint can be held.
    """

    def __init__(
        self,
        family: str,
        *,
        num_states: int = 4,
        num_actions: int = 2,
        seed: int = 0,
        difficulty: float | None = None,
        nonlinearity: float = 2.0,
    ) -> None:
        if family not in FAMILIES:
            raise ProblemError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
        for argument, count in (("num_states", num_states), ("num_actions", num_actions)):
            if count < 1:
                raise ProblemError(f"{argument}: expected at least 1, got {count}")
        if not (math.isfinite(nonlinearity) and nonlinearity >= 0.0):
            raise ProblemError(f"nonlinearity: expected a finite number of at least 0, got {nonlinearity}")
        self.name, self.family, self.seed = f"family:{family}", family, seed
        generator = make_generator(seed, f"{family} plant {num_states} {num_actions}")
        for _ in range(_NUM_ATTEMPTS):
            self._system = _draw_system(generator, family, num_states, num_actions, difficulty, nonlinearity)
            task = _draw_task(generator, self._system)
            if task is not None:
                break
        else:
            raise ProblemError(
                "nonlinearity: expected one at which constant actions can hold a setpoint, got none in "
                f"{_NUM_ATTEMPTS} draws with {nonlinearity}"
            )
        setpoint, hold = task
        self._offset = self._system.rates(setpoint, hold)
        super().__init__(
            states=[
                StateVariable(
                    name=f"x{i + 1}",
                    unit="",
                    start=0.0,
                    spread=_SPREAD,
                    data_bounds=(-1.5, 1.5),
                    tolerance=_TOLERANCE,
                    process_std=0.002,
                    measurement_std=0.005,
                )
                for i in range(num_states)
            ],
            actions=[
                ActionVariable(name=f"u{j + 1}", unit="", bounds=(-1.0, 1.0)) for j in range(num_actions)
            ],
            timing=_TIMING,
            cost=TrackingCost(
                state_weights=torch.ones(num_states, dtype=torch.float64),
                action_weights=torch.full((num_actions,), 0.1, dtype=torch.float64),
                terminal_weights=torch.full((num_states,), 5.0, dtype=torch.float64),
                target=constant_target(setpoint, _TIMING.num_steps),
                action_target=hold,
            ),
        )

    def derivative(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]
    ) -> Float[Tensor, "*batch n"]:
        """See `Plant.derivative`."""
        return self._system.rates(x, u) - self._offset.to(x)

    def jacobians(
        self, x: Float[Tensor, "*batch n"], u: Float[Tensor, "*batch m"]
    ) -> tuple[Float[Tensor, "*batch n n"], Float[Tensor, "*batch n m"]]:
        """See `Plant.jacobians`."""
        system, n = self._system, self.num_states
        inner = torch.tanh(x.detach())
        z = torch.cat([inner, u.detach()], dim=-1)
        slopes = torch.stack([function.value_and_gradient(z)[1] for function in system.functions], dim=-2)
        slopes = system.gains.to(x)[:, None] * slopes
        by_state = system.drift.to(x) + slopes[..., :n] * (1.0 - inner.square()).unsqueeze(-2)
        return by_state, system.entry.to(u) + slopes[..., n:]

    def succeeded(self, states: Float[Tensor, "*batch steps n"]) -> Bool[Tensor, "*batch"]:
        """Every state within 0.1 of the setpoint throughout the last tenth of the episode."""
        return self.settled(states)


def _draw_system(
    generator: torch.Generator,
    family: str,
    num_states: int,
    num_actions: int,
    difficulty: float | None,
    nonlinearity: float,
) -> _System:
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    turn = normal(num_states, num_states) / math.sqrt(2.0 * num_states)
    basis = torch.linalg.qr(normal(max(num_states, num_actions), min(num_states, num_actions))).Q
    seeds = torch.randint(2**31, (num_states,), generator=generator).tolist()
    dim = num_states + num_actions
    functions = tuple(FAMILIES[family](dim=dim, seed=seed, difficulty=difficulty) for seed in seeds)
    z = 2.0 * sobol_points(_NUM_SLOPE_POINTS, dim, seed=0) - 1.0
    slopes = torch.stack([function.value_and_gradient(z)[1] for function in functions], dim=1)
    gains = slopes.square().sum(-1).mean(0).rsqrt()
    strength = torch.linalg.matrix_norm(gains[:, None] * slopes, ord=2).mean()
    return _System(
        drift=turn - turn.T - torch.eye(num_states, dtype=torch.float64),
        entry=_INPUT_GAIN * (basis if num_states >= num_actions else basis.T),
        functions=functions,
        gains=gains * nonlinearity / strength,
    )


def _draw_task(generator: torch.Generator, system: _System) -> tuple[Tensor, Tensor] | None:
    """x* ``(n,)`` and u* ``(m,)``; None unless u* comes within half the tolerance and 0 not within twice."""
    num_states, num_actions = system.entry.shape
    setpoint = _away_from_zero(generator, num_states, 0.3, 0.8)
    hold = _away_from_zero(generator, num_actions, 0.4, 0.7)
    middle = torch.zeros(1, num_states, dtype=torch.float64)
    probes = _SPREAD * (2.0 * sobol_points(_NUM_PROBES, num_states, seed=0) - 1.0)
    if not _error_after(system, middle, setpoint, hold, hold).max() < 0.5 * _TOLERANCE:
        return None
    if not _error_after(system, probes, setpoint, hold, torch.zeros_like(hold)).min() > 2.0 * _TOLERANCE:
        return None
    return setpoint, hold


def _error_after(
    system: _System, x: Tensor, setpoint: Tensor, hold: Tensor, u: Tensor
) -> Float[Tensor, " num"]:
    """The largest distance of a state from the setpoint after 90% of an episode with u held."""
    offset = system.rates(setpoint, hold)
    actions = u.expand(len(x), -1)
    for _ in range(int(0.9 * _TIMING.num_steps)):
        x = runge_kutta.step(
            lambda x, u: system.rates(x, u) - offset, x, actions, _TIMING.dt, _TIMING.substeps
        )
    return (x - setpoint).abs().amax(-1)


def _away_from_zero(
    generator: torch.Generator, num: int, nearest: float, farthest: float
) -> Float[Tensor, " num"]:
    """Numbers of either sign, their size uniform between two."""
    size, sign = torch.rand(2, num, generator=generator, dtype=torch.float64)
    numbers: Tensor = (nearest + (farthest - nearest) * size) * (sign - 0.5).sign()
    return numbers

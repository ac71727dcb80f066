"""What a plant's states, actions and clock are: names, units, bounds, starts and noise, one record each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from surrogate_problems.problem import ProblemError


@dataclass(frozen=True, kw_only=True)
class StateVariable:
    """One state of a plant; all numbers in `unit`.

    Attributes:
        name: spelt out, such as ``"angular_velocity"``.
        unit: such as ``"rad/s"``; ``""`` where there is none.
        start: center of the initial states.
        spread: initial states are uniform on start ± spread.
        data_bounds: finite range in which training data are sensibly drawn.
        state_bounds: what a controller must respect; infinite where free.
        angle: whether the state is an angle. It is not wrapped; costs and success see it modulo 2 pi.
        tolerance: largest distance from the target that counts as being there; infinite where any does.
        process_std: standard deviation of the disturbance that each time step adds.
        measurement_std: standard deviation of the sensor's noise.

    Raises:
        ProblemError: a range is empty or not finite where it must be, or a width is negative.
    """

    name: str
    unit: str
    start: float
    spread: float
    data_bounds: tuple[float, float]
    state_bounds: tuple[float, float] = (-math.inf, math.inf)
    angle: bool = False
    tolerance: float = math.inf
    process_std: float = 0.0
    measurement_std: float = 0.0

    def __post_init__(self) -> None:
        _check_range(f"data_bounds of {self.name}", self.data_bounds, finite=True)
        _check_range(f"state_bounds of {self.name}", self.state_bounds, finite=False)
        for field in ("spread", "tolerance", "process_std", "measurement_std"):
            if not getattr(self, field) >= 0.0:
                raise ProblemError(f"{field} of {self.name}: expected at least 0, got {getattr(self, field)}")


@dataclass(frozen=True, kw_only=True)
class ActionVariable:
    """One action of a plant, held constant over a time step.

    Attributes:
        name: spelt out, such as ``"torque"``.
        unit: such as ``"N m"``; ``""`` where there is none.
        bounds: what the actuator can do; `Plant.step` clamps to it.

    Raises:
        ProblemError: the range is empty or not finite.
    """

    name: str
    unit: str
    bounds: tuple[float, float]

    def __post_init__(self) -> None:
        _check_range(f"bounds of {self.name}", self.bounds, finite=True)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The clock of a plant and its controller.

    Attributes:
        dt: time step of the controller, in `unit`.
        substeps: Runge-Kutta steps in one dt.
        horizon: time steps a controller should plan.
        num_steps: time steps of an episode.
        unit: of time, such as ``"s"``.

    Raises:
        ProblemError: a number is not positive.
    """

    dt: float
    substeps: int
    horizon: int
    num_steps: int
    unit: str = "s"

    def __post_init__(self) -> None:
        for field in ("dt", "substeps", "horizon", "num_steps"):
            if not 0 < getattr(self, field) < math.inf:
                raise ProblemError(f"{field}: expected a finite number above 0, got {getattr(self, field)}")


def _check_range(name: str, bounds: tuple[float, float], *, finite: bool) -> None:
    lower, upper = bounds
    if not lower < upper or (finite and not (math.isfinite(lower) and math.isfinite(upper))):
        kind = "finite numbers" if finite else "numbers"
        raise ProblemError(f"{name}: expected two {kind}, the first below the second, got {bounds}")

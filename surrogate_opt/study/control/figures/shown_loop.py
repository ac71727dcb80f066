"""One closed loop of a run as pictures take it, and the few looks that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MultipleLocator

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc import ClosedLoop

# Okabe & Ito 2008: told apart with any colour vision.
PATH = "#0072B2"
PLAN = "#E69F00"
TARGET = "#009E73"
REFERENCE = "#000000"


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownLoop:
    """One loop of a run.

    Attributes:
        label: what pictures call it, such as "dreg".
        run: in which it is one of L.
        loop: its number there.

    Raises:
        InputError: the run has no loop of that number, or did not keep its plans.
    """

    label: str
    run: ClosedLoop
    loop: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.loop < len(self.run.costs):
            raise InputError(f"loop: expected 0 to {len(self.run.costs) - 1}; came {self.loop}")
        if self.run.plans is None or self.run.planned_actions is None:
            raise InputError("run: expected one with its plans; came one that did not keep them")

    @property
    def states(self) -> Float[np.ndarray, "Tplus1 n"]:
        """Of the plant, raw units."""
        return self.run.states[self.loop].numpy()

    @property
    def actions(self) -> Float[np.ndarray, "T m"]:
        """As applied, raw units."""
        return self.run.actions[self.loop].numpy()

    @property
    def plans(self) -> Float[np.ndarray, "T Hplus1 n"]:
        """Predicted states, the measured one first."""
        assert self.run.plans is not None, "checked before"
        return self.run.plans[self.loop].numpy()

    @property
    def planned_actions(self) -> Float[np.ndarray, "T H m"]:
        """The actions that the predictions are of."""
        assert self.run.planned_actions is not None, "checked before"
        return self.run.planned_actions[self.loop].numpy()

    @property
    def diverged(self) -> Bool[np.ndarray, " T"]:
        """Steps on which the plan was useless and a safe action was applied."""
        return self.run.diverged[self.loop].numpy()

    @property
    def cost(self) -> float:
        """Closed-loop cost."""
        return float(self.run.cost[self.loop])

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.actions)


def axis_label(name: str, unit: str, separator: str = " ") -> str:
    """A variable's name with its unit, the words of the name and the unit apart by the separator."""
    words = name.replace("_", separator)
    return f"{words}{separator}({unit})" if unit else words


def in_turns(axes: Axes, axis: str, span: float) -> None:
    """Ticks of an angle in multiples of π."""
    which = axes.xaxis if axis == "x" else axes.yaxis
    step = next(part for part in (0.25, 0.5, 1.0, 2.0, 4.0, 1e9) if span / (part * np.pi) <= 5.0)
    which.set_major_locator(MultipleLocator(step * np.pi))
    which.set_major_formatter(FuncFormatter(lambda value, _: _multiple_of_pi(value / np.pi)))


def _multiple_of_pi(turns: float) -> str:
    if abs(turns) < 1e-9:
        return "0"
    return {1.0: "π", -1.0: "-π"}.get(round(turns, 9), f"{turns:g}π")

"""One learned plant in closed loops beside the oracle's: the run, its figures, its pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from surrogate_problems.plants import PLANTS, Plant
from surrogate_problems.problem import ProblemError

from surrogate_opt.data.checks import check_seed, refuse_unknown
from surrogate_opt.dynamics import Dynamics
from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc import (
    PLANNERS,
    ClosedLoop,
    Controller,
    ControlProblem,
    PlantModel,
    run_closed_loop,
)
from surrogate_opt.penalties import get_method
from surrogate_opt.study.control.figures import (
    ShownLoop,
    draw_phase,
    draw_trajectories,
    phase_plane,
    write_animation,
)
from surrogate_opt.study.control.loop_figures import LoopFigures
from surrogate_opt.study.control.spec import FAMILY_PREFIX
from surrogate_opt.study.figures.style import save_png


@dataclass(frozen=True, kw_only=True, eq=False)
class ControlRun:
    """What came of the closed loops.

    Attributes:
        plant: the truth.
        model: what was learned.
        label: of the learned model.
        oracle: loops of the controller that plans through the truth.
        learned: the same starts and noise, planned through the model.
    """

    plant: Plant
    model: Dynamics
    label: str
    oracle: ClosedLoop
    learned: ClosedLoop

    @cached_property
    def oracle_figures(self) -> LoopFigures:
        """Of the oracle's loops; its ratios are 1."""
        return LoopFigures.of(self.plant, self.oracle, self.oracle)

    @cached_property
    def learned_figures(self) -> LoopFigures:
        """Of the learned model's loops."""
        return LoopFigures.of(self.plant, self.learned, self.oracle)

    @property
    def table(self) -> pd.DataFrame:
        """One row a start and model."""
        num_starts = len(self.oracle.costs)
        return pd.concat(
            pd.DataFrame(figures.rows(num_starts)[0]).assign(model=name)
            for name, figures in (("oracle", self.oracle_figures), (self.label, self.learned_figures))
        )

    @property
    def worst(self) -> int:
        """The start from which the learned model does worst beside the oracle."""
        return int(self.learned_figures.cost_ratio.nan_to_num(nan=math.inf).argmax())

    def write_pictures(self, folder: Path, title: str, states: tuple[int, int]) -> list[str]:
        """Draw into a folder; returns the names of the files.

        Args:
            folder: an existing one.
            title: over every picture.
            states: columns of the phase portrait.
        """
        loops = [
            ShownLoop(label="oracle", run=self.oracle, loop=self.worst),
            ShownLoop(label=self.label, run=self.learned, loop=self.worst),
        ]
        which = f"start {self.worst + 1} of {len(self.oracle.costs)}, the worst beside the oracle"
        trajectories = draw_trajectories(self.plant, loops, title=f"{title}\n{which}")
        save_png(trajectories, folder / "trajectories.png")
        portrait = draw_phase(
            self.plant,
            self.model,
            (self.oracle, self.learned),
            labels=("the oracle", self.label),
            states=states,
            title=title,
        )
        save_png(portrait, folder / "phase.png")
        names = ["trajectories.png", "phase.png"]
        if self.plant.name == "pendulum":
            write_animation(folder / "pendulum.gif", self.plant, loops)
            names.append("pendulum.gif")
        return names


def check_settings(*, controller: str, penalty: str, noise: float, seed: int) -> None:
    """Refuse what could not be run, before any work is done for it."""
    if controller not in PLANNERS:
        refuse_unknown("--controller", controller, tuple(PLANNERS))
    get_method(penalty)
    check_seed(seed)
    if not math.isfinite(noise):
        raise InputError(f"--noise: expected a finite number; came {noise}")


def make_plant(name: str, instance: int) -> Plant:
    """The plant of that name.

    Raises:
        InputError: there is none, or it has no such instance.
    """
    if name not in PLANTS:
        refuse_unknown("--plant", name, tuple(PLANTS))
    if not name.startswith(FAMILY_PREFIX):
        if instance:
            raise InputError(f"--instance: expected none with {name}, of which there is one")
        return PLANTS[name]()
    try:
        return PLANTS[name](seed=instance)
    except ProblemError as error:
        raise InputError(f"--instance: {error}") from None


def load_model(path: Path, plant: Plant) -> Dynamics:
    """Saved dynamics, which must be those of the plant.

    Raises:
        InputError: they have other states, actions or another time step.
    """
    model = Dynamics.load(path)
    for what, came, expected in (
        ("states", model.state_names, plant.state_names),
        ("actions", model.action_names, plant.action_names),
    ):
        if came != expected:
            raise InputError(
                f"--model: expected the {what} of {plant.name}, {', '.join(expected)}; came {', '.join(came)}"
            )
    if model.dt is not None and not math.isclose(model.dt, plant.dt, rel_tol=1e-6):
        raise InputError(
            f"--model: expected the time step of {plant.name}, {plant.dt:g} {plant.time_unit}; "
            f"came {model.dt:g}"
        )
    return model


def phase_states(plant: Plant, names: tuple[str, ...] | None) -> tuple[int, int]:
    """Columns of the two states that a phase portrait shows.

    Raises:
        InputError: there are not two, or no such states.
    """
    if names is None:
        return phase_plane(plant)
    if len(names) != 2:
        raise InputError(f"--phase: expected two states; came {', '.join(names)}")
    for name in names:
        if name not in plant.state_names:
            refuse_unknown("--phase", name, plant.state_names)
    first, second = (plant.state_names.index(name) for name in names)
    return first, second


def run_loops(
    plant: Plant, model: Dynamics, *, label: str, controller: str, starts: int, noise: float, seed: int
) -> ControlRun:
    """Close the loop with the true plant as the model, and with the learned one.

    Args:
        plant: the truth.
        model: of it.
        label: of the model.
        controller: a key of ``PLANNERS``.
        starts: how many.
        noise: factor on the plant's own.
        seed: of starts, noise and the controllers' draws.
    """
    problem = ControlProblem.from_plant(plant)
    oracle, learned = (
        run_closed_loop(
            plant, Controller(known, problem, PLANNERS[controller]), seed=seed, starts=starts, noise=noise
        )
        for known in (PlantModel(plant), model)
    )
    return ControlRun(plant=plant, model=model, label=label, oracle=oracle, learned=learned)

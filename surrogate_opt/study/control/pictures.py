"""The pictures of a study of closed loops, in the order of the report.

Those of single loops are run again from the stored surrogates: the same seeds give the same loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from surrogate_problems.plants import Plant

from surrogate_opt.dynamics import Dynamics
from surrogate_opt.loops.mpc import ClosedLoop, PlantModel
from surrogate_opt.study.control.cell import ORACLE, close_loops
from surrogate_opt.study.control.comparisons import Findings
from surrogate_opt.study.control.figures import (
    ShownLoop,
    draw_phase,
    draw_trajectories,
    phase_plane,
    write_animation,
)
from surrogate_opt.study.control.figures.costs import draw_costs
from surrogate_opt.study.control.figures.planners import draw_planners
from surrogate_opt.study.control.spec import ControlCell
from surrogate_opt.study.control.tables import ControlStudyData
from surrogate_opt.study.figures.style import Picture

NUM_PICTURES = 4
"""At most so many."""

ANIMATION = (
    "The pendulum under the surrogate that cost most and the one that cost least, over the oracle, among all "
    "methods and starts of the first instance with the fewest transitions. The faint rod is where a plan of "
    "half a second before had expected the rod by now."
)

_SHOWN = ("none", "dreg")
_ANIMATED = "pendulum"


def draw_pictures(data: ControlStudyData, findings: Findings) -> Iterator[Picture]:
    """Draw one after the other; those for which nothing is stored are left out."""
    for picture in (draw_costs(data.spec, findings), draw_planners(data.spec, findings)):
        if picture is not None:
            yield picture
    example = Example.of(data)
    if example is not None:
        yield _trajectories(example)
        yield _phase(example)


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """Loops of the first instance of a plant, with the fewest transitions, under the first planner.

    Attributes:
        data: the study.
        cell: of the study.
        plant: its plant.
        loops: what is stored of them, as in ``ControlStudyData``.
    """

    data: ControlStudyData
    cell: ControlCell
    plant: Plant
    loops: pd.DataFrame
    _runs: dict[tuple[str, int], ClosedLoop] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, data: ControlStudyData, plant: str | None = None) -> Example | None:
        """Of a plant, by default that whose plans were least kept; None where no surrogate is stored."""
        spec = data.spec
        size = min(spec.num_train)
        loops = data.loops[
            (data.loops["num_train"] == size)
            & (data.loops["controller"] == spec.controllers[0])
            & (data.loops["instance"] == spec.first_instance)
            & (data.loops["method"] != ORACLE)
        ]
        known = [name for name, trained, _ in data.models if trained == size]
        loops = loops[loops["plant"].isin(known if plant is None else {plant}.intersection(known))]
        if loops.empty:
            return None
        worst = plant or str(loops.groupby("plant", sort=False)["plan_gap"].median().abs().idxmax())
        cell = ControlCell(spec=spec, plant=worst, instance=spec.first_instance, num_train=size)
        return cls(data=data, cell=cell, plant=cell.make_plant(), loops=loops[loops["plant"] == worst])

    @property
    def controller(self) -> str:
        """The planner."""
        return self.data.spec.controllers[0]

    def model(self, method: str) -> Dynamics:
        """A method's surrogate."""
        return self.data.models[self.cell.plant, self.cell.num_train, method]

    def run(self, method: str, start: int) -> ClosedLoop:
        """The loops from the starts up to one, a method's or the oracle's, computed once."""
        if (method, start) not in self._runs:
            model = PlantModel(self.plant) if method == ORACLE else self.model(method)
            with torch.no_grad():
                self._runs[method, start] = close_loops(
                    self.cell, self.plant, model, self.controller, starts=start + 1
                )
        return self._runs[method, start]

    def shown(self, method: str, start: int, label: str | None = None) -> ShownLoop:
        """One loop for a picture."""
        return ShownLoop(label=label or method, run=self.run(method, start), loop=start)

    def extreme(self, methods: tuple[str, ...], *, worst: bool) -> tuple[str, int]:
        """Method and start of the loop that cost most, or least, over the oracle."""
        among = self.loops[self.loops["method"].isin(methods)]
        row = among.sort_values("cost_ratio").iloc[-1 if worst else 0]
        return str(row["method"]), int(row["start"])

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that are shown: none and DREG where they are stored, else all."""
        stored = tuple(dict.fromkeys(self.loops["method"]))
        return tuple(name for name in _SHOWN if name in stored) or stored


def _trajectories(example: Example) -> Picture:
    method, start = example.extreme(example.methods, worst=True)
    loops = [example.shown(name, start) for name in (ORACLE, *example.methods)]
    return Picture(
        name="trajectories",
        title="Plans and what became of them",
        caption=f"{example.plant.name.replace('_', ' ')}, {example.cell.num_train:,} transitions, "
        f"{example.controller}, from the start at which {method} cost most over the oracle. Thick: what the "
        "plant did. Thin: what every few plans foresaw; where they leave the thick line, the plan was not "
        "kept. The oracle's own plans leave it only where noise or a better plan came.",
        figure=draw_trajectories(example.plant, loops),
    )


def _phase(example: Example) -> Picture:
    method = example.methods[-1]
    _, start = example.extreme(example.methods, worst=True)
    runs = example.run(ORACLE, start), example.run(method, start)
    plane = phase_plane(example.plant)
    names = " and ".join(example.plant.state_names[column].replace("_", " ") for column in plane)
    return Picture(
        name="phase",
        title="True and learned vector field",
        caption=f"{example.plant.name.replace('_', ' ')}: {names}, the others at the target; "
        f"{example.cell.num_train:,} transitions. Left the truth with the oracle's loops, in the middle what "
        f"{method} learned with its loops, right how far the two fields are apart. Fields are under the "
        "action at rest.",
        figure=draw_phase(example.plant, example.model(method), runs, labels=(ORACLE, method), states=plane),
    )


def draw_animation(data: ControlStudyData, folder: Path) -> bytes | None:
    """Write ``pendulum.gif`` into an existing folder and return it; None where the study has no pendulum."""
    example = Example.of(data, _ANIMATED)
    if example is None:
        return None
    methods = tuple(dict.fromkeys(example.loops["method"]))
    shown = []
    for word, worst in (("worst", True), ("best", False)):
        method, start = example.extreme(methods, worst=worst)
        shown.append(example.shown(method, start, f"{word}: {method}"))
    path = folder / "pendulum.gif"
    write_animation(path, example.plant, shown)
    return path.read_bytes()

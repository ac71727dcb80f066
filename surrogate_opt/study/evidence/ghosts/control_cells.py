"""Learned plants of many strengths on one data set: their diagnostics, and what iLQR on them costs."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import torch
from pydantic import BaseModel, ConfigDict, Field

from surrogate_opt.dynamics import Dynamics, stack_dynamics
from surrogate_opt.errors import TrainingError
from surrogate_opt.loops.mpc import PlantModel
from surrogate_opt.study.control.cell import close_loops, fit_method, surrogate_figures
from surrogate_opt.study.control.data import collect_transitions
from surrogate_opt.study.control.loop_figures import LoopFigures
from surrogate_opt.study.control.spec import ControlCell, ControlStudySpec
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import hashed_key

CELL_VERSION = 1
FAMILY: Final = "ghosts-control"
CONTROLLER: Final = "ilqr"

LEVELS: Final = {
    "none": (0.0,),
    "dreg": (1e-4, 1e-3, 1e-2, 1e-1),
    "igp": (1e-4, 1e-3, 1e-2, 1e-1),
    "sn": (4.0, 2.0, 1.0),
}
"""Every other point of the methods' grids."""


class ControlGhostSpec(BaseModel):
    """What is learned and controlled.

    Attributes:
        study: plants, instances, networks and recipe; its methods and controllers are not used.
        levels: strengths by method.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    study: ControlStudySpec = ControlStudySpec(num_train=(100,), starts=5, controllers=(CONTROLLER,))
    levels: dict[str, Annotated[tuple[float, ...], Field(min_length=1)]] = LEVELS

    def cells(self, folder: Path) -> list[ControlGhostCell]:
        """A cell for each data set; no data are read from the folder."""
        return [ControlGhostCell(spec=self, own=cell, instance=cell.instance) for cell in self.study.cells()]


class ControlGhostCell(EvidenceCell):
    """All strengths on one data set of one plant."""

    family: ClassVar[str] = FAMILY
    spec: ControlGhostSpec
    own: ControlCell

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return self.own.place

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        unused = {"name", "plants", "instances", "first_instance", "num_train", "methods", "controllers"}
        settings = self.own.spec.model_dump(mode="json", exclude=unused)
        levels = self.spec.model_dump(mode="json")["levels"]
        own = (self.own.plant, self.own.instance, self.own.num_train)
        return hashed_key(FAMILY, CELL_VERSION, settings, levels, *own)


@torch.no_grad()
def run_control_ghost_cell(cell: ControlGhostCell) -> StoredOutcome:
    """Learn the plant at every strength, diagnose, and close the loops of all and of the oracle."""
    own = cell.own
    plant = own.make_plant()
    data = collect_transitions(plant, own.num_train, own.seed, noise=own.spec.data_noise)
    models: dict[tuple[str, float], Dynamics] = {}
    for method, levels in cell.spec.levels.items():
        for level in levels:
            try:
                models[method, level] = fit_method(own, plant, data, method, strength=level)
            except TrainingError:
                continue  # what cannot be trained has no loop to predict
    oracle = close_loops(own, plant, PlantModel(plant), CONTROLLER)
    run = close_loops(own, plant, stack_dynamics(list(models.values())), CONTROLLER)
    loops = LoopFigures.of(plant, run, oracle).rows(own.spec.starts_of(CONTROLLER))
    place = {"problem": own.plant, "instance": own.instance, "num_train": own.num_train, "failed": False}
    rows: list[dict[str, Any]] = []
    figures = surrogate_figures(own, plant, data, list(models.values()))
    for (method, level), found, starts in zip(models, figures, loops, strict=True):
        diagnosed = asdict(found)
        rows.append(
            place
            | {"method": method, "level": level, "kind": diagnosed["kind"]}
            | {
                "tail_ratio": diagnosed["tail_ratio"],
                "p99": diagnosed["gradient_p99"],
                "max": diagnosed["gradient_max"],
                "mean": diagnosed["gain"],
                "gradient_error": diagnosed["gradient_error"],
                "disagreement": diagnosed["disagreement"],
                "test_mse": diagnosed["test_error"],
            }
            | {
                "ilqr.plan gap": _median([start["plan_gap"] for start in starts]),
                "ilqr.cost": _median([start["cost_ratio"] for start in starts]),
            }
        )
    return StoredOutcome(truth={}, rows=rows, arrays={})


def _median(values: list[float]) -> float:
    """Of the starts; infinite costs of lost plants count as such, and rank last."""
    median = float(torch.tensor(values, dtype=torch.float64).median())
    return 1e300 if math.isinf(median) else median

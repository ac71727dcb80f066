"""Computes one cell: every method learns a plant from the same data, and controls it beside the oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from surrogate_problems.plants import Plant
from torch import Tensor

from surrogate_opt.dynamics import (
    Dynamics,
    Encoding,
    LinearDynamics,
    Transitions,
    fit_dynamics,
    stack_dynamics,
)
from surrogate_opt.dynamics.dynamics_file import dynamics_parts
from surrogate_opt.errors import TrainingError
from surrogate_opt.loops.mpc import (
    PLANNERS,
    ClosedLoop,
    Controller,
    ControlProblem,
    DynamicsModel,
    PlantModel,
    run_closed_loop,
)
from surrogate_opt.study.control.data import collect_transitions
from surrogate_opt.study.control.dynamics_figures import DynamicsFigures, TruthAtPoints, dynamics_figures
from surrogate_opt.study.control.loop_figures import LoopFigures
from surrogate_opt.study.control.spec import ControlCell
from surrogate_opt.study.strict_specs import mixed_seed

NUM_MEMBERS = 5
NUM_TEST_POINTS = 2000
ORACLE = "oracle"
"""The controller that plans through the plant itself, as a method's name in the tables."""


@dataclass(frozen=True, kw_only=True)
class ControlCellResult:
    """What a cell leaves in the store: plain numbers and strings by name.

    Attributes:
        truth: figures of the instance itself.
        surrogates: one row a method.
        loops: one row a method, controller and start, the oracle's among them.
        failures: one row a method that could not be trained.
        models: descriptions of the stored surrogates by method; their tensors are in ``arrays``.
        arrays: tensors of the stored surrogates, as ``method/tensor``; none but of the first instance.
    """

    truth: dict[str, Any]
    surrogates: list[dict[str, Any]]
    loops: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    models: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, Tensor] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The tables by name, as they are stored."""
        return {
            "surrogates": self.surrogates,
            "loops": self.loops,
            "failures": self.failures,
            "models": self.models,
        }


def run_control_cell(cell: ControlCell) -> ControlCellResult:
    """Collect data, train every method on them, close the loops of all methods and of the oracle."""
    plant = cell.make_plant()
    data = collect_transitions(plant, cell.num_train, cell.seed, noise=cell.spec.data_noise)
    models, failures = _train(cell, plant, data)
    arrays: dict[str, Tensor] = {}
    described = []
    if cell.keeps_models:
        for method, model in models.items():
            tensors, description = dynamics_parts(model)
            arrays |= {f"{method}/{name}": tensor for name, tensor in tensors.items()}
            described.append({"method": method, "description": description})
    return ControlCellResult(
        truth={
            "num_states": plant.num_states,
            "num_actions": plant.num_actions,
            "horizon": plant.horizon,
            "num_steps": plant.num_steps,
        },
        surrogates=_surrogate_rows(cell, plant, data, models),
        loops=_loop_rows(cell, plant, models),
        failures=failures,
        models=described,
        arrays=arrays,
    )


def close_loops(
    cell: ControlCell, plant: Plant, model: DynamicsModel, controller: str, *, starts: int | None = None
) -> ClosedLoop:
    """A controller's closed loops on the cell's starts, or the first of them, and noise, with their plans."""
    spec = cell.spec
    acting = Controller(model, ControlProblem.from_plant(plant), PLANNERS[controller])
    return run_closed_loop(
        plant, acting, seed=cell.seed, starts=starts or spec.starts_of(controller), noise=spec.loop_noise
    )


def fit_method(
    cell: ControlCell, plant: Plant, data: Transitions, method: str, *, strength: str | float = "auto"
) -> Dynamics:
    """A method's surrogate of the cell's data, by the study's recipe.

    Raises:
        TrainingError: every strength failed.
    """
    spec = cell.spec
    steps_an_epoch = math.ceil(cell.num_train * (NUM_MEMBERS - 1) / NUM_MEMBERS / spec.batch_size)
    return fit_dynamics(
        data,
        penalty=method,
        strength=strength,
        rule=spec.rule,
        members=NUM_MEMBERS,
        hidden=spec.hidden,
        activation=spec.activation,
        epochs=math.ceil(spec.train_steps / steps_an_epoch),
        batch_size=spec.batch_size,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        angles=plant.angles,
        state_names=plant.state_names,
        action_names=plant.action_names,
        dt=plant.dt,
        seed=cell.seed,
    )


def surrogate_figures(
    cell: ControlCell, plant: Plant, data: Transitions, models: Sequence[Dynamics]
) -> list[DynamicsFigures]:
    """How well each surrogate knows the plant at transitions that none was trained on."""
    points = collect_transitions(plant, NUM_TEST_POINTS, mixed_seed(cell.seed, 1), noise=0.0)
    truth = TruthAtPoints.of(plant, points)
    linear = LinearDynamics.fit(data, Encoding(num_states=plant.num_states, num_actions=plant.num_actions))
    return [dynamics_figures(model, truth, linear) for model in models]


def _train(
    cell: ControlCell, plant: Plant, data: Transitions
) -> tuple[dict[str, Dynamics], list[dict[str, Any]]]:
    """The methods' surrogates, and a row for each method of which every strength failed."""
    models, failures = {}, []
    for method in cell.spec.methods:
        try:
            models[method] = fit_method(cell, plant, data, method)
        except TrainingError as error:
            failures.append({"method": method, "message": str(error)})
    return models, failures


def _surrogate_rows(
    cell: ControlCell, plant: Plant, data: Transitions, models: dict[str, Dynamics]
) -> list[dict[str, Any]]:
    figures = surrogate_figures(cell, plant, data, list(models.values()))
    return [
        {"method": method, "level": model.level} | asdict(one)
        for (method, model), one in zip(models.items(), figures, strict=True)
    ]


@torch.no_grad()
def _loop_rows(cell: ControlCell, plant: Plant, models: dict[str, Dynamics]) -> list[dict[str, Any]]:
    """Closed loops under every controller, all methods in one batch; a row a method, controller and start."""
    rows = []
    stack = stack_dynamics(list(models.values())) if models else None
    for controller in cell.spec.controllers:
        num_starts = cell.spec.starts_of(controller)
        oracle = close_loops(cell, plant, PlantModel(plant), controller)
        found = {ORACLE: LoopFigures.of(plant, oracle, oracle).rows(num_starts)[0]}
        seconds = {ORACLE: float(oracle.seconds.median()) / num_starts}
        if stack is not None:
            run = close_loops(cell, plant, stack, controller)
            figures = LoopFigures.of(plant, run, oracle).rows(num_starts)
            found |= dict(zip(models, figures, strict=True))
            each = float(run.seconds.median()) / len(run.cost)
            seconds |= dict.fromkeys(models, each)
        rows += [
            {"method": method, "controller": controller, "seconds_step": seconds[method]} | row
            for method, starts in found.items()
            for row in starts
        ]
    return rows

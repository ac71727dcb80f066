"""Ensembles of many strengths on one data set: their diagnostics, and what their first proposals hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from surrogate_problems.problem import Problem
from torch import Tensor

from surrogate_opt.data import fit_linear
from surrogate_opt.diagnostics import degeneracy, gradient_field, sensitivity, sobol_points
from surrogate_opt.errors import TrainingError
from surrogate_opt.loops.bayesian import BayesianLoop
from surrogate_opt.study.bayesian.problems import PROBLEMS
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.ghosts.control_cells import LEVELS
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key, mixed_seed

CELL_VERSION = 1
FAMILY: Final = "ghosts-bayesian"
_NUM_POINTS: Final = 1024


class BayesianGhostSpec(BaseModel):
    """What is searched.

    Attributes:
        problems: of the study of Bayesian optimization, by name.
        instances: of each, from 200.
        num_points: Sobol points that come first.
        proposals: that each model then makes, with a refit before each.
        dim: inputs of the families.
        levels: strengths by method.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    problems: tuple[str, ...] = ("smooth", "sparse", "entangled", "hartmann6")
    instances: Positive = 10
    num_points: Positive = 30
    proposals: Positive = 3
    dim: Positive = 10
    levels: dict[str, Annotated[tuple[float, ...], Field(min_length=1)]] = LEVELS

    def cells(self, folder: Path) -> list[BayesianGhostCell]:
        """A cell for each instance; no data are read from the folder."""
        return [
            BayesianGhostCell(spec=self, problem=problem, instance=200 + number)
            for number in range(self.instances)
            for problem in self.problems
        ]


class BayesianGhostCell(EvidenceCell):
    """All strengths on one data set."""

    family: ClassVar[str] = FAMILY
    spec: BayesianGhostSpec
    problem: str

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.problem} {self.instance}"

    @property
    def seed(self) -> int:
        """Of points, folds, members and acquisitions."""
        return mixed_seed(self.instance, *self.problem.encode())

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        settings = self.spec.model_dump(mode="json", exclude={"problems", "instances"})
        return hashed_key(FAMILY, CELL_VERSION, settings, self.problem, self.instance)


def run_bayesian_ghost_cell(cell: BayesianGhostCell) -> StoredOutcome:
    """Fit every strength, diagnose it, and let it propose."""
    spec = cell.spec
    problem = PROBLEMS[cell.problem].make(cell.instance, spec.dim)
    x = sobol_points(problem.bounds, spec.num_points, cell.seed)
    y = problem.value(x)
    place = {"problem": cell.problem, "instance": cell.instance, "num_train": spec.num_points}
    rows: list[dict[str, Any]] = []
    for method, levels in spec.levels.items():
        for level in levels:
            loop = BayesianLoop(
                problem.bounds,
                model="ensemble",
                penalty=method,
                strength=level,
                num_initial=spec.num_points,
                seed=cell.seed,
            )
            loop.tell(x, y)
            row = place | {"method": method, "level": level, "failed": False}
            try:
                row |= _diagnostics(loop, problem, x, y, cell.seed) | _proposals(
                    loop, problem, spec.proposals
                )
            except TrainingError:
                continue  # what cannot be trained proposes nothing
            rows.append(row)
    return StoredOutcome(truth={}, rows=rows, arrays={})


def _diagnostics(
    loop: BayesianLoop, problem: Problem, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], seed: int
) -> dict[str, Any]:
    """Of the model of all evaluations so far; gradients by central differences."""

    def predict(at: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        return loop.predict(at)[0]

    points = sobol_points(problem.bounds, _NUM_POINTS, seed)
    mean, deviation = loop.predict(points.numpy())
    steep = sensitivity(predict, points, bounds=problem.bounds, scale=problem.output_std, seed=seed)
    field = gradient_field(predict, problem, bounds=problem.bounds, num_points=_NUM_POINTS, seed=seed)
    plane = fit_linear(x, y).predict(points)
    known = degeneracy(problem.value(points), torch.from_numpy(mean), plane, gain=field.gain)
    return {
        "kind": known.kind,
        "tail_ratio": steep.tail_ratio,
        "p99": steep.p99,
        "max": steep.max,
        "mean": steep.mean,
        "gradient_error": field.gradient_error,
        "disagreement": float((deviation**2).mean() ** 0.5) / problem.output_std,
        "test_mse": 1.0 - known.r2,
    }


def _proposals(loop: BayesianLoop, problem: Problem, count: int) -> dict[str, float]:
    """Mean optimism of the proposals and the best value's regret, in standard deviations of the truth."""
    for _ in range(count):
        proposed = torch.from_numpy(loop.ask())
        loop.tell(proposed, problem.value(proposed))
    last = loop.history.iloc[-count:]
    optimism = (last["y"] - last["predicted_mean"]).mean()
    best = float(last["y"].min())
    return {
        "log_ei.optimism": float(optimism) / problem.output_std,
        "log_ei.regret": (best - float(problem.optimal_value)) / problem.output_std,
    }

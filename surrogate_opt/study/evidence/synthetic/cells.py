"""Single networks under DREG on the five families, at the paper's sizes, strengths and one split.

What the paper leaves open is taken so: targets of unit standard deviation, inputs in [-1, 1]^10, noise of 0.1
standard deviations on training and validation targets and none on the test's, this project's recipe
(one-cycle AdamW), early stopping on the validation rows, gradients in these coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from surrogate_problems.families import FAMILIES, Family
from torch import Tensor

from surrogate_opt.data import Scaling, fit_linear
from surrogate_opt.diagnostics.sensitivity import LINEARITY_STEP, unit_directions
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.penalties.dreg import mean_dreg_penalty
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key, mixed_seed
from surrogate_opt.training.trainer import Members, TrainingConfig, TrainingResult, train

CELL_VERSION = 1
NAME: Final = "synthetic-families"
DIM: Final = 10
DIFFICULTY: Final = {"oscillatory": 5.0}
"""Where the paper states another one than the family's default."""


class SyntheticSpec(BaseModel):
    """What is trained; sizes and strengths are the paper's.

    Attributes:
        families: by name.
        activations: of the hidden layers.
        strengths: of DREG, weak to strong, none first.
        instances: of each family: truths and data.
        seeds: of initial weights and minibatches, on each.
        num_train: rows to train on.
        num_valid: rows that stop the training.
        num_test: rows of the figures.
        hidden: widths.
        epochs: passes over the training rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    families: tuple[str, ...] = tuple(FAMILIES)
    activations: tuple[str, ...] = ("relu", "poly")
    strengths: tuple[float, ...] = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    instances: Positive = 10
    seeds: Positive = 3
    num_train: Positive = 2000
    num_valid: Positive = 500
    num_test: Positive = 1000
    noise_std: Annotated[float, Field(ge=0.0)] = 0.1
    hidden: tuple[Positive, ...] = (64, 64)
    epochs: Positive = 100

    def cells(self, folder: Path) -> list[SyntheticCell]:
        """A cell for each family, instance and activation; no data are read from the folder."""
        return [
            SyntheticCell(spec=self, problem=family, activation=activation, instance=100 + number)
            for number in range(self.instances)
            for family in self.families
            for activation in self.activations
        ]


class SyntheticCell(EvidenceCell):
    """All strengths and seeds on one instance, as members of a stack."""

    family: ClassVar[str] = NAME
    spec: SyntheticSpec
    problem: str
    activation: str

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.problem} {self.instance}, {self.activation}"

    @property
    def seed(self) -> int:
        """Of data and members, the same for both activations."""
        return mixed_seed(self.instance, *self.problem.encode())

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        settings = self.spec.model_dump(mode="json", exclude={"families", "activations", "instances"})
        return hashed_key(NAME, CELL_VERSION, settings, self.problem, self.activation, self.instance)


@dataclass(frozen=True, kw_only=True)
class FamilyNetworks:
    """What a cell trains, a network a strength and seed.

    Attributes:
        truth: the instance.
        x: training rows, raw units.
        y: their targets.
        scaling: of the networks.
        places: strength and seed of every member.
        result: the trained stack.
    """

    truth: Family
    x: Float[Tensor, "n d"]
    y: Float[Tensor, " n"]
    scaling: Scaling
    places: list[tuple[float, int]]
    result: TrainingResult


def train_networks(cell: SyntheticCell) -> FamilyNetworks:
    """Train every strength from every seed on one split."""
    spec = cell.spec
    truth = FAMILIES[cell.problem](dim=DIM, seed=cell.instance, difficulty=DIFFICULTY.get(cell.problem))
    x, y = truth.sample(spec.num_train + spec.num_valid, noise_std=spec.noise_std, seed=cell.seed)
    scaling = Scaling.from_data(truth.bounds, y[: spec.num_train])
    places = [(strength, seed) for strength in spec.strengths for seed in range(spec.seeds)]
    rows = torch.arange(len(y)).expand(len(places), -1)
    members = Members(
        x=scaling.unit(x),
        y=scaling.unit_target(y),
        train_rows=rows[:, : spec.num_train],
        stop_rows=rows[:, spec.num_train :],
        strengths=[Strength(dreg=strength) for strength, _ in places],
        seeds=[mixed_seed(cell.seed, 2, seed) for _, seed in places],
    )
    config = TrainingConfig(hidden=spec.hidden, activation=cell.activation, epochs=spec.epochs)
    return FamilyNetworks(
        truth=truth,
        x=x[: spec.num_train],
        y=y[: spec.num_train],
        scaling=scaling,
        places=places,
        result=train(members, config),
    )


def run_synthetic_cell(cell: SyntheticCell) -> StoredOutcome:
    """Train every strength from every seed on one split, and measure on the test rows."""
    trained = train_networks(cell)
    scaling, result = trained.scaling, trained.result
    x_test, y_test = trained.truth.sample(cell.spec.num_test, seed=mixed_seed(cell.seed, 1))
    test, target = scaling.unit(x_test), scaling.unit_target(y_test)
    figures = _figures(result.stack, test, target)
    plane = fit_linear(scaling.unit(trained.x), scaling.unit_target(trained.y)).predict(test)
    variance = float(target.var(correction=0))
    shared = {
        "problem": cell.problem,
        "activation": cell.activation,
        "instance": cell.instance,
        "linear_r2": 1.0 - float((plane - target).square().mean()) / variance,
    }
    found = [
        shared
        | {"strength": strength, "seed": seed, "failed": bool(result.failed[member])}
        | {"valid_mse": float(result.stop_error[result.best_check[member], member])}
        | {name: float(values[member]) for name, values in figures.items()}
        | {"r2": 1.0 - float(figures["test_mse"][member]) / variance}
        for member, (strength, seed) in enumerate(trained.places)
    ]
    return StoredOutcome(truth={}, rows=found, arrays={})


@torch.no_grad()
def _figures(
    stack: StackedMLP, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]
) -> dict[str, Float[Tensor, " members"]]:
    """The paper's figures of every member over the test rows, in training coordinates."""
    values, gradients = stack.value_and_gradient(x[None])
    norms = gradients.norm(dim=-1)
    move = LINEARITY_STEP * unit_directions(len(x), x.shape[1], seed=0)
    remainder = stack.forward((x + move)[None])[..., 0] - values - (gradients * move).sum(-1)
    return {
        "mean": norms.mean(1),
        "p90": norms.quantile(0.9, dim=1),
        "p99": norms.quantile(0.99, dim=1),
        "max": norms.amax(1),
        "proxy": mean_dreg_penalty(stack, x[None]),
        "linearity_error": remainder.abs().mean(1),
        "test_mse": (values - y).square().mean(1),
    }

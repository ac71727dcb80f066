"""Networks under SpectReg on 100 noisy points of sin(5x).

The paper states no optimizer for this experiment; taken here is its MNIST one (Adam, batches of 50, 10,000
minibatches, the rate divided by 10 at 50% and 75% of them) from a rate of 1e-3, without weight decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key, mixed_seed
from surrogate_opt.training.optimizer import StackAdamW
from surrogate_opt.training.step import ClosedFormGradient, Controls

CELL_VERSION = 3
NAME: Final = "sine"
FREQUENCY: Final = 5.0
NUM_GRID: Final = 900
TWIN_DISTANCE: Final = 0.001
"""Of the second point with the same target that SIN2 has for each."""

MILESTONES: Final = (0.5, 0.75)


class SineSpec(BaseModel):
    """What is trained; the defaults are the paper's.

    Attributes:
        weights: of SpectReg, none first: Table 7's, and two below its least, where the optimum could lie.
        runs: each with training points, noise, initial weights and minibatches of its own.
        num_train: points, uniform on [-1, 1].
        noise_std: of their targets.
        hidden: widths.
        minibatches: steps.
        batch_size: points a step.
        learning_rate: Adam's, at first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weights: tuple[float, ...] = (0.0, 1e-4, 3e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    runs: Positive = 10
    num_train: Positive = 100
    noise_std: Annotated[float, Field(ge=0.0)] = 0.1
    hidden: tuple[Positive, ...] = (64, 64, 64, 64, 64)
    minibatches: Positive = 10_000
    batch_size: Positive = 50
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3

    def cells(self, folder: Path) -> list[SineCell]:
        """A cell for each run; no data are read from the folder."""
        return [SineCell(spec=self, instance=run) for run in range(self.runs)]


class SineCell(EvidenceCell):
    """All weights on one training set, as members of a stack."""

    family: ClassVar[str] = NAME
    spec: SineSpec

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"run {self.instance}"

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        return hashed_key(
            NAME, CELL_VERSION, self.spec.model_dump(mode="json", exclude={"runs"}), self.instance
        )


def sine(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The truth."""
    return torch.sin(FREQUENCY * x)


def training_points(cell: SineCell) -> tuple[Float[Tensor, "n 1"], Float[Tensor, "n 1"]]:
    """The run's points and noisy targets."""
    generator = torch.Generator().manual_seed(mixed_seed(cell.instance, 1))
    shape = (cell.spec.num_train, 1)
    x = 2.0 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1.0
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return x, sine(x) + cell.spec.noise_std * noise


def grid() -> Float[Tensor, "n 1"]:
    """Where fits are compared with the truth."""
    return torch.linspace(-1.0, 1.0, NUM_GRID, dtype=torch.float64)[:, None]


def run_sine_cell(cell: SineCell) -> StoredOutcome:
    """Train every weight on the run's points, and measure on the grid; the first run keeps its curves.

    One more network, without a penalty, learns every point twice: SIN2, which only flat spots fit.
    """
    x, y = training_points(cell)
    stack = _train(cell, x, y, cell.spec.weights).to(torch.float64)
    places = grid()
    values, slopes = stack.value_and_gradient(places[None])
    at_points = stack.value_and_gradient(x[None])[1].abs().mean((1, 2))
    errors = (values - sine(places)[:, 0]).square().mean(1)
    sizes = slopes[..., 0].abs()
    rows: list[dict[str, Any]] = [
        {
            "run": cell.instance,
            "weight": weight,
            "mse": float(errors[member]),
            "slope_mean": float(sizes[member].mean()),
            "slope_max": float(sizes[member].max()),
            "slope_at_points": float(at_points[member]),
            "slope_between_twins": _slope_between_twins(cell, x, y) if weight == 0.0 else None,
            "curve": values[member].tolist() if cell.instance == 0 else None,
        }
        for member, weight in enumerate(cell.spec.weights)
    ]
    return StoredOutcome(truth={}, rows=rows, arrays={})


@torch.no_grad()
def _slope_between_twins(cell: SineCell, x: Float[Tensor, "n 1"], y: Float[Tensor, "n 1"]) -> float:
    """Mean slope between every point and its twin, of a network that has learned both."""
    twins = x + TWIN_DISTANCE
    stack = _train(cell, torch.cat([x, twins]), torch.cat([y, y]), (0.0,)).to(torch.float64)
    rise = stack.forward(twins[None]) - stack.forward(x[None])
    return float(rise.abs().mean()) / TWIN_DISTANCE


def _train(
    cell: SineCell, x: Float[Tensor, "n 1"], y: Float[Tensor, "n 1"], weights: Sequence[float]
) -> StackedMLP:
    """A network for each weight, all from the same start and on the same minibatches."""
    spec, seed = cell.spec, mixed_seed(cell.instance, 2)
    strengths = [Strength(spectreg=weight) for weight in weights]
    seeds = [seed] * len(strengths)
    stack = StackedMLP((1, *spec.hidden, 1), len(strengths), "relu").initialize(seeds)
    x, y = x.to(stack.flat), y.to(stack.flat)
    gradient = ClosedFormGradient(stack, Controls.of(strengths, stack.flat, seeds))
    optimizer = StackAdamW(
        stack, gradient.flat, strengths, learning_rate=spec.learning_rate, weight_decay=0.0
    )
    generator = torch.Generator().manual_seed(seed)
    order: list[Tensor] = []
    for step in range(spec.minibatches):
        if not order:
            order = list(torch.split(torch.randperm(len(x), generator=generator), spec.batch_size))
        rows = order.pop()
        gradient(x[rows].expand(len(strengths), -1, -1), y[rows].expand(len(strengths), -1, -1))
        passed = sum(step >= share * spec.minibatches for share in MILESTONES)
        optimizer.step(spec.learning_rate * 0.1**passed)
    return stack

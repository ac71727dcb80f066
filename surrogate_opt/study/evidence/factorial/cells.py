"""Every regularizer at every strength on one task, activation, seed and regime, as members of one comparison.

The abstract states neither activations, data sets, regimes nor the rivals' strengths; ours are in the code
below. "Fixed" is one strength for all tasks, as the abstract has it for DREG; a study with tuned rivals gives
every method a grid of three, from which its strength is chosen by accuracy on rows held out of training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field

from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.factorial.tasks import TASKS, Task, load_task
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key, mixed_seed
from surrogate_opt.training.classification import ClassifierRecipe, train_classifiers

CELL_VERSION = 2
NAME: Final = "general-purpose"
ACTIVATIONS: Final = ("relu", "tanh", "gelu", "silu")

Regime = Literal["clean", "label noise", "input noise", "small"]

LABEL_NOISE: Final = 0.3
"""Share of the training labels that are drawn anew, uniformly."""

INPUT_NOISE: Final = 1.0
"""Standard deviation of what is added to scaled inputs, in training and test."""

SMALL_ROWS: Final = 500
DEV_SHARE: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Regularizer:
    """One of the six.

    Attributes:
        levels: its strengths, weak to strong.
        fixed: that which is used on all tasks alike.
        at: a strength as the stack takes it.
    """

    levels: tuple[float, ...]
    fixed: float
    at: Callable[[float], Strength]


_PLAIN: Final = Strength(weight_decay=0.0)  # AdamW without decay, but for weight decay itself

REGULARIZERS: Final = {
    "none": Regularizer(levels=(0.0,), fixed=0.0, at=lambda _: _PLAIN),
    "weight_decay": Regularizer(
        levels=(1e-2, 1e-1, 1.0), fixed=1e-2, at=lambda level: replace(_PLAIN, weight_decay=level)
    ),
    "dropout": Regularizer(
        levels=(0.1, 0.2, 0.5), fixed=0.2, at=lambda level: replace(_PLAIN, dropout=level)
    ),
    "igp": Regularizer(
        levels=(10.0**-2.5, 0.1, 1.0), fixed=10.0**-2.5, at=lambda level: replace(_PLAIN, datagrad=level)
    ),
    "sn": Regularizer(
        levels=(4.0, 2.0, 1.0),
        fixed=1.0,
        at=lambda level: replace(_PLAIN, spectral_bound=level, spectral_exact=True),
    ),
    "dreg": Regularizer(
        levels=(10.0**-3.5, 10.0**-2.5, 10.0**-1.5),
        fixed=10.0**-2.5,
        at=lambda level: replace(_PLAIN, dreg=level),
    ),
}


class FactorialSpec(BaseModel):
    """What is trained.

    Attributes:
        tasks: by name.
        activations: of the hidden layers.
        regimes: what is done to the data.
        seeds: of rows, noise, initial weights and minibatches, from 0.
        max_rows: of training and held-out rows together.
        hidden: widths.
        epochs: passes over the training rows.
        tuned: whether every regularizer is trained at its whole grid, and not at its fixed strength alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tasks: tuple[str, ...] = TASKS
    activations: tuple[str, ...] = ACTIVATIONS
    regimes: tuple[Regime, ...] = ("clean", "label noise", "input noise", "small")
    seeds: Positive = 5
    max_rows: Annotated[int, Field(ge=100)] = 10_000
    hidden: tuple[Positive, ...] = (64, 32)
    epochs: Positive = 8
    tuned: bool = False

    def cells(self, folder: Path) -> list[FactorialCell]:
        """A cell for each task, regime and seed; all activations share its data."""
        return [
            FactorialCell(spec=self, task=task, regime=regime, instance=seed, folder=folder)
            for task in self.tasks
            for regime in self.regimes
            for seed in range(self.seeds)
        ]


class FactorialCell(EvidenceCell):
    """All activations and regularizers on one data set."""

    family: ClassVar[str] = NAME
    spec: FactorialSpec
    task: str
    regime: Regime
    folder: Path

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.task}, {self.regime}, seed {self.instance}"

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        settings = self.spec.model_dump(
            mode="json", include={"activations", "max_rows", "hidden", "epochs", "tuned"}
        )
        return hashed_key(NAME, CELL_VERSION, settings, self.task, self.regime, self.instance)


def run_factorial_cell(cell: FactorialCell) -> StoredOutcome:
    """Train every regularizer at every strength under every activation, and count right answers."""
    spec = cell.spec
    max_rows = min(spec.max_rows, SMALL_ROWS) if cell.regime == "small" else spec.max_rows
    clean = load_task(cell.task, cell.folder, max_rows=max_rows, seed=cell.instance)
    task = disturbed(clean, cell.regime, cell.instance)
    num_dev = max(1, round(DEV_SHARE * len(task.y)))
    x, y, x_test, y_test = (torch.from_numpy(part) for part in (task.x, task.y, task.x_test, task.y_test))
    members = {
        (name, level): one.at(level)
        for name, one in REGULARIZERS.items()
        for level in one.levels
        if spec.tuned or level == one.fixed
    }
    rows = []
    for activation in spec.activations:
        stack = train_classifiers(
            x[num_dev:],
            y[num_dev:],
            list(members.values()),
            ClassifierRecipe(hidden=spec.hidden, activation=activation, epochs=spec.epochs),
            num_classes=clean.num_classes,
            seed=mixed_seed(cell.instance),
        )
        dev, test = (accuracies(stack, *part) for part in ((x[:num_dev], y[:num_dev]), (x_test, y_test)))
        rows += [
            {"task": cell.task, "regime": cell.regime, "seed": cell.instance, "activation": activation}
            | {"method": name, "level": level, "fixed": level == REGULARIZERS[name].fixed}
            | {"dev_accuracy": 100.0 * float(dev[member]), "accuracy": 100.0 * float(test[member])}
            for member, (name, level) in enumerate(members)
        ]
    return StoredOutcome(truth={}, rows=rows, arrays={})


def disturbed(task: Task, regime: Regime, seed: int) -> Task:
    """The task with what the regime does to its labels or inputs; test labels stay as they are."""
    generator = np.random.default_rng([seed, 1])
    y, x, x_test = task.y, task.x, task.x_test
    if regime == "label noise":
        drawn = generator.random(len(y)) < LABEL_NOISE
        y = np.where(drawn, generator.integers(task.num_classes, size=len(y)), y)
    if regime == "input noise":
        x, x_test = (
            part + INPUT_NOISE * generator.standard_normal(part.shape, dtype=np.float32)
            for part in (x, x_test)
        )
    return Task(x=x, y=y, x_test=x_test, y_test=task.y_test)


@torch.no_grad()
def accuracies(
    stack: StackedMLP, x: Float[torch.Tensor, "n d"], y: torch.Tensor
) -> Float[torch.Tensor, " members"]:
    """Share of right answers of every member; NaN where a logit is none, since the training has failed."""
    logits = stack.forward(x[None])
    right = (logits.argmax(-1) == y).double().mean(1)
    return torch.where(logits.isfinite().all(-1).all(-1), right, torch.nan)

"""CIFAR-10 classifiers on 2,000 images under gradient regularization: Table 3 of its paper.

The training images of a run are drawn from the first of CIFAR-10's five batches. The regularizers have the
weights that the paper found best, so nothing is tuned and no development set is held out. There is no data
augmentation, which the paper names for its full training set alone. Pixels have zero mean and unit deviation
by channel, which the paper does not state.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, UInt8
from pydantic import BaseModel, ConfigDict, Field
from surrogate_problems.datasets import load_images
from torch import Tensor

from surrogate_opt.study.evidence import experiment
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.claim import Finding, named_claims, named_findings
from surrogate_opt.study.evidence.experiment import Experiment, Preset, means_over_seeds
from surrogate_opt.study.evidence.resnet import ResidualNetwork
from surrogate_opt.study.evidence.small_mnist.choice import NAMES
from surrogate_opt.study.evidence.small_mnist.leads import Runs, ahead
from surrogate_opt.study.evidence.small_mnist.regularization import regularized_loss
from surrogate_opt.study.evidence.small_mnist.training import accuracy, generator_of, initialize, train
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key, mixed_seed
from surrogate_opt.study.text_tables import MISSING

NAME: Final = "small-cifar"
CELL_VERSION = 1
COLUMNS = ("test", "seconds")
GROUPS = ("method", "weight")
Method = Literal["none", "spectreg", "datagrad", "confidence"]

WEIGHTS: Final[dict[Method, float]] = {"none": 0.0, "spectreg": 0.003, "datagrad": 1.0, "confidence": 0.003}
"""The paper's best."""

_PIXEL_MEAN, _PIXEL_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_SUBSET, _INITIAL, _ORDER, _PROJECTIONS = range(4)


class SmallCifarSpec(BaseModel):
    """What is trained and how; the defaults are the paper's.

    Attributes:
        runs: of every method, each on other images.
        size: training images.
        filters: of the network's levels.
        blocks: residual blocks a level.
        minibatches: steps.
        batch_size: images a step.
        learning_rate: of SGD with Nesterov's momentum, divided by 10 after 50% and 75% of the steps.
        momentum: its.
        weight_decay: L2.
        test_size: test images, the first ones.
        device: where it runs; a CPU would take months.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    runs: Positive = 10
    size: Positive = 2000
    filters: tuple[Positive, ...] = (48, 96, 192)
    blocks: Positive = 3
    minibatches: Positive = 50_000
    batch_size: Positive = 128
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.1
    momentum: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.003
    test_size: Positive = 10_000
    device: str = "cpu"

    def cells(self, folder: Path) -> list[SmallCifarCell]:
        """A cell for each method and run; the slowest methods first."""
        methods: tuple[Method, ...] = ("spectreg", "datagrad", "confidence", "none")
        return [
            SmallCifarCell(spec=self, method=method, instance=run, folder=folder)
            for method in methods
            for run in range(self.runs)
        ]


class SmallCifarCell(EvidenceCell):
    """One training. Runs differ in the images and all else that chance decides, methods in neither."""

    family: ClassVar[str] = NAME
    spec: SmallCifarSpec
    method: Method
    folder: Path

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.method}, run {self.instance}"

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        settings = self.spec.model_dump(mode="json", exclude={"runs", "device"})
        return hashed_key(NAME, CELL_VERSION, settings, self.method, WEIGHTS[self.method], self.instance)


def run_small_cifar_cell(cell: SmallCifarCell) -> StoredOutcome:
    """Train, and measure the accuracy on the test images, in percent."""
    spec, images, device = cell.spec, load_images("cifar10", cell.folder), torch.device(cell.spec.device)
    begin = time.perf_counter()
    order = torch.randperm(len(images.x_train), generator=generator_of(cell.instance, _SUBSET))
    rows = order[: spec.size].numpy()
    network = ResidualNetwork(spec.filters, spec.blocks)
    draw = partial(torch.nn.init.kaiming_normal_, nonlinearity="relu")
    initialize(network, draw, generator_of(cell.instance, _INITIAL))
    network.to(device)
    penalties: dict[str, float] = {} if cell.method == "none" else {cell.method: WEIGHTS[cell.method]}
    train(
        network,
        regularized_loss(network, penalties, seed=mixed_seed(cell.instance, _PROJECTIONS)),
        torch.optim.SGD(
            network.parameters(),
            lr=spec.learning_rate,
            momentum=spec.momentum,
            nesterov=True,
            weight_decay=spec.weight_decay,
        ),
        *_tensors(images.x_train[rows], images.y_train[rows], device),
        minibatches=spec.minibatches,
        batch_size=spec.batch_size,
        generator=generator_of(cell.instance, _ORDER),
    )
    test = _tensors(images.x_test[: spec.test_size], images.y_test[: spec.test_size], device)
    row = {"method": cell.method, "weight": WEIGHTS[cell.method], "run": cell.instance}
    figures = {"test": accuracy(network, *test), "seconds": time.perf_counter() - begin}
    return StoredOutcome(truth={}, rows=[row | figures], arrays={})


def _tensors(
    images: UInt8[np.ndarray, "n 3 32 32"], labels: Int[np.ndarray, " n"], device: torch.device
) -> tuple[Float[Tensor, "n 3 32 32"], Int[Tensor, " n"]]:
    mean, deviation = (torch.tensor(channels)[:, None, None] for channels in (_PIXEL_MEAN, _PIXEL_STD))
    x = (torch.from_numpy(images).float() / 255.0 - mean) / deviation
    return x.to(device), torch.from_numpy(labels).to(device)


TITLE: Final = "CIFAR-10 classifiers on 2,000 images (gradient regularization paper, Table 3)"
PROTOCOL: Final = (
    "A residual network of 2.4 million parameters, 50,000 steps of SGD with Nesterov momentum, batches of "
    "128, weight decay 0.003, the paper's best weights; 10 runs, each on other images of the first training "
    "batch; pairs share images, initial weights and minibatches. Asks for a GPU."
)

PAPER: Final = SmallCifarSpec()
PAPER_CUTS: Final = (
    "the paper's weights, none tuned, whose units (inputs, projections, losses) it leaves open"
)
QUICK: Final = SmallCifarSpec(filters=(8, 16, 32), blocks=1, minibatches=400, runs=6)
QUICK_CUTS: Final = f"{PAPER_CUTS}; a network of 20,000 parameters, 400 minibatches, 6 runs"
SMOKE: Final = SmallCifarSpec(filters=(4, 8), blocks=1, minibatches=4, runs=2, test_size=200)
SMOKE_CUTS: Final = f"{PAPER_CUTS}; a tiny network, 4 minibatches, 2 runs, 200 test images"

CLAIMS: Final = named_claims(
    NAME,
    (
        (
            "all-help",
            "SpectReg, DataGrad and the confidence penalty (CP) each improve on none",
            "59.24, 57.45, 58.30; 55.63 (Table 3)",
        ),
        ("spectreg", "of these three SpectReg is the best", "59.24; 57.45, 58.30 (Table 3)"),
        ("datagrad", "of these three DataGrad is the worst", "57.45; 59.24, 58.30 (Table 3)"),
    ),
)


def find_small_cifar(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims by the rows of all cells; they are not run where a method's rows are missing."""
    by_method = {str(method): own.sort_values("run") for method, own in table.groupby("method")}
    if any(method not in by_method for method in WEIGHTS):
        return [Finding(claim=claim.name, ours=MISSING, verdict="not run") for claim in CLAIMS]
    none, spectreg, datagrad, confidence = (
        Runs(name=NAMES[method], accuracies=by_method[method]["test"].to_numpy()) for method in WEIGHTS
    )
    return named_findings(
        NAME,
        {
            "all-help": ahead([spectreg, datagrad, confidence], [none]),
            "spectreg": ahead([spectreg], [datagrad, confidence]),
            "datagrad": ahead([spectreg, confidence], [datagrad]),
        },
    )


SMALL_CIFAR: Final = Experiment(
    name=NAME,
    title=TITLE,
    protocol=PROTOCOL,
    claims=CLAIMS,
    presets={
        experiment.PROTOCOL: Preset(cells=PAPER.cells, cuts=PAPER_CUTS),
        experiment.QUICK: Preset(cells=QUICK.cells, cuts=QUICK_CUTS),
        "smoke": Preset(cells=SMOKE.cells, cuts=SMOKE_CUTS),
    },
    compute=run_small_cifar_cell,
    find=find_small_cifar,
    summarize=partial(means_over_seeds, groups=GROUPS, columns=COLUMNS, digits=2),
    check=partial(load_images, "cifar10"),
)

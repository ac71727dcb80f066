"""One training: a network, what regularizes it, how many images, which run; its accuracies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from pydantic import BaseModel, ConfigDict, Field
from surrogate_problems.datasets import load_images
from torch import Tensor

from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.mnist.sensitivity import normalized_images
from surrogate_opt.study.evidence.small_mnist.lenet import LeNet5
from surrogate_opt.study.evidence.small_mnist.regularization import regularized_loss
from surrogate_opt.study.evidence.small_mnist.training import accuracy, generator_of, initialize, train
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key, mixed_seed

NAME: Final = "small-mnist"
CELL_VERSION = 1
TABLE_SIZE: Final = 2000
DECAY: Final = 0.0005
COLUMNS: Final = ("development", "test", "seconds")

Network = Literal["plain", "dropout", "batchnorm"]
Method = Literal["none", "confidence", "spectreg", "datagrad", "jacreg", "frobreg", "onehot", "random_onehot"]
NotNegative = Annotated[float, Field(ge=0.0)]

_SUBSET, _WEIGHTS, _ORDER, _DROPOUT, _PROJECTIONS = range(5)
"""What a run's seeds are for."""


class Recipe(BaseModel):
    """How every network is trained; the defaults are the paper's, the learning rate apart.

    Attributes:
        minibatches: steps.
        batch_size: images a step.
        learning_rate: Adam's, divided by 10 after 50% and 75% of the steps. The paper's 0.1 is taken for a
            typo: the network with dropout stays at chance with it.
        dropout: the rate, where there is dropout.
        development: training images set aside, the last ones.
        device: where it runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    minibatches: Positive = 10_000
    batch_size: Positive = 50
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    development: Positive = 10_000
    device: str = "cpu"


class Setting(BaseModel):
    """What is trained, and on how many images.

    Attributes:
        network: LeNet-5, bare, with dropout or with batch normalization.
        weight_decay: Adam's, L2.
        method: the regularizer whose weight is tuned.
        weight: its weight; 0 for none.
        confidence: weight of a confidence penalty beside it.
        size: training images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    network: Network = "dropout"
    weight_decay: NotNegative = DECAY
    method: Method = "none"
    weight: NotNegative = 0.0
    confidence: NotNegative = 0.0
    size: Positive = TABLE_SIZE

    @property
    def penalties(self) -> dict[str, float]:
        """Weights by the regularizers' names."""
        beside = {"confidence": self.confidence} if self.confidence else {}
        return beside | ({} if self.method == "none" else {self.method: self.weight})


class SmallMnistCell(EvidenceCell):
    """One training. Runs differ in the images and all else that chance decides, methods in neither."""

    family: ClassVar[str] = NAME
    spec: Recipe
    setting: Setting
    folder: Path

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        own = self.setting
        beside = f" beside confidence {own.confidence}" if own.confidence else ""
        return (
            f"{own.network}, decay {own.weight_decay}, {own.method} {own.weight}{beside}, {own.size} images, "
            f"run {self.instance}"
        )

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        recipe = self.spec.model_dump(mode="json", exclude={"device"})
        return hashed_key(NAME, CELL_VERSION, recipe, self.setting.model_dump(mode="json"), self.instance)


def run_small_mnist_cell(cell: SmallMnistCell) -> StoredOutcome:
    """Train; measure accuracies in percent, and the sum of squares of all parameters."""
    recipe, setting, device = cell.spec, cell.setting, torch.device(cell.spec.device)
    images = load_images("mnist", cell.folder)
    begin = time.perf_counter()
    first_aside = len(images.x_train) - recipe.development
    rows = training_rows(first_aside, setting.size, cell.instance)
    network = initial_network(cell).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
    train(
        network,
        regularized_loss(network, setting.penalties, seed=mixed_seed(cell.instance, _PROJECTIONS)),
        torch.optim.Adam(
            network.parameters(), lr=recipe.learning_rate, weight_decay=setting.weight_decay, fused=True
        ),
        *_tensors(images.x_train[rows], images.y_train[rows], device),
        minibatches=recipe.minibatches,
        batch_size=recipe.batch_size,
        generator=generator_of(cell.instance, _ORDER),
    )
    aside = _tensors(images.x_train[first_aside:], images.y_train[first_aside:], device)
    test = _tensors(images.x_test, images.y_test, device)
    figures = {
        "development": accuracy(network, *aside),
        "test": accuracy(network, *test),
        "squares": sum(float(parameter.detach().square().sum()) for parameter in network.parameters()),
        "seconds": time.perf_counter() - begin,
    }
    row = setting.model_dump() | {"run": cell.instance} | figures
    return StoredOutcome(truth={}, rows=[row], arrays={})


def training_rows(num_rows: int, size: int, run: int) -> Int[np.ndarray, " size"]:
    """The images of a run, drawn without replacement; a smaller set is a part of a larger one."""
    if size > num_rows:
        raise ValueError(f"size: expected at most {num_rows} images, came {size}")
    return torch.randperm(num_rows, generator=generator_of(run, _SUBSET))[:size].numpy()


def initial_network(cell: SmallMnistCell) -> LeNet5:
    """The network as training finds it; the same weights for all methods of a run."""
    network = LeNet5(
        dropout=cell.spec.dropout if cell.setting.network == "dropout" else 0.0,
        batch_norm=cell.setting.network == "batchnorm",
        generator=generator_of(cell.instance, _DROPOUT),
    )
    initialize(network, torch.nn.init.xavier_uniform_, generator_of(cell.instance, _WEIGHTS))
    return network


def _tensors(
    images: UInt8[np.ndarray, "n 1 28 28"], labels: Int[np.ndarray, " n"], device: torch.device
) -> tuple[Float[Tensor, "n 1 28 28"], Int[Tensor, " n"]]:
    x = normalized_images(images).view(images.shape)
    return x.to(device, memory_format=torch.channels_last), torch.from_numpy(labels).to(device)

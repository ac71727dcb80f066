"""MNIST classifiers under DREG, spectral normalization and an input-gradient penalty: DREG's Table 3.

The figure is the norm of the gradient of each test image's cross-entropy by the normalized image. The paper
does not state DREG's strength here; 10^-2.5, the fixed one of the second DREG abstract, comes close to
its rows. Its penalty on input gradients is read as that of the batch's mean loss, which is the per-image one
divided by the square of the batch size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from surrogate_problems.datasets import load_images
from torch import Tensor

from surrogate_opt.penalties import Strength
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key
from surrogate_opt.training.classification import ClassifierRecipe, classify, train_classifiers

CELL_VERSION = 2
PIXEL_MEAN, PIXEL_STD = 0.1307, 0.3081
COLUMNS = ("accuracy", "mean", "p95", "p99", "max", "p99_over_mean")


class MnistSpec(BaseModel):
    """What is trained; the defaults are the paper's.

    Attributes:
        hidden: widths of the hidden layers, network by network.
        activations: of the hidden layers.
        seeds: of initial weights and minibatches, from 0.
        rows: training images, the first ones.
        epochs: passes over them.
        strength: of DREG, and of the input-gradient penalty of the batch's mean loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    hidden: tuple[tuple[Positive, ...], ...] = ((32, 16), (128, 64), (256, 128), (512, 256))
    activations: tuple[str, ...] = ("relu", "poly")
    seeds: Positive = 3
    rows: Annotated[int, Field(ge=100, le=60000)] = 60000
    epochs: Positive = 8
    strength: Annotated[float, Field(gt=0.0)] = 10.0**-2.5

    def cells(self, folder: Path) -> list[MnistCell]:
        """A cell for each network, activation and seed; largest networks first, since they take longest."""
        return [
            MnistCell(spec=self, hidden=hidden, activation=activation, instance=seed, folder=folder)
            for hidden in sorted(self.hidden, reverse=True)
            for activation in self.activations
            for seed in range(self.seeds)
        ]


class MnistCell(EvidenceCell):
    """All methods on one network, activation and seed, as members of a stack."""

    family: ClassVar[str] = "mnist-sensitivity"
    spec: MnistSpec
    hidden: tuple[int, ...]
    activation: str
    folder: Path

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.activation} {self.hidden}, seed {self.instance}"

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        settings = self.spec.model_dump(mode="json", include={"rows", "epochs", "strength"})
        return hashed_key(self.family, CELL_VERSION, settings, self.hidden, self.activation, self.instance)


def run_mnist_cell(cell: MnistCell) -> StoredOutcome:
    """Train all methods on the same minibatches, and measure them on the test images."""
    spec, images = cell.spec, load_images("mnist", cell.folder)
    x, x_test = (normalized_images(part) for part in (images.x_train[: spec.rows], images.x_test))
    labels, test_labels = (torch.from_numpy(part) for part in (images.y_train[: spec.rows], images.y_test))
    recipe = ClassifierRecipe(
        hidden=cell.hidden, activation=cell.activation, epochs=spec.epochs, spectral_estimate=True
    )
    strengths = {
        "base": Strength(),
        "dreg": Strength(dreg=spec.strength),
        "sn": Strength(spectral_bound=1.0, spectral_exact=True),
        "igpen": Strength(datagrad=spec.strength / recipe.batch_size**2),
    }
    stack = train_classifiers(x, labels, list(strengths.values()), recipe, num_classes=10, seed=cell.instance)
    accuracy, norms = classify(stack.to(torch.float64), x_test, test_labels)
    rows = [
        {"method": name} | sensitivity_figures(float(share), gradients.numpy())
        for name, share, gradients in zip(strengths, accuracy, norms, strict=True)
    ]
    place = {"hidden": "-".join(map(str, cell.hidden)), "activation": cell.activation, "seed": cell.instance}
    return StoredOutcome(truth={}, rows=[place | row for row in rows], arrays={})


def normalized_images(images: Int[np.ndarray, "n 1 28 28"]) -> Float[Tensor, "n d"]:
    """Pixels as the networks see them, float32."""
    return (torch.from_numpy(images.reshape(len(images), -1)).float() / 255.0 - PIXEL_MEAN) / PIXEL_STD


def sensitivity_figures(accuracy: float, norms: Float[np.ndarray, " n"]) -> dict[str, float]:
    """The columns of the table, from the gradient norms over the test images."""
    p95, p99 = np.quantile(norms, [0.95, 0.99])
    mean = float(norms.mean())
    return dict(
        zip(COLUMNS, (accuracy, mean, float(p95), float(p99), float(norms.max()), p99 / mean), strict=True)
    )

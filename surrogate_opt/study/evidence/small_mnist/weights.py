"""What a regularizer's weight does to LeNet-5: accuracy and the size of the network's parameters, Figure 4.

The network is the one with dropout; the paper does not say which. Its sum of squares is of all parameters.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict
from surrogate_problems.datasets import load_images

from surrogate_opt.study.evidence import experiment
from surrogate_opt.study.evidence.experiment import Experiment, Preset
from surrogate_opt.study.evidence.small_mnist.cells import (
    DECAY,
    Method,
    NotNegative,
    Recipe,
    Setting,
    SmallMnistCell,
    run_small_mnist_cell,
)
from surrogate_opt.study.evidence.small_mnist.protocol import SmallMnistSpec, Weight
from surrogate_opt.study.evidence.small_mnist.weight_claims import (
    CLAIMS,
    NAME,
    find_weights,
    summarize_weights,
)
from surrogate_opt.study.evidence.small_mnist.weight_picture import draw_weights
from surrogate_opt.study.strict_specs import Positive

_GRIDS: Final = SmallMnistSpec()


class WeightsSpec(BaseModel):
    """What is trained.

    Attributes:
        recipe: how every network is trained.
        runs: of every training, each on other images.
        decays: weight decays under which DataGrad's weight varies; Figure 4's.
        datagrad: its weights; Figure 4's axis, from 10^-3 to 10^3.
        spectreg: weights for comparison, at the paper's usual decay.
        confidence: weights for comparison, at the paper's usual decay.
        jacreg: weights for comparison, at the paper's usual decay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    recipe: Recipe = Recipe()
    runs: Positive = 10
    decays: tuple[NotNegative, ...] = (0.0, 1e-4, DECAY, 1e-3, 5e-3, 1e-2)
    datagrad: tuple[Weight, ...] = (*_GRIDS.datagrad[1:], 300.0, 1000.0)
    spectreg: tuple[Weight, ...] = _GRIDS.spectreg
    confidence: tuple[Weight, ...] = _GRIDS.confidence
    jacreg: tuple[Weight, ...] = _GRIDS.jacreg

    def settings(self) -> list[Setting]:
        """Every training once."""
        varied = [
            Setting(weight_decay=decay, method="datagrad", weight=weight)
            for decay in self.decays
            for weight in self.datagrad
        ]
        rivals: tuple[tuple[Method, tuple[float, ...]], ...] = (
            ("spectreg", self.spectreg),
            ("confidence", self.confidence),
            ("jacreg", self.jacreg),
        )
        return varied + [Setting(method=name, weight=weight) for name, grid in rivals for weight in grid]

    def cells(self, folder: Path) -> list[SmallMnistCell]:
        """A cell for each training and run; those that the tables ask for too are the same cells."""
        return [
            SmallMnistCell(spec=self.recipe, setting=setting, instance=run, folder=folder)
            for setting in self.settings()
            for run in range(self.runs)
        ]


_PAPER: Final = WeightsSpec()
_QUICK: Final = WeightsSpec(
    recipe=Recipe(minibatches=1000),
    runs=6,
    decays=(0.0, DECAY),
    datagrad=(0.01, 0.1, 1.0, 10.0, 100.0),
    spectreg=(0.003, 0.03, 0.3),
    confidence=(0.001, 0.01, 0.1),
    jacreg=(),
)
_SMOKE: Final = WeightsSpec(
    recipe=Recipe(minibatches=5, development=500),
    runs=2,
    decays=(0.0, DECAY),
    datagrad=(0.1, 1.0, 10.0),
    spectreg=(0.03, 0.3),
    confidence=(0.01, 0.1),
    jacreg=(),
)

WEIGHTS: Final = Experiment(
    name=NAME,
    title="The weight of DataGrad on few MNIST images (gradient regularization paper, Figure 4)",
    protocol=(
        "small-mnist's LeNet-5 with dropout, 2,000 training images, 10 runs, 10,000 minibatches; DataGrad's "
        "weight from 0.001 to 1,000 under six weight decays, SpectReg's, the confidence penalty's (CP) and "
        "JacReg's over their grids; pairs share images, initial weights, minibatches and dropout."
    ),
    claims=CLAIMS,
    presets={
        experiment.PROTOCOL: Preset(cells=_PAPER.cells),
        experiment.QUICK: Preset(
            cells=_QUICK.cells,
            cuts=(
                "1,000 minibatches, 6 runs, two weight decays, five weights of DataGrad, three of others, no "
                "JacReg"
            ),
        ),
        "smoke": Preset(
            cells=_SMOKE.cells,
            cuts="5 minibatches, 2 runs, two weight decays, two or three weights each, no JacReg",
        ),
    },
    compute=run_small_mnist_cell,
    find=find_weights,
    summarize=summarize_weights,
    check=partial(load_images, "mnist"),
    draw=draw_weights,
)

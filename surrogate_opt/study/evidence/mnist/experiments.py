"""The experiments on MNIST."""

from __future__ import annotations

from functools import partial
from typing import Final

from surrogate_problems.datasets import load_images

from surrogate_opt.study.evidence.experiment import PROTOCOL, QUICK, Experiment, Preset
from surrogate_opt.study.evidence.mnist import findings, sensitivity, tuned
from surrogate_opt.study.evidence.mnist.sensitivity import MnistSpec
from surrogate_opt.study.evidence.mnist.tuned import TunedSpec

SENSITIVITY: Final = Experiment(
    name="mnist-sensitivity",
    title=findings.TITLE,
    protocol=findings.PROTOCOL,
    check=partial(load_images, "mnist"),
    claims=findings.CLAIMS,
    presets={
        PROTOCOL: Preset(cells=MnistSpec().cells),
        QUICK: Preset(
            cells=MnistSpec(hidden=((32, 16), (128, 64)), epochs=2).cells,
            cuts="the two smaller networks, two epochs",
        ),
        "smoke": Preset(
            cells=MnistSpec(hidden=((8,), (16,)), seeds=2, rows=1000, epochs=1).cells,
            cuts="two tiny networks, 1,000 images, one epoch",
        ),
    },
    compute=sensitivity.run_mnist_cell,
    find=findings.find_mnist,
    summarize=findings.summarize_mnist,
)

TUNED: Final = Experiment(
    name=tuned.NAME,
    title=tuned.TITLE,
    protocol=tuned.PROTOCOL,
    check=partial(load_images, "mnist"),
    claims=tuned.CLAIMS,
    presets={
        PROTOCOL: Preset(cells=TunedSpec().cells),
        QUICK: Preset(cells=TunedSpec(rows=10_000, seeds=3).cells, cuts="10,000 images, three seeds"),
        "smoke": Preset(
            cells=TunedSpec(hidden=(8,), rows=500, seeds=2, epochs=1).cells,
            cuts="one layer of 8, 500 images, one epoch, two seeds",
        ),
    },
    compute=tuned.run_tuned_cell,
    find=tuned.find_tuned,
    summarize=tuned.summarize_tuned,
)

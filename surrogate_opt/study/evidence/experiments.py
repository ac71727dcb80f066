"""The experiments that reproduce the papers' claims, by the names users type."""

from __future__ import annotations

from functools import partial
from typing import Final

from surrogate_problems.datasets import load_images

from surrogate_opt.study.evidence import mnist_sensitivity as mnist
from surrogate_opt.study.evidence.experiment import PROTOCOL, QUICK, Experiment, Preset, means_over_seeds
from surrogate_opt.study.evidence.factorial.experiment import FACTORIAL, FACTORIAL_TUNED
from surrogate_opt.study.evidence.ghosts.experiments import GRADIENT
from surrogate_opt.study.evidence.synthetic.experiment import SYNTHETIC

EXPERIMENTS: Final = {
    experiment.name: experiment
    for experiment in (
        GRADIENT,
        SYNTHETIC,
        FACTORIAL,
        FACTORIAL_TUNED,
        Experiment(
            name="mnist-sensitivity",
            title=mnist.TITLE,
            protocol=mnist.PROTOCOL,
            check=partial(load_images, "mnist"),
            claims=mnist.CLAIMS,
            presets={
                PROTOCOL: Preset(cells=mnist.MnistSpec().cells),
                QUICK: Preset(
                    cells=mnist.MnistSpec(hidden=((32, 16), (128, 64)), epochs=2).cells,
                    cuts="the two smaller networks, two epochs",
                ),
                "smoke": Preset(
                    cells=mnist.MnistSpec(hidden=((8,), (16,)), seeds=2, rows=1000, epochs=1).cells,
                    cuts="two tiny networks, 1,000 images, one epoch",
                ),
            },
            compute=mnist.run_mnist_cell,
            find=mnist.find_mnist,
            summarize=partial(
                means_over_seeds, groups=("hidden", "activation", "method"), columns=mnist.COLUMNS
            ),
        ),
    )
}

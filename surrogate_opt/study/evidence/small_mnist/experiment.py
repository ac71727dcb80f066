"""The experiment on few MNIST images."""

from __future__ import annotations

from functools import partial
from typing import Final

from surrogate_problems.datasets import load_images

from surrogate_opt.study.evidence import experiment
from surrogate_opt.study.evidence.experiment import Experiment, Preset
from surrogate_opt.study.evidence.small_mnist.cells import NAME, run_small_mnist_cell
from surrogate_opt.study.evidence.small_mnist.choice import summarize_small_mnist
from surrogate_opt.study.evidence.small_mnist.claims import CLAIMS, find_small_mnist
from surrogate_opt.study.evidence.small_mnist.protocol import (
    LONG,
    LONG_CUTS,
    PAPER,
    QUICK,
    QUICK_CUTS,
    SMOKE,
    SMOKE_CUTS,
)
from surrogate_opt.study.evidence.small_mnist.sizes_picture import draw_sizes

TITLE: Final = "MNIST classifiers on few images (gradient regularization paper, Tables 1, 2, 4, 6, Figure 2)"
PROTOCOL: Final = (
    "LeNet-5, 61,706 parameters, 2,000 training images (Figure 2: 500 to 20,000), 10 runs, each on other "
    "images; 10,000 minibatches of 50, Adam from 1e-3 (the paper says 0.1), weights chosen on 10,000 "
    "development images; pairs share images, initial weights, minibatches and dropout. How the paper is read "
    "where it leaves something open is said in small_mnist/protocol.py."
)

SMALL_MNIST: Final = Experiment(
    name=NAME,
    title=TITLE,
    protocol=PROTOCOL,
    claims=CLAIMS,
    presets={
        experiment.PROTOCOL: Preset(cells=PAPER.cells),
        experiment.LONG: Preset(cells=LONG.cells, cuts=LONG_CUTS),
        experiment.QUICK: Preset(cells=QUICK.cells, cuts=QUICK_CUTS),
        "smoke": Preset(cells=SMOKE.cells, cuts=SMOKE_CUTS),
    },
    compute=run_small_mnist_cell,
    find=find_small_mnist,
    summarize=summarize_small_mnist,
    check=partial(load_images, "mnist"),
    draw=draw_sizes,
)

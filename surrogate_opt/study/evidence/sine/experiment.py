"""The experiment on the sine."""

from __future__ import annotations

from functools import partial
from typing import Final

from surrogate_opt.study.evidence.experiment import PROTOCOL, QUICK, Experiment, Preset
from surrogate_opt.study.evidence.sine.cells import NAME, SineSpec, run_sine_cell
from surrogate_opt.study.evidence.sine.claims import CLAIMS, find_sine, summarize_sine
from surrogate_opt.study.evidence.sine.picture import draw_sine

_PAPER: Final = SineSpec()

SINE: Final = Experiment(
    name=NAME,
    title="SpectReg on a noisy sine (gradient regularization paper, Table 7, Figures 5 and 6)",
    protocol=(
        "100 points of sin(5x) with noise 0.1, five ReLU layers of 64, ten weights of SpectReg and two more, "
        "10 runs; error on 900 points without noise. The paper states no optimizer here: ours is its MNIST "
        "one (Adam, batches of 50, 10,000 minibatches, rate divided by 10 at 50% and 75%) from 1e-3."
    ),
    claims=CLAIMS,
    presets={
        PROTOCOL: Preset(cells=_PAPER.cells),
        QUICK: Preset(
            cells=_PAPER.model_copy(update={"runs": 4, "minibatches": 2000}).cells,
            cuts="4 runs, 2,000 minibatches",
        ),
        "smoke": Preset(
            cells=_PAPER.model_copy(
                update={"runs": 2, "minibatches": 100, "hidden": (16, 16), "weights": (0.0, 0.001, 0.03)}
            ).cells,
            cuts="2 runs, 100 minibatches, two layers of 16, three weights",
        ),
    },
    compute=run_sine_cell,
    find=find_sine,
    summarize=summarize_sine,
    draw=partial(draw_sine, spec=_PAPER),
)

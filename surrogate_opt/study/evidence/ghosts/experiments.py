"""The experiments on ghosts: gradient loops."""

from __future__ import annotations

from functools import partial
from typing import Final

from surrogate_opt.study.evidence.experiment import PROTOCOL, QUICK, Experiment, Preset
from surrogate_opt.study.evidence.ghosts.gradient_cells import (
    FAMILY,
    GradientGhostSpec,
    run_gradient_ghost_cell,
)
from surrogate_opt.study.evidence.ghosts.picture import draw_prediction
from surrogate_opt.study.evidence.ghosts.prediction import GhostTable
from surrogate_opt.study.spec import StudySpec

_LOOPS: Final = {"adam": "Adam", "gradient_descent": "descent", "lbfgsb": "L-BFGS-B"}

GRADIENT_TABLE: Final = GhostTable(
    prefix=FAMILY,
    where="in gradient loops",
    data_set=("problem", "instance", "num_train", "noise_std"),
    instance=("problem", "instance"),
    outcomes={outcome: tuple(f"{loop}.{outcome}" for loop in _LOOPS) for outcome in ("optimism", "regret")},
    loops=tuple(_LOOPS.values()),
)

GRADIENT: Final = Experiment(
    name=FAMILY,
    title="Which diagnostic predicts ghosts in gradient loops (DREG paper, Sections 2.2 and 2.3)",
    protocol=(
        "Five families x 10 instances x n = 100, 300, 1,000 x noise 0, 0.1; ensembles at 30 strengths of "
        "four penalties; Adam, descent and L-BFGS-B from 64 starts. Rank correlations among the surrogates of a "
        "data set, mean over instances; a verdict needs all three loops. Optimism and regret in standard "
        "deviations of the truth."
    ),
    claims=GRADIENT_TABLE.claims(),
    presets={
        PROTOCOL: Preset(cells=GradientGhostSpec().cells),
        QUICK: Preset(
            cells=GradientGhostSpec(num_train=(300,), noise_std=(0.1,)).cells,
            cuts="one size and noise, n = 300 and 0.1",
        ),
        "smoke": Preset(
            cells=GradientGhostSpec(
                study=StudySpec(
                    families=("smooth", "sparse"), methods=("none", "dreg"), instances=2, starts=8, dim=4
                ),
                num_train=(50,),
                noise_std=(0.1,),
            ).cells,
            cuts="two families, two instances, two methods, n = 50, four inputs",
        ),
    },
    compute=run_gradient_ghost_cell,
    find=GRADIENT_TABLE.find,
    summarize=GRADIENT_TABLE.summarize,
    draw=partial(draw_prediction, GRADIENT_TABLE),
)

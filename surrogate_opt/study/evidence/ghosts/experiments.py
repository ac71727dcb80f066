"""The experiments on ghosts: gradient loops, Bayesian optimization, model-predictive control."""

from __future__ import annotations

from functools import partial
from typing import Final

from surrogate_opt.study.control.spec import ControlStudySpec
from surrogate_opt.study.evidence.experiment import PROTOCOL, QUICK, Experiment, Preset
from surrogate_opt.study.evidence.ghosts import bayesian_cells, control_cells, gradient_cells, single_cells
from surrogate_opt.study.evidence.ghosts.bayesian_cells import BayesianGhostSpec, run_bayesian_ghost_cell
from surrogate_opt.study.evidence.ghosts.control_cells import ControlGhostSpec, run_control_ghost_cell
from surrogate_opt.study.evidence.ghosts.gradient_cells import GradientGhostSpec, run_gradient_ghost_cell
from surrogate_opt.study.evidence.ghosts.picture import draw_prediction
from surrogate_opt.study.evidence.ghosts.prediction import GhostTable
from surrogate_opt.study.evidence.ghosts.single_cells import SingleGhostSpec, run_single_ghost_cell
from surrogate_opt.study.evidence.ghosts.single_findings import effect_claims, find_single
from surrogate_opt.study.evidence.synthetic.cells import SyntheticSpec
from surrogate_opt.study.spec import StudySpec

_FEW_LEVELS: Final = {"none": (0.0,), "dreg": (1e-4, 1e-3, 1e-2, 1e-1)}
_SIZE_NOT_SHAPE: Final = (
    "at equal test error the size of gradients (their mean) goes with optimism, the shape of their tail not"
)
_LOOPS: Final = {"adam": "Adam", "gradient_descent": "descent", "lbfgsb": "L-BFGS-B"}

GRADIENT_TABLE: Final = GhostTable(
    prefix=gradient_cells.FAMILY,
    where="in gradient loops",
    data_set=("problem", "instance", "num_train", "noise_std"),
    instance=("problem", "instance"),
    outcomes={outcome: tuple(f"{loop}.{outcome}" for loop in _LOOPS) for outcome in ("optimism", "regret")},
    loops=tuple(_LOOPS.values()),
    why={
        ("tails", "optimism"): _SIZE_NOT_SHAPE,
        ("beyond-error", "optimism"): _SIZE_NOT_SHAPE,
        ("over-error", "optimism"): _SIZE_NOT_SHAPE,
        ("p99", "optimism"): (
            "at equal test error it does; but steeper surrogates have less test error, which works against it"
        ),
        ("tails", "regret"): "test error decides regret, and what lightens tails raises the error",
        ("p99", "regret"): "test error decides regret, and what lightens tails raises the error",
        (
            "beyond-error",
            "regret",
        ): "at equal test error the gradients' error goes with regret, not their size",
        ("over-error", "regret"): "test error decides regret",
    },
)

GRADIENT: Final = Experiment(
    name=gradient_cells.FAMILY,
    title="Which diagnostic predicts ghosts in gradient loops (DREG paper, Sections 2.2 and 2.3)",
    protocol=(
        "Five families x 10 instances x n = 100, 300, 1,000 x noise 0, 0.1; ensembles at 30 strengths of "
        "four penalties; Adam, descent and L-BFGS-B from 64 starts. Rank correlations among the "
        "surrogates of a data set, mean over instances; a verdict needs all three loops. Optimism and "
        "regret in standard deviations of the truth."
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

SINGLE_TABLE: Final = GhostTable(
    prefix=single_cells.FAMILY,
    where="in gradient loops on single networks",
    data_set=("problem", "instance", "activation"),
    instance=("problem", "instance"),
    outcomes=GRADIENT_TABLE.outcomes,
    loops=GRADIENT_TABLE.loops,
    why={
        ("over-error", "optimism"): "test error does so about as well",
        **dict.fromkeys(
            [(name, "regret") for name in ("tails", "p99", "beyond-error", "over-error")],
            "among these networks nothing measured goes with regret, test error neither",
        ),
    },
)

SINGLE: Final = Experiment(
    name=single_cells.FAMILY,
    title="The same with the paper's own networks (DREG paper, Sections 2.2 and 2.3, Table 1)",
    protocol=(
        "The networks of synthetic-families, none in an ensemble: ReLU and poly, 64-64, 2,000 rows with "
        "noise 0.1, DREG at six strengths up to 10^-2, three seeds; five families x 10 instances. Loops, "
        "units and correlations as in ghosts-gradient, among the 18 networks of a data set and activation."
    ),
    claims=SINGLE_TABLE.claims() + effect_claims(SINGLE_TABLE),
    presets={
        PROTOCOL: Preset(cells=SingleGhostSpec().cells),
        QUICK: Preset(
            cells=SingleGhostSpec(networks=SyntheticSpec(instances=4, activations=("relu",))).cells,
            cuts="4 instances, ReLU alone",
        ),
        "smoke": Preset(
            cells=SingleGhostSpec(
                networks=SyntheticSpec(
                    families=("smooth", "sparse"),
                    instances=2,
                    seeds=2,
                    num_train=100,
                    num_valid=50,
                    epochs=5,
                    hidden=(16,),
                ),
                starts=8,
            ).cells,
            cuts="two families, two instances, 100 rows, one layer of 16, 5 epochs",
        ),
    },
    compute=run_single_ghost_cell,
    find=partial(find_single, SINGLE_TABLE),
    summarize=SINGLE_TABLE.summarize,
    draw=partial(draw_prediction, SINGLE_TABLE),
)

CONTROL_TABLE: Final = GhostTable(
    prefix=control_cells.FAMILY,
    where="in model-predictive control",
    data_set=("problem", "instance", "num_train"),
    instance=("problem", "instance"),
    outcomes={outcome: (f"ilqr.{outcome}",) for outcome in ("plan gap", "cost")},
    loops=("iLQR",),
    why={
        ("tails", "plan gap"): "it does on the reactor alone",
        ("p99", "plan gap"): "on two plants it is the reverse, and at equal test error nothing is left of it",
        ("beyond-error", "plan gap"): "no plant's correlation is far from 0",
        ("over-error", "plan gap"): "test error itself goes with the plan gap on two plants of four",
        ("over-error", "cost"): "test error decides cost",
        ("p99", "cost"): "strong penalties flatten the plant's own response: errors and cost rise",
    },
)

CONTROL: Final = Experiment(
    name=control_cells.FAMILY,
    title="Which diagnostic predicts ghosts in model-predictive control (DREG paper, Sections 2.2 and 2.3)",
    protocol=(
        "Four plants x 10 instances of 100 noisy transitions; ensembles at 12 strengths of three penalties; "
        "iLQR from 5 starts with noise, median. Plan gap in costs of the oracle's plans, cost over the "
        "oracle's."
    ),
    claims=CONTROL_TABLE.claims(),
    presets={
        PROTOCOL: Preset(cells=ControlGhostSpec().cells),
        QUICK: Preset(
            cells=ControlGhostSpec(
                study=ControlStudySpec(
                    plants=("pendulum", "van_der_pol"), instances=5, num_train=(100,), starts=5
                )
            ).cells,
            cuts="two plants, five instances",
        ),
        "smoke": Preset(
            cells=ControlGhostSpec(
                study=ControlStudySpec(
                    plants=("van_der_pol",),
                    instances=2,
                    num_train=(50,),
                    starts=1,
                    hidden=(8,),
                    train_steps=100,
                ),
                levels=_FEW_LEVELS,
            ).cells,
            cuts="one plant, two instances, five strengths, one layer of 8",
        ),
    },
    compute=run_control_ghost_cell,
    find=CONTROL_TABLE.find,
    summarize=CONTROL_TABLE.summarize,
    draw=partial(draw_prediction, CONTROL_TABLE),
)

BAYESIAN_TABLE: Final = GhostTable(
    prefix=bayesian_cells.FAMILY,
    where="in Bayesian optimization",
    data_set=("problem", "instance", "num_train"),
    instance=("problem", "instance"),
    outcomes={outcome: (f"log_ei.{outcome}",) for outcome in ("optimism", "regret")},
    loops=("LogEI",),
    why={
        **dict.fromkeys(
            [(name, "optimism") for name in ("tails", "beyond-error", "over-error")],
            "the size of gradients goes with optimism, their tails hardly do",
        ),
        ("tails", "regret"): "only test error goes with regret, and p99/mean does not go with test error",
        ("p99", "regret"): "only test error goes with regret, and weakly",
        ("beyond-error", "regret"): "at equal test error nothing measured goes with regret",
        ("over-error", "regret"): "only test error goes with regret",
    },
)

BAYESIAN: Final = Experiment(
    name=bayesian_cells.FAMILY,
    title="Which diagnostic predicts ghosts in Bayesian optimization (DREG paper, Sections 2.2 and 2.3)",
    protocol=(
        "Smooth, sparse, entangled and Hartmann6 x 10 instances, 30 Sobol points without noise; ensembles at "
        "12 strengths of three penalties, each with three proposals by LogEI: mean optimism and the regret "
        "of the best, in standard deviations of the truth."
    ),
    claims=BAYESIAN_TABLE.claims(),
    presets={
        PROTOCOL: Preset(cells=BayesianGhostSpec().cells),
        QUICK: Preset(
            cells=BayesianGhostSpec(problems=("smooth", "hartmann6"), instances=5, proposals=1).cells,
            cuts="two problems, five instances, one proposal",
        ),
        "smoke": Preset(
            cells=BayesianGhostSpec(
                problems=("branin",), instances=2, num_points=8, proposals=1, levels=_FEW_LEVELS
            ).cells,
            cuts="one problem, two instances, five strengths, eight points",
        ),
    },
    compute=run_bayesian_ghost_cell,
    find=BAYESIAN_TABLE.find,
    summarize=BAYESIAN_TABLE.summarize,
    draw=partial(draw_prediction, BAYESIAN_TABLE),
)

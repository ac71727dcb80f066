"""The factorial experiments: rivals at fixed strengths, and tuned ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from surrogate_opt.study.evidence.experiment import PROTOCOL, QUICK, Experiment, Preset
from surrogate_opt.study.evidence.factorial.cells import NAME, FactorialSpec, run_factorial_cell
from surrogate_opt.study.evidence.factorial.claims import (
    factorial_claims,
    find_factorial,
    summarize_factorial,
)
from surrogate_opt.study.evidence.factorial.tasks import TASKS, load_task

_TASKS_TEXT: Final = (
    "MNIST, Fashion-MNIST, CIFAR-10 (of its first training batch), SST-2, TREC, SMS spam, subjectivity "
    "(TF-IDF, 100 singular directions), protein (target over its median); ReLU, tanh, GELU, SiLU; MLP "
    "(64, 32), at most 10,000 rows less a tenth held out, 8 epochs of AdamW at 1e-3, 5 seeds. Regimes: "
    "clean; 30% of the labels drawn anew; inputs with noise of one deviation; 500 rows. Pairs are the data "
    "sets, means over activations and seeds: eight, so the sign test needs all of them. None of it is in the "
    "abstract."
)
_SMALLEST: Final = ("trec", "protein")


def _check(folder: Path) -> None:
    for task in TASKS:
        load_task(task, folder, max_rows=200, seed=0)


def _experiment(*, tuned: bool) -> Experiment:
    name = f"{NAME}-tuned" if tuned else NAME
    rivals = "rivals tuned on held-out rows" if tuned else "each at one fixed strength"
    spec = FactorialSpec(tuned=tuned)
    return Experiment(
        name=name,
        title=f"DREG as a general-purpose penalty, {rivals} (second abstract)",
        protocol=_TASKS_TEXT,
        claims=factorial_claims(name, rivals, tuned=tuned),
        presets={
            PROTOCOL: Preset(cells=spec.cells),
            QUICK: Preset(
                cells=spec.model_copy(update={"regimes": ("clean", "small"), "seeds": 2}).cells,
                cuts="clean data and 500 rows, two seeds",
            ),
            "smoke": Preset(
                cells=spec.model_copy(
                    update={
                        "tasks": _SMALLEST,
                        "activations": ("relu", "gelu"),
                        "seeds": 2,
                        "max_rows": 300,
                        "epochs": 2,
                    }
                ).cells,
                cuts="two tasks, two activations, 300 rows, two epochs",
            ),
        },
        compute=run_factorial_cell,
        find=partial(find_factorial, prefix=name, tuned=tuned),
        summarize=partial(summarize_factorial, tuned=tuned),
        check=_check,
    )


FACTORIAL: Final = _experiment(tuned=False)
FACTORIAL_TUNED: Final = _experiment(tuned=True)

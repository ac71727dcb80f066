"""The experiments that reproduce the papers' claims, by the names users type."""

from __future__ import annotations

from typing import Final

from surrogate_opt.study.evidence.factorial.experiment import FACTORIAL, FACTORIAL_TUNED
from surrogate_opt.study.evidence.ghosts.experiments import CONTROL, GRADIENT
from surrogate_opt.study.evidence.mnist.experiments import SENSITIVITY, TUNED
from surrogate_opt.study.evidence.sine.experiment import SINE
from surrogate_opt.study.evidence.synthetic.experiment import SYNTHETIC

EXPERIMENTS: Final = {
    experiment.name: experiment
    for experiment in (
        GRADIENT,
        CONTROL,
        SYNTHETIC,
        SENSITIVITY,
        TUNED,
        FACTORIAL,
        FACTORIAL_TUNED,
        SINE,
    )
}

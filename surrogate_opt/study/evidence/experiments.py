"""The experiments that reproduce the papers' claims, by the names users type."""

from __future__ import annotations

from typing import Final

from surrogate_opt.study.evidence.factorial.experiment import FACTORIAL, FACTORIAL_TUNED
from surrogate_opt.study.evidence.ghosts.experiments import BAYESIAN, CONTROL, GRADIENT, SINGLE
from surrogate_opt.study.evidence.identities import IDENTITIES
from surrogate_opt.study.evidence.mnist.experiments import SENSITIVITY, TUNED
from surrogate_opt.study.evidence.penalty_cost.claims import PENALTY_COST
from surrogate_opt.study.evidence.sine.experiment import SINE
from surrogate_opt.study.evidence.small_cifar import SMALL_CIFAR
from surrogate_opt.study.evidence.small_mnist.experiment import SMALL_MNIST
from surrogate_opt.study.evidence.small_mnist.weights import WEIGHTS
from surrogate_opt.study.evidence.synthetic.experiment import SYNTHETIC

EXPERIMENTS: Final = {
    experiment.name: experiment
    for experiment in (
        GRADIENT,
        SINGLE,
        BAYESIAN,
        CONTROL,
        SYNTHETIC,
        SENSITIVITY,
        TUNED,
        PENALTY_COST,
        FACTORIAL,
        FACTORIAL_TUNED,
        IDENTITIES,
        SINE,
        SMALL_MNIST,
        WEIGHTS,
        SMALL_CIFAR,
    )
}

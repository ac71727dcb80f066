"""Loops that follow a model's gradient to a minimum, and the guards between the two."""

from surrogate_opt.loops.guards import Guard, near_data, pessimistic
from surrogate_opt.loops.lbfgsb import LBFGSBConfig, lbfgsb
from surrogate_opt.loops.minimize import minimize
from surrogate_opt.loops.projected import (
    AdamConfig,
    DescentConfig,
    adam,
    gradient_descent,
    lipschitz_step,
)
from surrogate_opt.loops.result import Candidates, MinimizeResult
from surrogate_opt.loops.slsqp import SLSQPConfig, slsqp

__all__ = [
    "AdamConfig",
    "Candidates",
    "DescentConfig",
    "Guard",
    "LBFGSBConfig",
    "MinimizeResult",
    "SLSQPConfig",
    "adam",
    "gradient_descent",
    "lbfgsb",
    "lipschitz_step",
    "minimize",
    "near_data",
    "pessimistic",
    "slsqp",
]

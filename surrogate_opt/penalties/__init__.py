"""Derivative penalties and constraints, for stacks in closed form and for any torch module.

One a file, and the table of methods with their strengths.
"""

from surrogate_opt.penalties.dreg import add_dreg_gradient, dreg_penalty
from surrogate_opt.penalties.igp import InputGradientPass, differentiate_igp, igp_penalty
from surrogate_opt.penalties.methods import (
    METHODS,
    STUDIED,
    Method,
    Strength,
    costly_groups,
    get_method,
    stacks_of,
)
from surrogate_opt.penalties.modules.confidence import Confidence
from surrogate_opt.penalties.modules.dreg import DREG
from surrogate_opt.penalties.modules.jacobian import (
    IGP,
    DataGrad,
    FrobReg,
    JacReg,
    OneHot,
    RandomOneHot,
    Sobolev,
    SpectReg,
)
from surrogate_opt.penalties.modules.sam import SAM
from surrogate_opt.penalties.modules.spectral_bound import SpectralBound, bound_spectral_norms

__all__ = [
    "DREG",
    "IGP",
    "METHODS",
    "SAM",
    "STUDIED",
    "Confidence",
    "DataGrad",
    "FrobReg",
    "InputGradientPass",
    "JacReg",
    "Method",
    "OneHot",
    "RandomOneHot",
    "Sobolev",
    "SpectReg",
    "SpectralBound",
    "Strength",
    "add_dreg_gradient",
    "bound_spectral_norms",
    "costly_groups",
    "differentiate_igp",
    "dreg_penalty",
    "get_method",
    "igp_penalty",
    "stacks_of",
]

"""Regularizers for any torch module: penalties, a constraint and an optimizer."""

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
from surrogate_opt.penalties.modules.module_penalty import ModulePenalty
from surrogate_opt.penalties.modules.sam import SAM
from surrogate_opt.penalties.modules.spectral_bound import SpectralBound, bound_spectral_norms

__all__ = [
    "DREG",
    "IGP",
    "SAM",
    "Confidence",
    "DataGrad",
    "FrobReg",
    "JacReg",
    "ModulePenalty",
    "OneHot",
    "RandomOneHot",
    "Sobolev",
    "SpectReg",
    "SpectralBound",
    "bound_spectral_norms",
]

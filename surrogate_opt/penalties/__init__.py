"""Derivative penalties and constraints, one a file, and the table of methods with their strengths."""

from surrogate_opt.penalties.dreg import add_dreg_gradient, dreg_penalty
from surrogate_opt.penalties.igp import InputGradientPass, differentiate_igp, igp_penalty
from surrogate_opt.penalties.methods import METHODS, Method, Strength, get_method

__all__ = [
    "METHODS",
    "InputGradientPass",
    "Method",
    "Strength",
    "add_dreg_gradient",
    "differentiate_igp",
    "dreg_penalty",
    "get_method",
    "igp_penalty",
]

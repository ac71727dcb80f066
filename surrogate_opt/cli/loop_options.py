"""Words of the options that every command of Bayesian optimization has, and the strength as it is typed."""

from __future__ import annotations

import math

from surrogate_opt.errors import InputError

MODEL = "ensemble, last_layer, deep_kernel (compact networks) or gp (Gaussian process)."
PENALTY = "Control of the networks' derivatives: none, dreg, igp, sn or dreg+igp."
STRENGTH = "auto (chosen anew every 10 evaluations), or the penalty's one number."
ACQUISITION = "log_ei, qlog_ei, qlog_nei (with noise), ucb, qucb, mean, thompson or knowledge_gradient."
INITIAL = "Evaluations before the first model; d is the number of inputs."
SEED = "Of first points, models and searches."


def parse_strength(text: str) -> str | float:
    """ "auto", or the number that was typed.

    Raises:
        InputError: it is neither.
    """
    if text == "auto":
        return text
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not math.isfinite(strength):
        raise InputError(f"--strength: expected auto or a number; came {text!r}")
    return strength

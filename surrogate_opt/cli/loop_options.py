"""Words of options that several commands have, and how strengths and widths are typed."""

from __future__ import annotations

import math

from surrogate_opt.errors import InputError

MODEL = "ensemble, last_layer, deep_kernel (compact networks) or gp (Gaussian process)."
PENALTY = (
    "Regularizer of the networks: none, dreg, igp, sn, dreg+igp, datagrad, spectreg, weight_decay, dropout."
)
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


def parse_widths(text: str) -> tuple[int, ...]:
    """Widths of hidden layers, such as "64,64".

    Raises:
        InputError: they are no positive numbers.
    """
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--hidden: expected widths such as 64,64; came {text!r}") from None
    if min(widths) < 1:
        raise InputError(f"--hidden: expected positive widths; came {text!r}")
    return widths


def parse_names(text: str, option: str) -> tuple[str, ...]:
    """Names of columns, separated by commas.

    Raises:
        InputError: one is empty, or comes twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    if "" in names or len(set(names)) != len(names):
        raise InputError(f"{option}: expected different names, separated by commas; came {text!r}")
    return names

"""What proposals promised against what came: the one definition of a promise and of a phantom."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

PROMISE: Final = 1e-6
"""A mean lower than the best value told by more than this share of the output's standard deviation promises
an improvement."""


def promised_and_phantom(
    predicted: Float[np.ndarray, " n"],
    told: Float[np.ndarray, " n"],
    truth: Float[np.ndarray, " n"],
    output_std: float,
    *,
    steps: Int[np.ndarray, " n"],
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Which evaluations promised an improvement, and which of these brought none; smaller is better.

    Args:
        predicted: means at the time of the proposal, NaN without a model.
        told: what the loop was told.
        truth: the same without noise.
        output_std: of the truth.
        steps: which step each row belongs to, ascending; a step knows the steps before it.
    """
    first_rows = np.searchsorted(steps, steps)
    promised = predicted < _best_before(told, first_rows) - PROMISE * output_std
    return promised, promised & (truth >= _best_before(truth, first_rows))


def _best_before(
    values: Float[np.ndarray, " n"], first_rows: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The least of the values before each row's step; infinity before the first step."""
    return np.take(np.append(np.inf, np.minimum.accumulate(values)), first_rows)

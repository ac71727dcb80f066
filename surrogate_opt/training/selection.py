"""Chooses a strength from out-of-fold errors: the strongest that is no worse than the best.

Rows are the evidence: with d_i the squared error of row i at a strength minus that at the best one, a
strength is accepted when mean(d) <= sd(d) / sqrt(n), the one-standard-error rule with paired rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.data import MIN_NONLINEAR_SHARE, MIN_NONLINEAR_SKILL
from surrogate_opt.errors import InputError, TrainingError

Rule = Literal["plateau", "best"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which strength a rule chose, and why.

    Attributes:
        chosen: index into the strengths.
        best: index of the least out-of-fold error.
        accepted: strengths no worse than the best by more than a standard error, ``(S,)``.
        skipped: strengths that could not be chosen, ``(S,)``: failed, or no more than a plane beside others.
        mean_error: out-of-fold mean squared error, ``(S,)``, in variances of the target.
        standard_error: of the difference to the best, ``(S,)``.
    """

    chosen: int
    best: int
    accepted: Bool[Tensor, " strengths"]
    skipped: Bool[Tensor, " strengths"]
    mean_error: Float[Tensor, " strengths"]
    standard_error: Float[Tensor, " strengths"]


def check_rule(rule: str) -> None:
    """Raise an InputError for an unknown rule."""
    if rule not in get_args(Rule):
        raise InputError(f"rule: expected one of {', '.join(get_args(Rule))}, got {rule!r}")


def row_errors(
    predictions: Float[Tensor, "*strengths n"] | Float[Tensor, "*strengths n m"],
    y: Float[Tensor, " n"] | Float[Tensor, "n m"],
) -> Float[Tensor, "*strengths n"]:
    """Squared error of every row in variances of the target, the mean over the columns of several."""
    squared = (predictions - y).square()
    return squared if y.ndim == 1 else squared.mean(-1)


def is_linearized(
    errors: Float[Tensor, "*strengths n"], linear_errors: Float[Tensor, " n"]
) -> Bool[Tensor, "*strengths"]:
    """Whether a model is little more than a plane: nonlinear skill under 0.1 where a plane is not enough.

    Args:
        errors: squared out-of-fold errors in variances of the target.
        linear_errors: those of least squares on the same folds; a plane is enough where it leaves 2% or less.
    """
    skill = 1.0 - errors.mean(-1) / linear_errors.mean()
    return (skill < MIN_NONLINEAR_SKILL) & (linear_errors.mean() > MIN_NONLINEAR_SHARE)


def choose_strength(
    errors: Float[Tensor, "strengths n"], skipped: Bool[Tensor, " strengths"], rule: Rule = "plateau"
) -> Choice:
    """Choose among strengths ordered weak to strong.

    Args:
        errors: squared out-of-fold error of every row at every strength.
        skipped: strengths that must not be chosen; if all are linearized, those that did not fail compete.
        rule: "best", or "plateau": the strongest in the contiguous run of accepted strengths around the best,
            skipped ones passed over.

    Raises:
        TrainingError: every strength failed.
    """
    check_rule(rule)
    finite = torch.isfinite(errors).all(1)
    usable = finite & ~skipped
    if not usable.any():
        usable = finite
    if not usable.any():
        raise TrainingError("strength: every strength failed to train; lower learning_rate")
    mean_error = errors.mean(1)
    best = int(torch.where(usable, mean_error, torch.inf).argmin())
    difference = errors - errors[best]
    standard_error = difference.std(1) / math.sqrt(errors.shape[1])
    accepted = usable & (difference.mean(1) <= standard_error)
    chosen = best
    if rule == "plateau":
        for stronger in range(best + 1, len(errors)):
            if accepted[stronger]:
                chosen = stronger
            elif usable[stronger]:
                break
    return Choice(
        chosen=chosen,
        best=best,
        accepted=accepted,
        skipped=~usable,
        mean_error=mean_error,
        standard_error=standard_error,
    )

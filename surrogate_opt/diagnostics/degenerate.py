"""Degenerate surrogates: those too flat or too plain to send ghost signals, and of no use either.

A constant has no ghost signals and a plane has a perfect tail ratio. These figures stand beside every other,
so that neither is ever taken for a good surrogate.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data import MIN_NONLINEAR_SHARE, MIN_NONLINEAR_SKILL, MIN_R2
from surrogate_opt.errors import InputError

DegeneracyKind = Literal["sound", "linearized", "collapsed"]

MIN_GAIN = 0.1


def r_squared(y: Float[Tensor, " n"], predicted: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """1 - MSE / variance of y, over the last axis; NaN or -inf where y is constant."""
    y, predicted = y.double(), predicted.double()
    variance = (y - y.mean(dim=-1, keepdim=True)).square().mean(dim=-1)
    return 1.0 - (predicted - y).square().mean(dim=-1) / variance


def nonlinear_skill(
    y: Float[Tensor, " n"],
    predicted: Float[Tensor, "*batch n"],
    linear_predicted: Float[Tensor, "*batch n"],
) -> Float[Tensor, "*batch"]:
    """1 - MSE of the surrogate / MSE of least squares, over the last axis.

    Args:
        y: targets, ``(n,)``.
        predicted: the surrogate's predictions of them, ``(*batch, n)``.
        linear_predicted: those of least squares fitted to the data that the surrogate was fitted to.

    Returns:
        ``(*batch,)``: 1 is perfect, 0 as good as the plane, negative worse. Where the plane is perfect: -inf,
        or NaN for a perfect surrogate.
    """
    y = y.double()
    error = (predicted.double() - y).square().mean(dim=-1)
    return 1.0 - error / (linear_predicted.double() - y).square().mean(dim=-1)


@dataclass(frozen=True, kw_only=True)
class Degeneracy:
    """Whether a surrogate is any use, before its gradients are judged.

    Attributes:
        kind: ``collapsed`` where r2 < 0.1 (or is not a number) or gain < 0.1; else ``linearized`` where
            nonlinear_skill < 0.1 and linear_r2 < 0.98; else ``sound``.
        r2: held-out R^2 of the surrogate.
        nonlinear_skill: 1 - MSE / MSE of least squares on the same data.
        linear_r2: held-out R^2 of least squares.
        gain: mean ||ghat|| / mean ||g||; None where no truth is known.
    """

    kind: DegeneracyKind
    r2: float
    nonlinear_skill: float
    linear_r2: float
    gain: float | None

    @property
    def is_degenerate(self) -> bool:
        """Whether it must not be ranked first."""
        return self.kind != "sound"

    def to_dict(self) -> dict[str, Any]:
        """The figures by name."""
        return dataclasses.asdict(self)


def degeneracy(
    y: Float[Tensor, " n"],
    predicted: Float[Tensor, " n"],
    linear_predicted: Float[Tensor, " n"],
    *,
    gain: float | None = None,
) -> Degeneracy:
    """Classifies a surrogate as collapsed, linearized or sound, from held-out (or out-of-fold) predictions.

    Args:
        y: held-out targets, ``(n,)``, not constant.
        predicted: the surrogate's predictions, ``(n,)``. One that is not finite counts as collapsed.
        linear_predicted: those of least squares fitted to the same training data.
        gain: of ``GradientField``, where a truth is known.

    Raises:
        InputError: shapes that differ, or targets that are constant or not finite.
    """
    for name, given in (("predicted", predicted), ("linear_predicted", linear_predicted)):
        if y.ndim != 1 or given.shape != y.shape:
            raise InputError(f"{name}: expected shape {tuple(y.shape)} as y, got {tuple(given.shape)}")
    if y.shape[0] < 2 or not bool(y.isfinite().all()) or bool((y == y[0]).all()):
        raise InputError(
            "y: expected finite targets that vary, got a constant or numbers that are not finite"
        )
    r2 = float(r_squared(y, predicted))
    skill = float(nonlinear_skill(y, predicted, linear_predicted))
    plane = float(r_squared(y, linear_predicted))
    kind = degeneracy_kind(r2=r2, nonlinear_skill=skill, linear_r2=plane, gain=gain)
    return Degeneracy(kind=kind, r2=r2, nonlinear_skill=skill, linear_r2=plane, gain=gain)


def degeneracy_kind(
    *, r2: float, nonlinear_skill: float, linear_r2: float, gain: float | None
) -> DegeneracyKind:
    """The class that these figures put a surrogate in; see ``Degeneracy``."""
    if not r2 >= MIN_R2 or (gain is not None and not gain >= MIN_GAIN):
        return "collapsed"
    if nonlinear_skill < MIN_NONLINEAR_SKILL and 1.0 - linear_r2 > MIN_NONLINEAR_SHARE:
        return "linearized"
    return "sound"

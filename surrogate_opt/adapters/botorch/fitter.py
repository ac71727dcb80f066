"""What a loop needs of a kind of model: a fit to all evaluations so far that may start from the last one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from botorch.models.model import Model
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FitterState:
    """What the next fit starts from, in a form that files can hold.

    Attributes:
        tensors: parameters of the last fit.
        about: plain numbers, strings and lists of them.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


class ModelFitter(Protocol):
    """Fits models of one output to a growing table."""

    def fit(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], *, choose_strength: bool) -> Model:
        """Fit a model of one output to every row; earlier rows come in the same order as last time.

        Args:
            x: inputs in the fitter's box, float64; a loop's fitters have the unit box.
            y: targets in any unit, float64.
            choose_strength: choose the strength of the penalty anew; the first fit always does.

        Returns:
            A BoTorch model that takes points of that box and gives y's unit.

        Raises:
            TrainingError: no usable model came of it.
        """
        ...

    def state(self) -> FitterState:
        """What the next fit would start from; empty before the first one."""
        ...

    def restore(self, state: FitterState) -> None:
        """Go on from there: the next fit gives what it would have given then."""
        ...

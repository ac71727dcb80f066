"""A model upside down, so that every loop minimizes."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from surrogate_opt.types import Differentiable, DifferentiableEnsemble, GradientSource


def negated(model: Differentiable) -> Differentiable:
    """The model to minimize in place of one to maximize.

    Args:
        model: the model to maximize.

    Returns:
        A model with opposite values and gradients, of as many members.
    """
    return _NegatedEnsemble(model) if isinstance(model, DifferentiableEnsemble) else _Negated(model)


@dataclass(frozen=True)
class _Negated:
    model: Differentiable

    @property
    def gradient_source(self) -> GradientSource:
        return self.model.gradient_source

    def value(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        return -self.model.value(x)

    def value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        value, gradient = self.model.value_and_gradient(x)
        return -value, -gradient


@dataclass(frozen=True)
class _NegatedEnsemble(_Negated):
    model: DifferentiableEnsemble

    def members_value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "members *batch"], Float[Tensor, "members *batch d"]]:
        values, gradients = self.model.members_value_and_gradient(x)
        return -values, -gradients

"""What the rooms hand to each other: Protocols for what users bring, frozen records for what comes back.

Inside the toolkit points are float64 tensors in raw (user's) units, last axis the d inputs. Any leading
axes are a batch; a model that holds several surrogates wants its own axis to lead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

GradientSource = Literal["analytic", "autograd", "central differences"]


@runtime_checkable
class Differentiable(Protocol):
    """Values and gradients on a batch: all that diagnostics and loops ask of a model or a truth.

    ``adapters.as_differentiable`` makes one of a Surrogate, a BoTorch model or test function, a torch module
    or a plain callable.
    """

    @property
    def gradient_source(self) -> GradientSource:
        """Where the gradients come from."""
        ...

    def value(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Values alone, in raw units."""
        ...

    def value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        """Values and gradients with respect to x, in raw units, detached."""
        ...


@runtime_checkable
class DifferentiableEnsemble(Differentiable, Protocol):
    """A model of several members; its value is their mean."""

    def members_value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "members *batch"], Float[Tensor, "members *batch d"]]:
        """Each member's values and gradients, members first."""
        ...


@runtime_checkable
class HasMembers(DifferentiableEnsemble, Protocol):
    """An ensemble that gives its members' values without their gradients, at a third of the cost."""

    def members(self, x: Float[Tensor, "*stack n d"]) -> Float[Tensor, " members *stack n"]:
        """Each member's values, members first."""
        ...


@runtime_checkable
class HasDerivativeProxy(Protocol):
    """A model that can state its DREG penalty."""

    def derivative_proxy(self, x: Float[Tensor, "*stack n d"]) -> Float[Tensor, "*stack"]:
        """The DREG penalty, mean over layers and over the n points, in the network's own coordinates."""
        ...


@runtime_checkable
class HasMemberDerivativeProxies(HasDerivativeProxy, Protocol):
    """A model that can also state each member's DREG penalty."""

    def members_derivative_proxy(self, x: Float[Tensor, "*stack n d"]) -> Float[Tensor, " members *stack"]:
        """Each member's DREG penalty, members first."""
        ...


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """The paths of a batch of loops.

    Attributes:
        x: every iterate, the start first, ``(steps + 1, *batch, d)``, raw units. A loop that stopped early
            stays where it stopped.
        value: the followed model's value there, ``(steps + 1, *batch)``, in the sense that was minimized.
        num_steps: how many steps each loop took before it stopped, ``(*batch,)``.
        failed: loops that met a value or gradient that is not finite, ``(*batch,)``; they stay at their last
            finite point.
    """

    x: Float[Tensor, "steps *batch d"]
    value: Float[Tensor, "steps *batch"]
    num_steps: Int[Tensor, " *batch"]
    failed: Bool[Tensor, " *batch"]

    @property
    def start(self) -> Float[Tensor, "*batch d"]:
        """Where the loops began."""
        return self.x[0]

    @property
    def end(self) -> Float[Tensor, "*batch d"]:
        """Where the loops ended."""
        return self.x[-1]

    @property
    def end_value(self) -> Float[Tensor, "*batch"]:
        """The followed model's value at the end points."""
        return self.value[-1]

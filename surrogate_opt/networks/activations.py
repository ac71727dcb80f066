"""Elementwise activations with value, slope and curvature in closed form.

Derivative penalties need phi'(z) in the forward pass and phi''(z) in the backward pass. Each activation
computes just as many orders as it is asked for, sharing what the orders have in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.errors import InputError

Elementwise = Float[Tensor, "*shape"]
Orders = tuple[Elementwise, Elementwise | None, Elementwise | None]


class Activation(Protocol):
    """An elementwise function phi.

    Attributes:
        name: what users type.
        piecewise_linear: phi'' is zero almost everywhere; ``evaluate`` then never returns it.
        num_coefficients: learnable numbers per layer (0 but for ``poly``).
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def piecewise_linear(self) -> bool: ...  # noqa: D102

    @property
    def num_coefficients(self) -> int: ...  # noqa: D102

    def evaluate(self, z: Elementwise, order: int, coefficients: Tensor | None = None) -> Orders:
        """Return phi(z), phi'(z) where ``order >= 1`` and phi''(z) where ``order >= 2``, else None."""
        ...


@dataclass(frozen=True)
class Relu:
    """max(z, 0); the slope at 0 is 0, as in torch."""

    name: str = "relu"
    piecewise_linear: bool = True
    num_coefficients: int = 0

    def evaluate(self, z: Elementwise, order: int, coefficients: Tensor | None = None) -> Orders:
        """See ``Activation``."""
        h = torch.relu(z)
        return h, (torch.sign(h) if order >= 1 else None), None


@dataclass(frozen=True)
class Tanh:
    """tanh(z), computed as 2 sigmoid(2 z) - 1, which vectorizes far better on CPUs.

    Its rounding error is that of numbers near 1, not relative near zero.
    """

    name: str = "tanh"
    piecewise_linear: bool = False
    num_coefficients: int = 0

    def evaluate(self, z: Elementwise, order: int, coefficients: Tensor | None = None) -> Orders:
        """See ``Activation``."""
        h = torch.sigmoid(2.0 * z).mul(2.0).sub_(1.0)  # autograd keeps the sigmoid itself
        if order == 0:
            return h, None, None
        slope = 1.0 - h * h
        return h, slope, (-2.0 * h * slope if order >= 2 else None)


@dataclass(frozen=True)
class Silu:
    """h = z s with s = sigmoid(z) (Elfwing et al. 2018): phi' = s + h (1 - s), phi'' = (1 - s) (2 phi' - h).

    These forms keep their digits where z is large and s rounds to 1; s (1 - h) would cancel.
    """

    name: str = "silu"
    piecewise_linear: bool = False
    num_coefficients: int = 0

    def evaluate(self, z: Elementwise, order: int, coefficients: Tensor | None = None) -> Orders:
        """See ``Activation``."""
        if order == 0:
            return torch.nn.functional.silu(z), None, None
        sigmoid = torch.sigmoid(z)
        h = z * sigmoid
        less_one = sigmoid - 1.0
        slope = torch.addcmul(sigmoid, h, less_one, value=-1.0)
        return h, slope, (torch.sub(h, slope, alpha=2.0).mul_(less_one) if order >= 2 else None)


@dataclass(frozen=True)
class Gelu:
    """z Phi(z) with the normal distribution function Phi, the exact form (Hendrycks & Gimpel 2016)."""

    name: str = "gelu"
    piecewise_linear: bool = False
    num_coefficients: int = 0

    def evaluate(self, z: Elementwise, order: int, coefficients: Tensor | None = None) -> Orders:
        """See ``Activation``."""
        if order == 0:
            return torch.nn.functional.gelu(z), None, None
        cumulative = torch.erf(z * math.sqrt(0.5)).add_(1.0).mul_(0.5)
        density = torch.exp(-0.5 * z * z).mul_(1.0 / math.sqrt(2.0 * math.pi))
        slope = torch.addcmul(cumulative, z, density)
        return z * cumulative, slope, (density * (2.0 - z * z) if order >= 2 else None)


@dataclass(frozen=True)
class Softplus:
    """log(1 + exp z), in the form that does not overflow."""

    name: str = "softplus"
    piecewise_linear: bool = False
    num_coefficients: int = 0

    def evaluate(self, z: Elementwise, order: int, coefficients: Tensor | None = None) -> Orders:
        """See ``Activation``."""
        # torch's softplus turns linear above its threshold: set it beyond double precision's reach
        h = torch.nn.functional.softplus(z, threshold=40.0)
        if order == 0:
            return h, None, None
        slope = torch.sigmoid(z)
        return h, slope, (torch.addcmul(slope, slope, slope, value=-1.0) if order >= 2 else None)


@dataclass(frozen=True)
class Polynomial:
    """a_0 + a_1 z + a_2 z^2 with coefficients learnt per layer, ``(members, 3)``."""

    name: str = "poly"
    piecewise_linear: bool = False
    num_coefficients: int = 3

    def evaluate(self, z: Elementwise, order: int, coefficients: Tensor | None = None) -> Orders:
        """See ``Activation``."""
        if coefficients is None:
            raise InputError("coefficients: the poly activation needs its (members, 3) tensor, got None")
        constant, linear, quadratic = (a[:, None, None] for a in coefficients.unbind(-1))
        h = constant + z * (linear + quadratic * z)
        if order == 0:
            return h, None, None
        slope = linear + 2.0 * quadratic * z
        return h, slope, ((2.0 * quadratic).expand_as(z) if order >= 2 else None)


ACTIVATIONS: dict[str, Activation] = {
    a.name: a for a in (Relu(), Tanh(), Silu(), Gelu(), Softplus(), Polynomial())
}


def get_activation(name: str) -> Activation:
    """Look an activation up by name.

    Raises:
        InputError: an unknown name; the message lists the known ones.
    """
    if name not in ACTIVATIONS:
        raise InputError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]

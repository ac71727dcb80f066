"""Guards: what a loop follows instead of the bare model, so that it stays where the model can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters.box import Box, as_box
from surrogate_opt.errors import InputError
from surrogate_opt.types import Differentiable, DifferentiableEnsemble, GradientSource

_MAX_DISTANCES = 1 << 22


class Guard(Protocol):
    """From the model that is minimized to the one that the loop follows."""

    def __call__(self, model: Differentiable) -> Differentiable:
        """Guard a model. Its values are to be minimized: ``minimize`` negates before it guards."""
        ...


def pessimistic(weight: float = 1.0) -> Guard:
    """Follow the members' mean plus their sample standard deviation: where they disagree looks worse.

    Args:
        weight: how many standard deviations are added, 0 or more.

    Returns:
        A guard for models of several members.

    Raises:
        InputError: a weight that is negative or not finite; later, a model without members.

    Source:
        The opposite sign of the confidence bound of Auer 2002; used against exploited errors of a model in
        offline optimization (Trabucco et al. 2021 discuss it).
    """
    _check_weight(weight)

    def guard(model: Differentiable) -> Differentiable:
        if not isinstance(model, DifferentiableEnsemble):
            raise InputError(
                "guard: expected a model of several members for 'pessimistic', "
                f"got {type(model).__name__} (it has no members_value_and_gradient)"
            )
        return _Pessimistic(model, weight)

    return guard


def near_data(x_train: Any, bounds: Any, radius: float, weight: float) -> Guard:
    """Add a penalty that grows with the squared distance beyond a radius around the training data.

    The penalty is weight * max(0, distance - radius)^2, where the distance to the nearest row is the root
    mean square over the inputs, in unit-box units. It is smooth but where the nearest row changes.

    Args:
        x_train: the training inputs, ``(n_train, d)``, raw units.
        bounds: ``(2, d)``, raw units; inputs of zero width do not count in the distance.
        radius: distance that costs nothing, in widths of the box, 0 or more.
        weight: in the model's units, 0 or more.

    Returns:
        A guard for any model. Around ``pessimistic``: ``lambda m: near_data(...)(pessimistic()(m))``.

    Raises:
        InputError: data of a wrong shape or not finite, a radius or weight that is negative.
    """
    box = as_box(bounds)
    data = torch.as_tensor(x_train).detach().double()
    if data.ndim != 2 or data.shape[-1] != box.dim or len(data) == 0:
        raise InputError(f"x_train: expected shape (n, {box.dim}), got {tuple(data.shape)}")
    if not torch.isfinite(data).all():
        raise InputError("x_train: expected finite numbers, got one that is infinite or NaN")
    _check_weight(weight)
    if not (radius >= 0 and math.isfinite(radius)):
        raise InputError(f"radius: expected 0 or more, got {radius}")
    unit_data = box.to_unit(data)

    def guard(model: Differentiable) -> Differentiable:
        return _NearData(model, unit_data, box, radius, weight)

    return guard


def as_guard(guard: Any) -> Guard:
    """A guard by name or as it is.

    Args:
        guard: "pessimistic" (weight 1), or a function from model to model.

    Returns:
        The guard.

    Raises:
        InputError: another name or something that cannot be called.
    """
    if guard == "pessimistic":
        return pessimistic()
    if isinstance(guard, str) or not callable(guard):
        raise InputError(f"guard: expected 'pessimistic' or a function from model to model, got {guard!r}")
    checked: Guard = guard
    return checked


@dataclass(frozen=True)
class _Pessimistic:
    model: DifferentiableEnsemble
    weight: float

    @property
    def gradient_source(self) -> GradientSource:
        return self.model.gradient_source

    def value(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        return self.value_and_gradient(x)[0]

    def value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        values, gradients = self.model.members_value_and_gradient(x)
        mean, mean_gradient = values.mean(0), gradients.mean(0)
        # The sample deviation, as predictions show it; of one member, 0.
        deviation, divisor = values - mean, max(len(values) - 1, 1)
        std = (deviation.square().sum(0) / divisor).sqrt()
        # d std / dx = sum over members of deviation / (divisor std) times gradient; the deviations sum to 0,
        # so the mean gradient drops out. Where members agree, 0: the subgradient of least norm.
        relative = torch.where(std > 0, deviation / torch.where(std > 0, std, 1.0), 0.0) / divisor
        std_gradient = (relative.unsqueeze(-1) * gradients).sum(0)
        return mean + self.weight * std, mean_gradient + self.weight * std_gradient


@dataclass(frozen=True)
class _NearData:
    model: Differentiable
    unit_data: Float[Tensor, "n d"]
    box: Box
    radius: float
    weight: float

    @property
    def gradient_source(self) -> GradientSource:
        return self.model.gradient_source

    def value(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        return self.model.value(x) + self._penalty(x)[0]

    def value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        value, gradient = self.model.value_and_gradient(x)
        penalty, penalty_gradient = self._penalty(x)
        return value + penalty, gradient + penalty_gradient

    def _penalty(self, x: Tensor) -> tuple[Tensor, Tensor]:
        d = x.shape[-1]
        offset = _to_nearest(self.box.to_unit(x).reshape(-1, d), self.unit_data).reshape(x.shape)
        distance = offset.square().mean(-1).sqrt()
        excess = (distance - self.radius).clamp_min(0.0)
        # d distance / du = offset / (d distance); where the excess is 0, so is the gradient.
        slope = 2 * self.weight * excess / (d * torch.where(excess > 0, distance, 1.0))
        safe_width = torch.where(self.box.free, self.box.width, 1.0)
        return self.weight * excess.square(), slope.unsqueeze(-1) * offset / safe_width


def _to_nearest(u: Float[Tensor, "q d"], data: Float[Tensor, "n d"]) -> Float[Tensor, "q d"]:
    """From the nearest row of data to each point, a block of points at a time."""
    block = max(1, _MAX_DISTANCES // len(data))
    nearest = [torch.cdist(part, data).argmin(-1) for part in u.split(block)]  # type: ignore[no-untyped-call]  # torch
    return u - data[torch.cat(nearest)]


def _check_weight(weight: float) -> None:
    if not (weight >= 0 and math.isfinite(weight)):
        raise InputError(f"weight: expected 0 or more, got {weight}")

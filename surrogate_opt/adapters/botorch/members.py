"""The members of one output as a torch module: networks, scaling and calibration in its state, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from surrogate_opt.adapters.botorch.trend import trend_features
from surrogate_opt.data import Scaling
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP

VARIANCE_FLOOR = 1e-6  # of the output's variance: the members' spread counts down to 0.1% of the output's


class OutputMembers(nn.Module):
    """The members of one output, in raw units: a stack, its scaling, and how far the members are spread.

    Values are mean + calibration sqrt(K / (K - 1)) (member - mean): their variance (divided by K) is the
    members' sample variance times calibration^2. Everything is in ``state_dict``, and stays float64 whatever
    the module is converted to: analytic acquisition functions call ``.to(X)``.

    Args:
        stack: the members, one output, in network coordinates; copied.
        scaling: between raw units and network coordinates.
        calibration: what the members' deviation is multiplied with (``calibration.held_out_scale``).
        variance_floor: share of the output's variance that is added to the posterior's.
        trend: coefficients of ``trend_features`` in raw units, added to every member, ``(d + 2,)``.

    Raises:
        InputError: a single member (no spread, so no uncertainty), several outputs, parameters that are not
            finite, or a calibration or floor that is not positive.
    """

    weights: Tensor
    lower: Tensor
    upper: Tensor
    y_mean: Tensor
    y_std: Tensor
    calibration: Tensor
    variance_share: Tensor
    trend: Tensor

    def __init__(
        self,
        stack: StackedMLP,
        scaling: Scaling,
        *,
        calibration: float = 1.0,
        variance_floor: float = VARIANCE_FLOOR,
        trend: Float[Tensor, " r"] | None = None,
    ) -> None:
        super().__init__()
        _check_stack(stack, scaling)
        _check_positive("calibration", calibration)
        _check_positive("variance_floor", variance_floor)
        self._stack = stack.to(torch.float64)
        self.register_buffer("weights", self._stack.flat)
        self.register_buffer("lower", scaling.lower.double().clone())
        self.register_buffer("upper", scaling.upper.double().clone())
        flat = scaling.lower.new_zeros(len(scaling.lower) + 2, dtype=torch.float64)
        self.register_buffer("trend", flat if trend is None else trend.double().clone())
        numbers = {
            "y_mean": scaling.y_mean,
            "y_std": scaling.y_std,
            "calibration": calibration,
            "variance_share": variance_floor,
        }
        for name, number in numbers.items():
            self.register_buffer(name, torch.tensor(number, dtype=torch.float64))

    @property
    def num_inputs(self) -> int:
        """The number d of inputs."""
        return self._stack.sizes[0]

    @property
    def num_members(self) -> int:
        """The number K of members."""
        return self._stack.num_members

    @property
    def variance_floor(self) -> Float[Tensor, ""]:
        """What is added to the posterior's variance, raw units squared."""
        return self.variance_share * self.y_std.square()

    def forward(self, x: Float[Tensor, "*batch q d"]) -> Float[Tensor, "*batch members q"]:
        """Every member's value at raw points, spread by the calibration."""
        scaling = Scaling(self.lower, self.upper, float(self.y_mean), float(self.y_std))
        flat = scaling.unit(x.double()).reshape(1, -1, self.num_inputs)
        stack = self._stack.with_parameters(self.weights)
        values = scaling.raw_target(stack.forward(flat)[..., 0]) + trend_features(flat[0]) @ self.trend
        mean = values.mean(0)
        factor = self.calibration * math.sqrt(self.num_members / (self.num_members - 1))
        spread = mean + factor * (values - mean)
        return spread.view(self.num_members, *x.shape[:-1]).movedim(0, -2)

    def architecture(self) -> dict[str, Any]:
        """What ``from_tensors`` has to know beside the tensors."""
        return {
            "sizes": list(self._stack.sizes),
            "num_members": self.num_members,
            "activation": self._stack.activation.name,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], architecture: dict[str, Any]) -> Self:
        """The inverse of ``state_dict`` and ``architecture``.

        Raises:
            ValueError, KeyError: they do not belong together.
        """
        stack = StackedMLP(
            tuple(architecture["sizes"]),
            architecture["num_members"],
            architecture["activation"],
            dtype=torch.float64,
        )
        shape = tuple(tensors["weights"].shape)
        if shape != stack.flat.shape:
            raise InputError(f"weights: expected the shape {tuple(stack.flat.shape)}, got {shape}")
        stack.flat.copy_(tensors["weights"])
        return cls(
            stack,
            Scaling(tensors["lower"], tensors["upper"], tensors["y_mean"].item(), tensors["y_std"].item()),
            calibration=tensors["calibration"].item(),
            variance_floor=tensors["variance_share"].item(),
            trend=tensors["trend"],
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow a move to another device, never to another precision."""
        for name, buffer in self.named_buffers():
            setattr(self, name, buffer.to(fn(buffer).device))
        return self


def _check_positive(label: str, number: float) -> None:
    """Refuse a number that is not finite and above 0."""
    if not 0.0 < number < math.inf:
        raise InputError(f"{label}: expected a finite number above 0, got {number}")


def _check_stack(stack: StackedMLP, scaling: Scaling) -> None:
    if stack.num_members < 2:
        raise InputError(
            f"stack: expected at least 2 members, whose spread is the uncertainty, got {stack.num_members}"
        )
    if stack.sizes[-1] != 1:
        raise InputError(f"stack: expected one output, got {stack.sizes[-1]}")
    if not bool(stack.flat.isfinite().all()):
        raise InputError("stack: expected finite parameters, got nan or inf")
    shapes = tuple(scaling.lower.shape), tuple(scaling.upper.shape)
    if shapes != ((stack.sizes[0],),) * 2 or not bool((scaling.lower < scaling.upper).all()):
        raise InputError(f"scaling: expected lower < upper of shape ({stack.sizes[0]},), got shapes {shapes}")
    _check_positive("scaling.y_std", scaling.y_std)

"""One layer of a module as it was called: its weight, the slope behind it, what multiplies both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Scale = Tensor | float


@dataclass(eq=False)
class TracedLayer:
    """One call of a layer.

    Attributes:
        function: of torch that was called.
        weight: ``(channels, ...)``, as it was used.
        shape: of the layer's output z.
        slope: phi'(z) wherever the activation was evaluated; None where the layer is linear.
        scale: by which the layer's output was multiplied before its activation, a number or one a channel.
    """

    function: str
    weight: Float[Tensor, "channels ..."]
    shape: torch.Size
    slope: Tensor | None = None
    scale: Scale = 1.0

    @property
    def is_convolution(self) -> bool:
        """Whether channels come second in z, and not last."""
        return self.function != "linear"

    @property
    def has_batch_axis(self) -> bool:
        """Whether z has an axis of examples, and is not that of one alone."""
        return len(self.shape) == self.weight.ndim if self.is_convolution else len(self.shape) > 1

    def squared_row_norms(self) -> Float[Tensor, " channels"]:
        """||W_j||^2 of every output channel, times its squared scale."""
        return self.weight.flatten(1).square().sum(1) * self.scale**2

    def mean_squared_slope(self) -> Float[Tensor, " channels"] | None:
        """phi'^2 of every output channel, averaged over examples and positions; None where it is 1."""
        if self.slope is None:
            return None
        return self.by_channel(self.slope).square().mean(1)

    def fits(self, slope: Tensor) -> bool:
        """Whether a slope is one of this layer's channels: of every output, or pooled after a convolution."""
        if not self.is_convolution:
            return slope.numel() == self.shape.numel()
        per_position = self._batch * len(self.weight)
        return slope.numel() <= self.shape.numel() and slope.numel() % per_position == 0

    def by_channel(self, slope: Tensor, batch: int | None = None) -> Float[Tensor, "channels points"]:
        """A slope's numbers by channel; ``batch`` where it is not the call's."""
        channels = len(self.weight)
        if self.is_convolution:
            return slope.reshape(batch or self._batch, channels, -1).transpose(0, 1).flatten(1)
        return slope.reshape(-1, channels).T

    @property
    def _batch(self) -> int:
        return self.shape[0] if self.has_batch_axis else 1

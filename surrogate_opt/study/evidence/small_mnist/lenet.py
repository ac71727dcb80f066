"""LeNet-5 with max pooling and ReLU, bare, with dropout or with batch normalization."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

NUM_PARAMETERS = 61_706
"""Of the network without batch normalization; the paper's count."""


class LeNet5(nn.Module):
    """Two 5x5 convolutions (6 and 16 channels, the first one padded by 2), dense layers of 120, 84 and 10.

    Batch normalization, where there is any, follows every convolution and every hidden dense layer; dropout
    follows every hidden dense layer.

    Args:
        dropout: share of dense units left out while training.
        batch_norm: whether there is batch normalization.
        generator: of the dropped units, on the CPU wherever the network runs, so that they are the same.

    Source:
        LeCun et al. 1998; its layers as the count of parameters in Varga, Csiszarik & Zombori 2018, Section
        6.1.1, has them.
    """

    def __init__(
        self, *, dropout: float = 0.0, batch_norm: bool = False, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        # pooling first, for speed: it commutes with ReLU
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.BatchNorm2d(6) if batch_norm else nn.Identity(),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(6, 16, 5),
            nn.BatchNorm2d(16) if batch_norm else nn.Identity(),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            *_dense(400, 120, dropout, batch_norm, generator),
            *_dense(120, 84, dropout, batch_norm, generator),
            nn.Linear(84, 10),
        )

    def forward(self, x: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 10"]:
        """Logits."""
        logits: Tensor = self.layers(x)
        return logits


class SeededDropout(nn.Module):
    """Dropout that draws from a generator of its own, so that methods can be compared on equal draws.

    Args:
        rate: probability of a zero; the rest is divided by 1 - rate.
        generator: of the draws; torch's own where there is none.
    """

    def __init__(self, rate: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.rate = rate
        self._generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """The input with zeros while training, the input itself after."""
        if not self.training or self.rate == 0.0:
            return x
        kept = torch.empty(x.shape, dtype=x.dtype).bernoulli_(1.0 - self.rate, generator=self._generator)
        return x * (kept.to(x.device) / (1.0 - self.rate))


def _dense(
    num_in: int, num_out: int, dropout: float, batch_norm: bool, generator: torch.Generator | None
) -> tuple[nn.Module, ...]:
    normalized = nn.BatchNorm1d(num_out) if batch_norm else nn.Identity()
    return nn.Linear(num_in, num_out), normalized, nn.ReLU(), SeededDropout(dropout, generator)

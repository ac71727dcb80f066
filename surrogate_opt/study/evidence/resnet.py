"""A residual network for images of 32 x 32 pixels."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

NUM_CLASSES = 10


class ResidualBlock(nn.Module):
    """ReLU of x plus conv-batchnorm-ReLU-conv-batchnorm of x.

    Where the block changes the shape, x passes through a 1x1 convolution and batch normalization.

    Args:
        num_in: channels that come.
        num_out: channels that go.
        stride: of the first convolution.
    """

    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(num_in, num_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(num_out),
            nn.ReLU(),
            nn.Conv2d(num_out, num_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_out),
        )
        same = num_in == num_out and stride == 1
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(num_in, num_out, 1, stride, bias=False), nn.BatchNorm2d(num_out))
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """The block's output."""
        summed: Tensor = self.residual(x) + self.shortcut(x)
        return summed.relu()


class ResidualNetwork(nn.Module):
    """A convolution, levels of residual blocks, the mean over positions, a linear layer.

    Every level but the first begins with a block of stride 2. With the default filters and blocks there are
    2.4 million parameters.

    Args:
        filters: of each level.
        blocks: of each level.

    Source:
        He et al. 2015; filters as in Varga, Csiszarik & Zombori 2018, Section 6.1.2, blocks by its "around
        2.5 million parameters".
    """

    def __init__(self, filters: tuple[int, ...] = (48, 96, 192), blocks: int = 3) -> None:
        super().__init__()
        levels: list[nn.Module] = []
        num_in = filters[0]
        for level, num_out in enumerate(filters):
            for block in range(blocks):
                levels.append(ResidualBlock(num_in, num_out, 2 if level and not block else 1))
                num_in = num_out
        self.layers = nn.Sequential(
            nn.Conv2d(3, filters[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(filters[0]),
            nn.ReLU(),
            *levels,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(num_in, NUM_CLASSES),
        )

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 10"]:
        """Logits."""
        logits: Tensor = self.layers(x)
        return logits

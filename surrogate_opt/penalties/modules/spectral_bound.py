"""Spectral norms of a module's layers held at most at a bound, as a parametrization of their weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from surrogate_opt.errors import InputError

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_WARM_UP = 15


class SpectralBound(nn.Module):
    """W becomes W min(1, c / sigma): its largest singular value is at most c.

    While training, sigma comes from one round of power iteration a call, singular vectors held constant in
    the gradient; the first call after ``eval()`` decomposes the weight, since an estimate of few rounds
    bounds nothing.

    Args:
        weight: of a layer, ``(n_out, ...)``; a convolution's counts as the matrix of its flattened kernels.
        bound: c.

    Source:
        Miyato et al. 2018, Algorithm 1, with a bound in place of their norm 1.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, bound: float = 1.0) -> None:
        super().__init__()
        if not 0.0 < bound < math.inf:
            raise InputError(f"bound: expected a positive number, got {bound}")
        self.bound = bound
        matrix = weight.detach().flatten(1)
        largest = matrix[matrix.norm(dim=1).argmax()]
        self.register_buffer("v", nn.functional.normalize(largest, dim=0))
        self.register_buffer("u", nn.functional.normalize(matrix @ self.v, dim=0))
        self._settled = False
        self._iterate(matrix, _WARM_UP)

    def forward(self, weight: Tensor) -> Tensor:
        """The bounded weight."""
        matrix = weight.flatten(1)
        if self.training:
            self._iterate(matrix, 1)
            self._settled = False
        elif not self._settled:
            self._settle(matrix)
        sigma = self.u @ matrix @ self.v
        return weight * (self.bound / sigma).clamp_max(1.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What to begin from, so that an assigned weight within the bound stays as it is."""
        return weight

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, rounds: int) -> None:
        # fresh tensors: an earlier call's graph still needs the old vectors
        for _ in range(rounds):
            self.v = nn.functional.normalize(matrix.detach().mT @ self.u, dim=0)
            self.u = nn.functional.normalize(matrix.detach() @ self.v, dim=0)

    @torch.no_grad()
    def _settle(self, matrix: Tensor) -> None:
        """The leading singular vectors themselves."""
        left, _, right = torch.linalg.svd(matrix.detach(), full_matrices=False)
        self.u, self.v = left[:, 0].contiguous(), right[0].contiguous()
        self._settled = True


def bound_spectral_norms(model: nn.Module, bound: float = 1.0) -> nn.Module:
    """Put a ``SpectralBound`` on every Linear and Conv layer, in place; returns the model.

    Args:
        model: any module.
        bound: the most that any layer's spectral norm may be; 1 is Miyato's.

    Raises:
        InputError: no such layer, or a bound that is not positive.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _LAYERS)]
    if not layers:
        raise InputError("model: expected at least one Linear or Conv layer, found none")
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", SpectralBound(layer.weight, bound))
    return model

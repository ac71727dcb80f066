"""Spectral norms of a module's layers held at most at a bound, as a parametrization of their weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

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
        matrix = _matrix(weight)
        num_rows, num_columns = matrix.shape
        self.register_buffer("u", torch.full_like(matrix[:, 0], num_rows**-0.5))
        self.register_buffer("v", torch.full_like(matrix[0], num_columns**-0.5))
        self._settled_on: Tensor | None = None
        self._iterate(matrix, _WARM_UP)

    def forward(self, weight: Tensor) -> Tensor:
        """The bounded weight."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = _matrix(weight)
            if self.training:
                self._iterate(matrix, 1)
                self._settled_on = None
            elif self._settled_on is None or not torch.equal(self._settled_on, matrix):
                self._settle(matrix)
            sigma = self.u @ weight.flatten(1).to(matrix.dtype) @ self.v
            factor = self.bound / sigma.abs().clamp_min(self.bound)
        return weight * factor.to(weight.dtype)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What to begin from, so that an assigned weight within the bound stays as it is."""
        return weight

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Forget the decomposed weight: it does not follow to another device or precision."""
        self._settled_on = None
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._settled_on = None  # singular vectors may be another weight's now
        super()._load_from_state_dict(*args, **kwargs)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, rounds: int) -> None:
        # fresh tensors: an earlier call's graph still needs the old vectors
        u, v = self.u.to(matrix), self.v.to(matrix)  # a module in half precision has its vectors in it too
        for _ in range(rounds):
            v = _direction(matrix.mT @ u, v)
            u = _direction(matrix @ v, u)
        self.u, self.v = u, v

    @torch.no_grad()
    def _settle(self, matrix: Tensor) -> None:
        """The leading singular vectors themselves."""
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        self.u, self.v = left[:, 0].contiguous(), right[0].contiguous()
        self._settled_on = matrix.clone()


def _matrix(weight: Tensor) -> Tensor:
    """The weight as a matrix without its graph, in at least single precision."""
    matrix = weight.detach().flatten(1)
    return matrix if matrix.dtype == torch.float64 else matrix.float()


def _direction(product: Tensor, last: Tensor) -> Tensor:
    """The unit vector along a product; the last one where the product is zero."""
    norm = product.norm()
    return torch.where(norm > 0.0, product / norm.clamp_min(1e-30), last)


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

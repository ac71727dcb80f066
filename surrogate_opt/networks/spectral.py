"""Spectral norms of stacked weight matrices: power iteration while training, exact afterwards.

Source: Miyato et al. 2018, Algorithm 1. They normalize every layer to norm 1; here the norm is *at most* a
bound c, one per member, and an infinite bound leaves a member alone; an exact one is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def spectral_norms(weight: Float[Tensor, "members n_in n_out"]) -> Float[Tensor, " members"]:
    """Largest singular value of each member's matrix, by a full decomposition; NaN where it is not finite."""
    finite = torch.isfinite(weight).flatten(1).all(1)
    norms = torch.linalg.matrix_norm(torch.where(finite[:, None, None], weight, 0.0), ord=2)
    return torch.where(finite, norms, torch.nan)


@dataclass
class PowerIteration:
    """Running estimate of the leading singular pair of one layer of every member.

    Attributes:
        left: estimate of the leading singular vector on the input side, ``(members, 1, n_in)``.
        right: on the output side, ``(members, 1, n_out)``.
        norm: the estimated spectral norm, ``(members, 1, 1)``.
    """

    left: Float[Tensor, "members 1 n_in"]
    right: Float[Tensor, "members 1 n_out"]
    norm: Float[Tensor, "members 1 1"]

    @classmethod
    def start(cls, weight: Float[Tensor, "members n_in n_out"], iterations: int = 30) -> PowerIteration:
        """Begin at the largest column of each matrix, and iterate."""
        largest = weight.square().sum(1).argmax(-1)
        column = weight.gather(2, largest[:, None, None].expand(-1, weight.shape[1], 1)).transpose(1, 2)
        left = column / column.norm(dim=-1, keepdim=True).clamp_min(1e-30)
        state = cls(left, left, left[..., :1])
        state.iterate(weight, iterations)
        return state

    def iterate(self, weight: Float[Tensor, "members n_in n_out"], iterations: int = 1) -> None:
        """Improve the estimate by some rounds of power iteration."""
        for _ in range(iterations):
            right = torch.bmm(self.left, weight)
            self.right = right / right.norm(dim=-1, keepdim=True).clamp_min(1e-30)
            left = torch.bmm(self.right, weight.transpose(1, 2))
            self.norm = left.norm(dim=-1, keepdim=True).clamp_min(1e-30)
            self.left = left / self.norm

    def shrinkage(
        self, bound: Float[Tensor, "members 1 1"], exact: Bool[Tensor, "members 1 1"] | None = None
    ) -> Float[Tensor, "members 1 1"]:
        """The factor min(1, c / sigma) that keeps the layer's norm at most c; c / sigma where it is exact."""
        ratio = bound / self.norm
        shrunk = ratio.clamp_max(1.0)
        return shrunk if exact is None else torch.where(exact, ratio, shrunk)

    def pull_back(
        self,
        gradient: Float[Tensor, "members n_in n_out"],
        weight: Float[Tensor, "members n_in n_out"],
        shrinkage: Float[Tensor, "members 1 1"],
        exact: Bool[Tensor, "members 1 1"] | None = None,
    ) -> None:
        """Turn the gradient at the bounded weight into that at the raw weight, in place.

        With W_bar = c W / sigma and u, v held constant: (c / sigma) (G - <G, W / sigma> u v^T). Where the
        bound does not bind, the gradient passes unchanged.
        """
        inner = (gradient * weight).sum((1, 2), keepdim=True) / self.norm
        binds = shrinkage < 1.0 if exact is None else (shrinkage < 1.0) | exact
        left = self.left.transpose(1, 2) * (inner * binds)
        gradient.baddbmm_(left, self.right, alpha=-1.0).mul_(shrinkage)

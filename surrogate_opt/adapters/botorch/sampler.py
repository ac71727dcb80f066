"""The posterior of an ensemble as a finite set of functions, and a sampler that goes through all of them."""

from __future__ import annotations

import math

import torch
from botorch.posteriors.ensemble import EnsemblePosterior
from botorch.posteriors.posterior import Posterior
from botorch.sampling.base import MCSampler
from botorch.sampling.get_sampler import GetSampler
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.errors import InputError


class EnsembleSurrogatePosterior(EnsemblePosterior):
    """K equally likely functions; a sample is one of them, the same one in every t-batch element.

    The moments are those of the members, so that averages over ``AllMembersSampler``'s samples and the mean
    and variance say the same. Samplers of normal base samples, which much BoTorch code makes by hand, get
    draws of the Gaussian with the members' mean and covariance over points and outputs.

    Args:
        values: what each member says, ``(*batch, K, q, m)``.
        variance_floor: added to every variance, ``(m,)``: Log-EI has finite gradients where members agree.
    """

    def __init__(
        self, values: Float[Tensor, "*batch members q m"], variance_floor: Float[Tensor, " m"]
    ) -> None:
        super().__init__(values)
        self._variance_floor = variance_floor

    @property
    def variance(self) -> Float[Tensor, "*batch q m"]:
        """Variance of the members (divided by K) and the floor; smooth, where a maximum has a kink."""
        return self.values.var(-3, correction=0) + self._variance_floor

    @property
    def base_sample_shape(self) -> torch.Size:
        """One standard normal number a member."""
        return self.batch_shape + torch.Size([self.ensemble_size])

    @property
    def batch_range(self) -> tuple[int, int]:
        """Normal samplers share base samples over all t-batch elements."""
        return 0, -1

    def rsample(self, sample_shape: torch.Size | None = None) -> Float[Tensor, "*samples *batch q m"]:
        """Draw whole members at random; each comes once before any comes twice.

        Args:
            sample_shape: how many draws; one where it is empty or not given.
        """
        shape = torch.Size([1]) if not sample_shape else torch.Size(sample_shape)
        rounds = math.ceil(shape.numel() / self.ensemble_size)
        members = torch.cat([torch.randperm(self.ensemble_size) for _ in range(rounds)])
        return self.values.movedim(-3, 0)[members[: shape.numel()].view(shape)]

    def rsample_from_base_samples(
        self, sample_shape: torch.Size, base_samples: Tensor
    ) -> Float[Tensor, "*samples *batch q m"]:
        """Members by number, or draws of the Gaussian with the members' mean and covariance.

        Args:
            sample_shape: how many draws.
            base_samples: whole numbers, ``(*sample_shape, *batch)``, or standard normal ones,
                ``(*sample_shape, *batch, K)``.
        """
        if not base_samples.is_floating_point():
            return super().rsample_from_base_samples(sample_shape, base_samples)
        mean = self.values.mean(-3, keepdim=True)
        root = (self.values - mean) / math.sqrt(self.ensemble_size)
        return mean.squeeze(-3) + torch.einsum("...k,...kqm->...qm", base_samples, root)


class AllMembersSampler(MCSampler):
    """Goes through all members instead of drawing some, the same ones in every t-batch element.

    BoTorch's ``IndexSampler`` draws members anew for each t-batch element, so that restarts of an optimizer
    are compared on different functions, and on others again when one of them has converged.

    Args:
        num_members: K; whatever number of samples was asked for, these are all there are.
    """

    def __init__(self, num_members: int) -> None:
        super().__init__(torch.Size([num_members]), seed=0)  # without a seed BoTorch draws one globally

    def forward(  # type: ignore[override]  # as BoTorch's own: each posterior has its sampler
        self, posterior: EnsemblePosterior
    ) -> Float[Tensor, "members *batch q m"]:
        """Every member's values, members first.

        Raises:
            InputError: a posterior of another number of members.
        """
        if posterior.ensemble_size != self.sample_shape[0]:
            raise InputError(
                f"posterior: expected {self.sample_shape[0]} members, got {posterior.ensemble_size}"
            )
        return posterior.values.movedim(-3, 0)

    def _update_base_samples(self, posterior: Posterior, base_sampler: MCSampler) -> None:
        """Nothing to keep in step: there are no base samples."""


@GetSampler.register(EnsembleSurrogatePosterior)  # type: ignore[misc]  # has no types
def _all_members(
    posterior: EnsembleSurrogatePosterior, sample_shape: torch.Size, *, seed: int | None = None
) -> AllMembersSampler:
    """What BoTorch's acquisition functions sample with where the user names no sampler."""
    return AllMembersSampler(posterior.ensemble_size)

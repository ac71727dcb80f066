"""Networks with a Bayesian last layer as a BoTorch model: joint posteriors, exact conditioning, fantasies."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any, Self

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.posteriors.posterior import Posterior
from botorch.sampling.base import MCSampler
from gpytorch.distributions import MultivariateNormal  # type: ignore[import-untyped]  # has no types
from jaxtyping import Float
from linear_operator.operators import DenseLinearOperator  # type: ignore[import-untyped]  # has no types
from torch import Tensor

from surrogate_opt.adapters.botorch.last_layer_features import FeatureRegression
from surrogate_opt.errors import InputError

JITTER = 1e-8  # of the output's variance: equal points have a singular covariance


class LastLayerModel(Model):
    """Networks with a Bayesian last layer, one output; raw units in and out.

    The posterior is Gaussian, jointly over q points. Observations that come after training are kept beside
    the head, and the posterior is the base's, conditioned on them: exact, at the cost of a linear system of
    their number, and differentiable by where they were made. The networks are not trained again.

    Everything is in ``state_dict``, and stays float64 whatever the model is converted to: analytic
    acquisition functions call ``.to(X)``.

    Args:
        base: the posterior before them.
        observed_x: where they were made, raw units, ``(*batch, k, d)``.
        observed_y: what came, raw units, ``(*batch', k)``; the two batches are broadcast.

    Raises:
        InputError: observations whose shapes do not belong together.
    """

    observed_x: Tensor
    observed_y: Tensor

    def __init__(
        self,
        base: FeatureRegression,
        observed_x: Float[Tensor, "*batch k d"] | None = None,
        observed_y: Float[Tensor, "*batches k"] | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        x = base.weights.new_zeros(0, base.num_inputs) if observed_x is None else observed_x
        y = base.weights.new_zeros(0) if observed_y is None else observed_y
        _check_points("observed_x", x, base.num_inputs)
        if y.shape[-1:] != x.shape[-2:-1]:
            raise InputError(f"observed_y: expected the shape (..., {x.shape[-2]}), got {tuple(y.shape)}")
        _common_batch(x.shape[:-2], y.shape[:-1])
        self.register_buffer("observed_x", x)
        self.register_buffer("observed_y", y)

    @property
    def num_outputs(self) -> int:
        """One."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """That of the observations; empty before there are any."""
        return _common_batch(self.observed_x.shape[:-2], self.observed_y.shape[:-1])

    def posterior(
        self,
        X: Float[Tensor, "*batch q d"],
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Posterior:
        """The joint posterior over q points.

        Args:
            X: points, raw units; their batch is broadcast with the model's.
            output_indices: None or [0].
            observation_noise: add the noise's variance.
            posterior_transform: applied to the answer.

        Raises:
            InputError: points of a wrong shape, an output that is not there, or noise as a tensor.
        """
        _check_points("X", X, self.base.num_inputs)
        if output_indices is not None:
            _check_outputs(output_indices)
        if isinstance(observation_noise, Tensor):
            raise InputError("observation_noise: expected True or False for a last layer, got a tensor")
        mean, covariance = self._moments(X)
        base = self.base
        variance = JITTER + base.noise if observation_noise else torch.full_like(base.noise, JITTER)
        covariance = covariance + variance * torch.eye(X.shape[-2]).to(covariance)
        posterior = GPyTorchPosterior(
            MultivariateNormal(
                base.y_mean + base.y_std * mean,
                # as an operator, for torch would take the Cholesky factor of a plain tensor at once
                DenseLinearOperator(base.y_std.square() * covariance),
            )
        )
        return posterior if posterior_transform is None else posterior_transform(posterior=posterior, X=X)

    def subset_output(self, idcs: list[int]) -> LastLayerModel:
        """This model, for [0] is all there is."""
        _check_outputs(idcs)
        return self

    def condition_on_observations(
        self, X: Float[Tensor, "*batch k d"], Y: Float[Tensor, "*batches k 1"], **kwargs: Any
    ) -> LastLayerModel:
        """The model that has seen further observations; it shares the networks and the head with this one.

        Args:
            X: where, raw units.
            Y: what came, with the model's noise on it; batches are broadcast with those of X and the model's.
            **kwargs: none.

        Raises:
            InputError: shapes that do not belong together, or a noise of the observations' own.
        """
        _check_points("X", X, self.base.num_inputs)
        if Y.ndim < 2 or Y.shape[-2:] != (X.shape[-2], 1):
            raise InputError(f"Y: expected the shape (..., {X.shape[-2]}, 1), got {tuple(Y.shape)}")
        if kwargs:
            raise InputError(f"condition_on_observations: expected X and Y alone, got {', '.join(kwargs)}")
        return LastLayerModel(
            self.base,
            _appended(self.observed_x, X.double(), 2),
            _appended(self.observed_y, Y[..., 0].double(), 1),
        )

    def fantasize(self, X: Float[Tensor, "*batch k d"], sampler: MCSampler, **kwargs: Any) -> LastLayerModel:
        """The model conditioned on draws of what would be observed at X.

        Args:
            X: where, raw units.
            sampler: of the draws; they become the first batch dimensions.
            **kwargs: ``observation_noise``, which must be None: the model's own.

        Raises:
            InputError: an observation noise is given.
        """
        if any(value is not None for value in kwargs.values()):
            raise InputError(f"fantasize: expected X and a sampler alone, got {', '.join(kwargs)}")
        return self.condition_on_observations(X, sampler(self.posterior(X, observation_noise=True)))

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What ``from_tensors`` rebuilds the model from: its state, and plain numbers and strings."""
        return dict(self.state_dict()), self.base.architecture()

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], about: dict[str, Any]) -> LastLayerModel:
        """The inverse of ``to_tensors``.

        Raises:
            ValueError, KeyError, RuntimeError: the two do not belong together.
        """
        own = {name.removeprefix("base."): tensor for name, tensor in tensors.items()}
        base = FeatureRegression.from_tensors(own, about)
        return cls(base, own["observed_x"], own["observed_y"])

    def _moments(self, X: Tensor) -> tuple[Float[Tensor, "*batch q"], Float[Tensor, "*batch q q"]]:
        """Mean and covariance in standardized units, given the observations."""
        mean, root = self.base(X)
        covariance = root @ root.mT
        if self.observed_y.shape[-1] == 0:
            batch = _common_batch(self.batch_shape, mean.shape[:-1])
            return mean.expand(*batch, -1), covariance.expand(*batch, -1, -1)
        base = self.base
        observed_mean, observed_root = base(self.observed_x)
        among = observed_root @ observed_root.mT
        factor = torch.linalg.cholesky(among + base.noise * torch.eye(among.shape[-1]).to(among))
        surprise = (self.observed_y - base.y_mean) / base.y_std - observed_mean
        # With K = L L^T among the observations: L^-1 K(observed, X) and L^-1 (y - mean)
        seen = torch.linalg.solve_triangular(factor, observed_root @ root.mT, upper=False)
        news = torch.linalg.solve_triangular(factor, surprise[..., None], upper=False)
        mean = mean + (seen.mT @ news)[..., 0]
        return mean, (covariance - seen.mT @ seen).expand(*mean.shape, -1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow a move to another device, never to another precision."""
        for module in (self, self.base):
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(fn(buffer).device))
        return self


def _check_points(label: str, x: Tensor, num_inputs: int) -> None:
    if x.ndim < 2 or x.shape[-1] != num_inputs:
        raise InputError(f"{label}: expected the shape (..., q, {num_inputs}), got {tuple(x.shape)}")


def _check_outputs(indices: list[int]) -> None:
    if indices not in ([0], [-1]):
        raise InputError(f"outputs: expected [0], all that a last layer has, got {indices}")


def _common_batch(first: torch.Size, second: torch.Size) -> torch.Size:
    """The shape that two batches are broadcast to."""
    widths = [set(pair) - {1} for pair in zip_longest(reversed(first), reversed(second), fillvalue=1)]
    if any(len(width) > 1 for width in widths):
        raise InputError(
            f"observations: expected batches that can be broadcast, got {tuple(first)} and {tuple(second)}"
        )
    return torch.Size(max(width, default=1) for width in reversed(widths))


def _appended(old: Tensor, new: Tensor, event_dim: int) -> Tensor:
    """Rows of one and then of the other, their batches broadcast; the event is what is behind the batch."""
    batch = _common_batch(old.shape[:-event_dim], new.shape[:-event_dim])
    parts = [part.expand(*batch, *part.shape[-event_dim:]) for part in (old, new)]
    return torch.cat(parts, -event_dim)

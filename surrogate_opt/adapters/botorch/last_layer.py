"""Networks with a Bayesian last layer as a BoTorch model: joint posteriors, exact conditioning, fantasies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior, Posterior
from botorch.sampling.base import MCSampler
from gpytorch.distributions import MultivariateNormal  # type: ignore[import-untyped]  # has no types
from jaxtyping import Float
from linear_operator.operators import DenseLinearOperator  # type: ignore[import-untyped]  # has no types
from torch import Tensor, nn

from surrogate_opt.adapters.botorch.last_layer_head import Head
from surrogate_opt.data import Scaling
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP

JITTER = 1e-8  # of the output's variance: equal points have a singular covariance


def hidden_features(stack: StackedMLP, u: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    """Last hidden activations of all members, over the square root of their number, side by side."""
    members = torch.cat([stack.run(chunk).inputs[-1] for chunk in stack.chunks(u[None])], 1)
    features = members.transpose(0, 1).reshape(len(u), -1)
    return features / math.sqrt(features.shape[1])


def trend_features(u: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
    """A plane, a bowl and a constant: u / sqrt(d), |u|^2 / d and 1, for u in [-1, 1]^d.

    Hidden units of tanh are flat far from the data; the bowl lets the mean rise or fall toward the box's corners.

    Source: Snoek et al. 2015, "Scalable Bayesian Optimization Using Deep Neural Networks", Section 3.2, who give
    the mean a quadratic prior.
    """
    d = u.shape[1]
    bowl = u.square().mean(1, keepdim=True)
    return torch.cat([u / math.sqrt(d), bowl, torch.ones_like(bowl)], 1)


class FeatureRegression(nn.Module):
    """A head on the features of trained networks: the posterior before any further observation.

    Everything is in ``state_dict``, and stays float64 whatever the module is converted to: analytic acquisition
    functions call ``.to(X)``.

    Args:
        stack: the networks, in network coordinates; copied.
        scaling: between raw units and network coordinates.
        center: what is subtracted from the hidden features, ``(k,)``.
        head: posterior of the weights.

    Raises:
        InputError: shapes that do not belong together, or numbers that are not finite.
    """

    weights: Tensor
    lower: Tensor
    upper: Tensor
    y_mean: Tensor
    y_std: Tensor
    center: Tensor
    head_mean: Tensor
    head_root: Tensor
    noise: Tensor

    def __init__(
        self, stack: StackedMLP, scaling: Scaling, center: Float[Tensor, " k"], head: Head
    ) -> None:
        super().__init__()
        _check_parts(stack, scaling, center, head)
        self._stack = stack.to(torch.float64)
        tensors = {
            "weights": self._stack.flat,
            "lower": scaling.lower,
            "upper": scaling.upper,
            "y_mean": torch.tensor(scaling.y_mean),
            "y_std": torch.tensor(scaling.y_std),
            "center": center,
            "head_mean": head.mean,
            "head_root": head.root,
            "noise": torch.tensor(head.noise, dtype=torch.float64),
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.double().clone())

    @property
    def num_inputs(self) -> int:
        """The number d of inputs."""
        return self._stack.sizes[0]

    def forward(
        self, x: Float[Tensor, "*batch q d"]
    ) -> tuple[Float[Tensor, "*batch q"], Float[Tensor, "*batch q p"]]:
        """Mean at raw points, and a root of their covariance (root root^T), both in standardized units."""
        scaling = Scaling(self.lower, self.upper, float(self.y_mean), float(self.y_std))
        u = scaling.unit(x.double()).reshape(-1, self.num_inputs)
        hidden = hidden_features(self._stack.with_parameters(self.weights), u) - self.center
        columns = torch.cat([hidden, trend_features(u)], 1)
        mean, root = columns @ self.head_mean, columns @ self.head_root.T
        return mean.view(x.shape[:-1]), root.view(*x.shape[:-1], -1)

    def architecture(self) -> dict[str, Any]:
        """What ``from_tensors`` has to know beside the tensors."""
        return {
            "sizes": list(self._stack.sizes),
            "num_members": self._stack.num_members,
            "activation": self._stack.activation.name,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], architecture: dict[str, Any]) -> Self:
        """The inverse of ``state_dict`` and ``architecture``.

        Raises:
            ValueError, KeyError, RuntimeError: they do not belong together.
        """
        stack = StackedMLP(
            tuple(architecture["sizes"]),
            architecture["num_members"],
            architecture["activation"],
            dtype=torch.float64,
        )
        stack.flat.copy_(tensors["weights"])
        scaling = Scaling(
            tensors["lower"], tensors["upper"], tensors["y_mean"].item(), tensors["y_std"].item()
        )
        head = Head(mean=tensors["head_mean"], root=tensors["head_root"], noise=tensors["noise"].item())
        return cls(stack, scaling, tensors["center"], head)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow a move to another device, never to another precision."""
        return _moved(self, fn)


class LastLayerModel(Model):
    """Networks with a Bayesian last layer, one output; raw units in and out.

    The posterior is Gaussian, jointly over q points. Observations that come after training are kept beside the
    head, and the posterior is the base's, conditioned on them: exact, at the cost of a system of their number, and
    differentiable by where they were made. The networks are not trained again.

    Args:
        base: the posterior before them.
        observed_x: where, raw units, ``(*batch, k, d)``.
        observed_y: what came, raw units, ``(*batch', k)``; its batch and that of ``observed_x`` are broadcast.
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
        none = base.weights.new_zeros(0)
        self.register_buffer(
            "observed_x", none.view(0, base.num_inputs) if observed_x is None else observed_x
        )
        self.register_buffer("observed_y", none if observed_y is None else observed_y)

    @property
    def num_outputs(self) -> int:
        """One."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """That of the observations; empty before there are any."""
        return torch.broadcast_shapes(self.observed_x.shape[:-2], self.observed_y.shape[:-1])

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
            InputError: points of a wrong shape, an output that is not there, or observation noise as a tensor.
        """
        self._check_points(X)
        if output_indices is not None:
            self._check_outputs(output_indices)
        if isinstance(observation_noise, Tensor):
            raise InputError("observation_noise: expected True or False for a last layer, got a tensor")
        self.eval()
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
        self._check_outputs(idcs)
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
        self._check_points(X)
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
            return mean, covariance
        base = self.base
        observed_mean, observed_root = base(self.observed_x)
        among = observed_root @ observed_root.mT
        factor = torch.linalg.cholesky(among + base.noise * torch.eye(among.shape[-1]).to(among))
        surprise = (self.observed_y - base.y_mean) / base.y_std - observed_mean
        # L^-1 K(observed, X) and L^-1 surprise: what is seen of X, and of the values, in independent directions
        seen = torch.linalg.solve_triangular(factor, observed_root @ root.mT, upper=False)
        news = torch.linalg.solve_triangular(factor, surprise[..., None], upper=False)
        mean = mean + (seen.mT @ news)[..., 0]
        return mean, (covariance - seen.mT @ seen).expand(*mean.shape, -1)

    def _check_points(self, X: Tensor) -> None:
        if X.ndim < 2 or X.shape[-1] != self.base.num_inputs:
            raise InputError(f"X: expected the shape (..., q, {self.base.num_inputs}), got {tuple(X.shape)}")

    def _check_outputs(self, indices: list[int]) -> None:
        if [index % 1 for index in indices] != [0] or indices[0] not in (0, -1):
            raise InputError(f"outputs: expected [0], all that a last layer has, got {indices}")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow a move to another device, never to another precision."""
        self.base._apply(fn)
        return _moved(self, fn)


def _moved[Module: nn.Module](module: Module, fn: Callable[[Tensor], Tensor]) -> Module:
    return module

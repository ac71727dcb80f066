"""Extractor and kernel of a deep-kernel Gaussian process, trained jointly by the marginal likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]  # torch does not list it

from surrogate_opt.adapters.botorch.marginal_likelihood import kernel_matrix, negative_log_likelihood
from surrogate_opt.adapters.botorch.trend import trend_features
from surrogate_opt.adapters.botorch.warping import bounded_weights, warp, warp_and_penalty
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength

NOISE_FLOOR = 1e-4
_LIMIT = 1e10  # what the optimizer is told where the kernel matrix cannot be factored


@dataclass(frozen=True, kw_only=True)
class DeepKernel:
    """What determines the process; inputs in network coordinates, targets in standard deviations.

    Attributes:
        stack: the extractor's network, one member, spectral bounds applied by ``strength`` at use.
        strength: of the derivative control it was trained with.
        hyperparameters: log lengthscales in widths of the box ``(d,)``, then log noise variance, mean, and
            log variance of the trend, ``(d + 3,)``.
    """

    stack: StackedMLP
    strength: Strength
    hyperparameters: Float[Tensor, " k"]

    @property
    def dim(self) -> int:
        """Number of inputs."""
        return self.stack.sizes[0]

    @property
    def noise(self) -> Tensor:
        """Variance of the noise."""
        return self.hyperparameters[self.dim].exp() + NOISE_FLOOR

    @property
    def mean(self) -> Tensor:
        """The constant mean."""
        return self.hyperparameters[self.dim + 1]

    def features(self, x: Float[Tensor, "*batch d"]) -> tuple[Tensor, Tensor]:
        """Those of the squared exponential kernel ``(*batch, d)``, of the linear one ``(*batch, d + 1)``."""
        return split_features(
            warp(self.stack, x, bounded_weights(self.stack, self.strength)), self.hyperparameters
        )


def split_features(
    z: Float[Tensor, "*batch d"], hyperparameters: Float[Tensor, " k"]
) -> tuple[Float[Tensor, "*batch d"], Float[Tensor, "*batch r"]]:
    """Warped points over their lengthscales; the plane and bowl of ``trend_features`` at warped points."""
    d = z.shape[-1]
    scaled = 0.5 * z * torch.exp(-hyperparameters[:d])
    trend = trend_features(z)[..., :-1]  # the constant is the mean's
    return scaled, trend * torch.exp(0.5 * hyperparameters[d + 2])


def initial_kernel(stack: StackedMLP) -> DeepKernel:
    """Lengthscales, noise and trend at which training begins."""
    d = stack.sizes[0]
    lengthscales = torch.full((d,), math.sqrt(2.0) + 0.5 * math.log(d) - 1.0, dtype=torch.float64)
    rest = torch.tensor([math.log(1e-3), 0.0, -1.0], dtype=torch.float64)
    return DeepKernel(stack=stack, strength=Strength(), hyperparameters=torch.cat([lengthscales, rest]))


def log_prior(hyperparameters: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    """Log density of the hyperparameters' prior up to a constant.

    Lengthscales and noise have those of BoTorch's SingleTaskGP (Hvarfner, Hellsten & Nardi 2024): log-normal
    with locations sqrt(2) + log(d) / 2 and -4, scales sqrt(3) and 1. The trend's log variance is
    normal(0, 2^2).
    """
    d = len(hyperparameters) - 3
    log_lengths, log_noise, log_trend = hyperparameters[:d], hyperparameters[d], hyperparameters[d + 2]
    location = math.sqrt(2.0) + 0.5 * math.log(d)
    lengths = -(log_lengths + (log_lengths - location).square() / 6.0).sum()
    return lengths - log_noise - 0.5 * (log_noise + 4.0).square() - log_trend.square() / 8.0


def train_deep_kernel(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    start: DeepKernel,
    strength: Strength,
    max_iterations: int,
) -> DeepKernel:
    """Minimize the penalized negative log posterior over extractor and hyperparameters by L-BFGS.

    Args:
        x: in network coordinates.
        y: in standard deviations.
        start: where to begin.
        strength: of the derivative control, on the objective over n.
        max_iterations: of L-BFGS.
    """
    num_weights, n, d = start.stack.flat.numel(), len(y), start.dim

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.from_numpy(parameters.copy()).requires_grad_()
        stack, hyperparameters = start.stack.with_parameters(leaf[:num_weights]), leaf[num_weights:]
        warped, penalty = warp_and_penalty(stack, x, strength)
        z, t = split_features(warped, hyperparameters)
        noise = hyperparameters[d].exp() + NOISE_FLOOR
        try:
            likelihood = negative_log_likelihood(z, t, noise, y - hyperparameters[d + 1])
        except LinAlgError:
            return _LIMIT, np.zeros_like(parameters)
        value = (likelihood - log_prior(hyperparameters)) / n + penalty
        torch.autograd.backward(value)
        assert leaf.grad is not None
        return float(value.detach()), leaf.grad.numpy()

    begin = torch.cat([start.stack.flat, start.hyperparameters]).numpy()
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", options={"maxiter": max_iterations})
    best = torch.from_numpy(found.x)
    stack = start.stack.to(torch.float64)
    stack.flat.copy_(best[:num_weights])
    return replace(start, stack=stack, strength=strength, hyperparameters=best[num_weights:].clone())


def predict(
    kernel: DeepKernel, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], queries: Float[Tensor, "k d"]
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Mean and variance of new observations, noise included.

    Args:
        kernel: the trained process.
        x: rows to predict from, in network coordinates.
        y: in standard deviations.
        queries: where to predict.
    """
    with torch.no_grad():
        z, t = kernel.features(x)
        query_z, query_t = kernel.features(queries)
        matrix = kernel_matrix(z, t, z, t)
        matrix.diagonal().add_(kernel.noise)
        factor = torch.linalg.cholesky(matrix)
        across = kernel_matrix(query_z, query_t, z, t)
        mean = kernel.mean + (across @ torch.cholesky_solve((y - kernel.mean)[:, None], factor))[:, 0]
        explained = torch.linalg.solve_triangular(factor, across.mT, upper=False).square().sum(0)
        variance = 1.0 + query_t.square().sum(-1) - explained + kernel.noise
        return mean, variance.clamp_min(kernel.noise)

"""The trend: a plane and a bowl against dense formulas, refits without the rows, and a known bowl."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.distributions import MultivariateNormal

from surrogate_opt.adapters.botorch.trend import fit_trend, trend_features


def rows(n=24, d=3, seed=0):
    return 2.0 * torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1.0


def noisy(u, seed=1):
    """A tilted bowl with noise, in standard deviations."""
    noise = torch.randn(len(u), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = u[:, 0] - 0.5 * u[:, 1] + u.square().sum(-1) + 0.3 * noise
    return (y - y.mean()) / y.std(correction=0)


def fold_plan(n, members=5):
    return torch.arange(n) % members == torch.arange(members)[:, None]


def design(u):
    """Row by row, as the formula reads."""
    d = u.shape[1]
    return torch.tensor(
        [[*(value / math.sqrt(d) for value in row), sum(v * v for v in row) / d, 1.0] for row in u.tolist()],
        dtype=torch.float64,
    )


def dense_scales(phi, y):
    """Variance of the weights and of the noise by the dense marginal likelihood and the stated priors."""

    def objective(logs):
        variance, noise = np.exp(logs)
        covariance = variance * phi @ phi.T + noise * torch.eye(len(y), dtype=torch.float64)
        likelihood = MultivariateNormal(torch.zeros_like(y), covariance).log_prob(y)
        prior = -0.5 * (logs[0] / 2.0) ** 2 - 0.5 * (logs[1] + 4.0) ** 2 - logs[1]
        return -float(likelihood) - prior

    return np.exp(minimize(objective, [0.0, -4.0], method="Nelder-Mead", options={"xatol": 1e-8}).x)


def process_weights(phi, y, variance, noise):
    """What a Gaussian process with the kernel ``variance phi phi^T`` predicts, as weights."""
    covariance = variance * phi @ phi.T + noise * torch.eye(len(y), dtype=torch.float64)
    return variance * phi.T @ torch.linalg.solve(covariance, y)


def test_the_features_are_a_plane_a_bowl_and_a_constant():
    u = rows()
    torch.testing.assert_close(trend_features(u), design(u))
    torch.testing.assert_close(trend_features(u.view(4, 6, 3)), design(u).view(4, 6, -1))


def test_the_fit_is_a_gaussian_process_whose_scales_maximize_the_evidence():
    u = rows()
    y = noisy(u)
    whole, _ = fit_trend(u, y, fold_plan(len(u)))
    expected = process_weights(design(u), y, *dense_scales(design(u), y))
    # two optimizers that stop on their own rules
    torch.testing.assert_close(whole, expected, rtol=1e-3, atol=1e-4)


def test_parts_are_refits_without_the_rows_under_the_scales_of_all():
    u = rows()
    y, held_out = noisy(u), fold_plan(len(u))
    _, parts = fit_trend(u, y, held_out)
    scales = dense_scales(design(u), y)
    for part, out in zip(parts, held_out, strict=True):
        expected = process_weights(design(u)[~out], y[~out], *scales)
        torch.testing.assert_close(part, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dim", [1, 6])
def test_a_bowl_is_recovered(dim):
    def bowl(u):
        return (u - 0.3).square().sum(-1)

    u, new = rows(20, dim), rows(200, dim, seed=5)
    mean, deviation = bowl(u).mean(), bowl(u).std(correction=0)
    held_out = fold_plan(len(u))
    whole, parts = fit_trend(u, (bowl(u) - mean) / deviation, held_out)
    truth = (bowl(new) - mean) / deviation
    # the noise has a floor of 1e-4, and every weight a prior
    torch.testing.assert_close(trend_features(new) @ whole, truth, rtol=0, atol=0.1)
    for part in parts:
        torch.testing.assert_close(trend_features(new) @ part, truth, rtol=0, atol=0.15)
    slope, curvature = whole[:dim] / math.sqrt(dim), whole[dim] / dim
    torch.testing.assert_close(-slope / (2.0 * curvature), torch.full_like(slope, 0.3), rtol=0, atol=0.02)

"""Bayesian linear regression on two groups of features, their prior variances and the noise by the evidence.

y = phi . w + tau . v + noise, with independent Gaussian weights of variance a (w) and b (v). Everything
follows from Phi^T Phi, Phi^T y and y^T y: after these, no cost depends on the number of rows.

Source: MacKay 1992, "Bayesian Interpolation"; Bishop 2006, Section 3.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

NOISE_FLOOR = 1e-4
_PRIOR_MEAN = np.array([0.0, 0.0, -4.0])  # of log a, log b and log noise
_PRIOR_STD = np.array([3.0, 2.0, 1.0])
_START = np.array([0.0, 0.0, -5.0])
_LIMIT = 12.0  # of the logs, upward and downward


@dataclass(frozen=True, kw_only=True)
class HeadScales:
    """What the evidence decides.

    Attributes:
        feature_variance: a, the prior variance of the features' weights.
        trend_variance: b, the prior variance of the trend's weights.
        noise: variance of the noise.
    """

    feature_variance: float
    trend_variance: float
    noise: float


@dataclass(frozen=True, kw_only=True)
class Head:
    """The Gaussian posterior of the weights, those of the features first, then the trend's.

    Attributes:
        mean: ``(p,)``.
        root: of the covariance, which is root^T root, ``(p, p)``; covariances of outputs are then a matrix
            times its own transpose, which rounding does not make indefinite.
        noise: variance of the noise.
    """

    mean: Float[Tensor, " p"]
    root: Float[Tensor, "p p"]
    noise: float

    def inflated(self, factor: float) -> Head:
        """All deviations times a factor, the mean kept: the posterior under prior and noise so inflated."""
        return replace(self, root=factor * self.root, noise=factor**2 * self.noise)


@dataclass(frozen=True, kw_only=True)
class HeadStatistics:
    """What the rows say of the weights.

    Attributes:
        features: Phi^T Phi among the features, ``(k, k)``.
        cross: of features with the trend, ``(k, r)``.
        trend: among the trend, ``(r, r)``.
        features_y: features^T y, ``(k,)``.
        trend_y: trend^T y, ``(r,)``.
        squares: y^T y.
        num_rows: n.
    """

    features: Float[Tensor, "k k"]
    cross: Float[Tensor, "k r"]
    trend: Float[Tensor, "r r"]
    features_y: Float[Tensor, " k"]
    trend_y: Float[Tensor, " r"]
    squares: float
    num_rows: int

    @classmethod
    def of(
        cls, features: Float[Tensor, "n k"], trend: Float[Tensor, "n r"], y: Float[Tensor, " n"]
    ) -> HeadStatistics:
        """The statistics of a table."""
        return cls(
            features=features.T @ features,
            cross=features.T @ trend,
            trend=trend.T @ trend,
            features_y=features.T @ y,
            trend_y=trend.T @ y,
            squares=float(y @ y),
            num_rows=len(y),
        )

    def rotated(self) -> HeadStatistics:
        """The same evidence on the features' principal axes, where ``features`` is diagonal."""
        eigenvalues, axes = torch.linalg.eigh(self.features)
        return replace(
            self,
            features=eigenvalues.clamp_min(0.0).diag(),
            cross=axes.T @ self.cross,
            features_y=axes.T @ self.features_y,
        )


def choose_scales(statistics: HeadStatistics) -> HeadScales:
    """Maximize log evidence + log prior over the logarithms of the scales by L-BFGS-B.

    The prior is weak: log a ~ N(0, 3^2), log b ~ N(0, 2^2), and the noise log-normal(-4, 1) as in BoTorch's
    SingleTaskGP, with a floor of 1e-4.
    """
    rotated = statistics.rotated()

    def objective(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = negative_log_evidence(rotated, _scales(logs))
        distance = (logs - _PRIOR_MEAN) / _PRIOR_STD
        per_unit_of_noise = np.array([0.0, 0.0, 1.0])
        value += 0.5 * float(distance @ distance) + float(per_unit_of_noise @ logs)
        return value, slope + distance / _PRIOR_STD + per_unit_of_noise

    bounds = [(-_LIMIT, _LIMIT), (-_LIMIT, _LIMIT), (math.log(NOISE_FLOOR), _LIMIT)]
    found = minimize(objective, _START, jac=True, method="L-BFGS-B", bounds=bounds)
    return _scales(found.x)


def negative_log_evidence(
    rotated: HeadStatistics, scales: HeadScales
) -> tuple[float, Float[np.ndarray, "3"]]:
    """Minus the log density of y under the prior, and its slopes by log a, log b and log noise.

    The weights' precision is diagonal in the features; the trend's few columns are eliminated by a Schur
    complement. With gamma = k + r - tr(S_w) / a - tr(S_v) / b, the number of weights that the rows decide,
    the slopes are (k - (tr(S_w) + |w|^2) / a) / 2, the same for b, and
    (n - gamma - |y - Phi m|^2 / noise) / 2 with m = (w, v).

    Args:
        rotated: statistics on the features' principal axes.
        scales: a, b and noise.

    Source: Bishop 2006, Equations 3.86 and 3.91-3.95, here with two groups of weights.
    """
    a, b, noise, n = scales.feature_variance, scales.trend_variance, scales.noise, rotated.num_rows
    eigenvalues, cross = rotated.features.diagonal(), rotated.cross
    k, r = cross.shape
    shrunk = 1.0 / (eigenvalues + noise / a)
    weighted = shrunk[:, None] * cross
    schur = (b / noise) * (rotated.trend - cross.T @ weighted)
    schur.diagonal().add_(1.0)
    factor = torch.linalg.cholesky(schur)
    trend_covariance = b * torch.cholesky_inverse(factor)
    v = trend_covariance @ (rotated.trend_y - weighted.T @ rotated.features_y) / noise
    w = shrunk * (rotated.features_y - cross @ v)
    weights = np.array([float(w @ w) / a, float(v @ v) / b])
    explained = float(w @ rotated.features_y + v @ rotated.trend_y)
    misfit = rotated.squares - explained - noise * weights.sum()  # |y - Phi m|^2, as m is stationary
    trace_w = noise * float(shrunk.sum()) + float((trend_covariance * (weighted.T @ weighted)).sum())
    traces = np.array([trace_w / a, float(trend_covariance.trace()) / b])
    log_det = float(torch.log1p(eigenvalues * (a / noise)).sum() + 2.0 * factor.diagonal().log().sum())
    sizes = np.array([k, r])
    value = 0.5 * (n * math.log(2.0 * math.pi * noise) + log_det + misfit / noise + weights.sum())
    by_noise = n - (sizes - traces).sum() - misfit / noise
    return float(value), 0.5 * np.array([*(sizes - traces - weights), by_noise])


def condition_head(statistics: HeadStatistics, scales: HeadScales) -> Head:
    """The weights' posterior under given scales.

    With D = diag(prior variances)^1/2 and L L^T = 1 + D Phi^T Phi D / noise, the covariance is
    D (L L^T)^-1 D: well conditioned however wide the prior is.

    Source: Bishop 2006, Equations 3.53 and 3.54.
    """
    k, r = statistics.cross.shape
    variances = [scales.feature_variance] * k + [scales.trend_variance] * r
    deviations = torch.tensor(variances, dtype=torch.float64).sqrt()
    gram = torch.cat(
        [
            torch.cat([statistics.features, statistics.cross], 1),
            torch.cat([statistics.cross.T, statistics.trend], 1),
        ]
    )
    matrix = deviations[:, None] * gram * (deviations / scales.noise)
    matrix.diagonal().add_(1.0)
    factor = torch.linalg.cholesky(matrix)
    root = torch.linalg.solve_triangular(factor, deviations.diag(), upper=False)
    projected = torch.cat([statistics.features_y, statistics.trend_y])
    return Head(mean=root.T @ (root @ projected) / scales.noise, root=root, noise=scales.noise)


def _scales(logs: np.ndarray) -> HeadScales:
    feature_variance, trend_variance, noise = np.exp(logs).tolist()
    return HeadScales(feature_variance=feature_variance, trend_variance=trend_variance, noise=noise)

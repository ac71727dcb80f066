"""The Bayesian head against a dense Gaussian process with the same kernel, and finite differences."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from last_layer_cases import gaussian
from torch.distributions import LogNormal, MultivariateNormal, Normal

from surrogate_opt.adapters.botorch.last_layer_head import (
    NOISE_FLOOR,
    HeadScales,
    HeadStatistics,
    choose_scales,
    condition_head,
    negative_log_evidence,
)

SCALES = HeadScales(feature_variance=2.3, trend_variance=0.4, noise=0.05)
FIELDS = ("feature_variance", "trend_variance", "noise")


def table(n=30, k=12, r=4, seed=0):
    """Features, trend and targets without any relation."""
    return gaussian(n, k, seed=seed) / 3.0, gaussian(n, r, seed=seed + 1) / 2.0, gaussian(n, seed=seed + 2)


def kernel(features, trend, scales, other_features=None, other_trend=None):
    other_features = features if other_features is None else other_features
    other_trend = trend if other_trend is None else other_trend
    return (
        scales.feature_variance * features @ other_features.T + scales.trend_variance * trend @ other_trend.T
    )


def dense_log_evidence(features, trend, y, scales):
    covariance = kernel(features, trend, scales) + scales.noise * torch.eye(len(y)).double()
    return float(MultivariateNormal(torch.zeros_like(y), covariance).log_prob(y))


@pytest.mark.parametrize(("n", "k"), [(30, 12), (8, 40), (1, 3)])
@pytest.mark.parametrize(
    "scales", [SCALES, HeadScales(feature_variance=50.0, trend_variance=1e-3, noise=2e-4)]
)
def test_evidence_is_that_of_a_gaussian_process(n, k, scales):
    features, trend, y = table(n, k)
    value, _ = negative_log_evidence(HeadStatistics.of(features, trend, y).rotated(), scales)
    assert value == pytest.approx(-dense_log_evidence(features, trend, y, scales), rel=1e-9)


@pytest.mark.parametrize(("n", "k"), [(30, 12), (8, 40)])
def test_slopes_of_the_evidence(n, k):
    features, trend, y = table(n, k)
    _, slopes = negative_log_evidence(HeadStatistics.of(features, trend, y).rotated(), SCALES)
    for slope, field in zip(slopes, FIELDS, strict=True):
        above, below = (
            dense_log_evidence(
                features, trend, y, replace(SCALES, **{field: getattr(SCALES, field) * math.exp(step)})
            )
            for step in (1e-5, -1e-5)
        )
        assert slope == pytest.approx((below - above) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("n", "k"), [(30, 12), (8, 40)])
def test_the_posterior_is_that_of_a_gaussian_process(n, k):
    features, trend, y = table(n, k)
    new_features, new_trend, _ = table(5, k, seed=9)
    head = condition_head(HeadStatistics.of(features, trend, y), SCALES)
    columns = torch.cat([new_features, new_trend], 1)
    root = columns @ head.root.T
    among = kernel(features, trend, SCALES) + SCALES.noise * torch.eye(n).double()
    across = kernel(features, trend, SCALES, new_features, new_trend)
    torch.testing.assert_close(columns @ head.mean, across.T @ torch.linalg.solve(among, y))
    expected = kernel(new_features, new_trend, SCALES) - across.T @ torch.linalg.solve(among, across)
    torch.testing.assert_close(root @ root.T, expected, rtol=1e-8, atol=1e-10)
    assert head.noise == SCALES.noise


def test_inflation_is_a_posterior_under_wider_priors_and_noise():
    statistics = HeadStatistics.of(*table())
    inflated = condition_head(statistics, SCALES).inflated(3.0)
    wider = condition_head(
        statistics, HeadScales(**{field: 9.0 * getattr(SCALES, field) for field in FIELDS})
    )
    torch.testing.assert_close(inflated.mean, wider.mean)
    torch.testing.assert_close(inflated.root.T @ inflated.root, wider.root.T @ wider.root)
    assert inflated.noise == pytest.approx(wider.noise)


def log_posterior(features, trend, y, scales):
    prior = (
        Normal(0.0, 3.0).log_prob(torch.tensor(scales.feature_variance).log())
        + Normal(0.0, 2.0).log_prob(torch.tensor(scales.trend_variance).log())
        + LogNormal(-4.0, 1.0).log_prob(torch.tensor(scales.noise))
    )
    return dense_log_evidence(features, trend, y, scales) + float(prior)


@pytest.mark.parametrize(("n", "k"), [(60, 12), (15, 40)])
def test_chosen_scales_are_a_maximum_of_evidence_times_prior(n, k):
    features, trend, _ = table(n, k)
    y = 1.5 * features @ gaussian(k, seed=5) + 0.3 * gaussian(n, seed=6)
    chosen = choose_scales(HeadStatistics.of(features, trend, y))
    best = log_posterior(features, trend, y, chosen)
    assert chosen.noise > NOISE_FLOOR
    for field in FIELDS:
        for factor in (0.8, 1.25):
            moved = replace(chosen, **{field: getattr(chosen, field) * factor})
            assert log_posterior(features, trend, y, moved) < best


def test_scales_that_made_the_data_are_found():
    n, k, r = 3000, 150, 100
    features, trend = gaussian(n, k) / math.sqrt(k), gaussian(n, r, seed=1) / math.sqrt(r)
    truth = HeadScales(feature_variance=4.0, trend_variance=0.3, noise=0.02)
    y = 2.0 * features @ gaussian(k, seed=2) + math.sqrt(0.3) * trend @ gaussian(r, seed=3)
    y += math.sqrt(0.02) * gaussian(n, seed=4)
    found = choose_scales(HeadStatistics.of(features, trend, y))
    for field, count in zip(FIELDS, (k, r, n), strict=True):
        # the log of a variance from so many Gaussian numbers deviates by sqrt(2 / count)
        deviation = math.log(getattr(found, field) / getattr(truth, field))
        assert abs(deviation) < 3.0 * math.sqrt(2.0 / count) + 0.02


def test_an_exact_fit_leaves_the_noise_at_its_floor():
    features, trend, _ = table(200, 12)
    y = features @ gaussian(12, seed=3)
    assert choose_scales(HeadStatistics.of(features, trend, y)).noise == pytest.approx(NOISE_FLOOR)


def test_features_that_say_nothing_leave_their_prior():
    """A network under strong control may have constant hidden units: centered, they are zero."""
    _, trend, y = table()
    features = torch.zeros(30, 12, dtype=torch.float64)
    statistics = HeadStatistics.of(features, trend, y)
    scales = choose_scales(statistics)
    head = condition_head(statistics, scales)
    assert scales.feature_variance == pytest.approx(1.0, rel=1e-3)  # the mode of the prior
    assert torch.equal(head.mean[:12], torch.zeros(12, dtype=torch.float64))
    torch.testing.assert_close(
        (head.root.T @ head.root).diagonal()[:12],
        torch.full((12,), scales.feature_variance, dtype=torch.float64),
    )

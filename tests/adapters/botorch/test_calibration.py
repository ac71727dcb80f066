"""Calibration: coverage against known distributions, the scale against known factors and a fit."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import norm, t

import surrogate_opt as so
from surrogate_opt.adapters.botorch.calibration import (
    calibration_scale,
    coverage,
    held_out_scale,
    points_beside,
)
from surrogate_opt.adapters.botorch.conversion import to_botorch
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quantile_grid(distribution, n=2001):
    """A sample whose empirical quantiles are the distribution's."""
    return torch.from_numpy(distribution.ppf((torch.arange(n).double().numpy() + 0.5) / n))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_coverage_of_a_gaussian(level, factor):
    y = 3.0 + 2.0 * quantile_grid(norm)
    mean, std = torch.full_like(y, 3.0), torch.full_like(y, 2.0 * factor)
    expected = 2.0 * norm.cdf(factor * norm.ppf(0.5 + level / 2.0)) - 1.0
    assert coverage(mean, std, y, level) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_a_known_factor_is_recovered(factor):
    n = 4000
    spreads = gaussian(n, seed=1).exp()
    scale = calibration_scale(factor * spreads * gaussian(n), spreads, prior=factor)
    # the log of each quantile deviates by about 1 / sqrt(n)
    assert math.log(scale / factor) == pytest.approx(0.0, abs=3.0 / math.sqrt(n))


def test_the_scale_has_the_unit_of_a_ratio():
    residuals, spreads = gaussian(50), gaussian(50, seed=1).abs()
    scale = calibration_scale(residuals, spreads)
    assert calibration_scale(1e6 * residuals, 1e6 * spreads) == pytest.approx(scale)
    assert calibration_scale(-residuals, spreads) == scale


def test_few_rows_are_drawn_toward_the_prior():
    many = quantile_grid(norm, 1000)
    weights = []
    for rows in (5, 10, 90):
        residuals = 3.0 * many[:: 1000 // rows][:rows]
        near, far = (
            calibration_scale(residuals, torch.ones_like(residuals), prior=prior) for prior in (1.0, 2.0)
        )
        weights.append(math.log(far / near) / math.log(2.0))
    assert weights == pytest.approx([10 / 15, 10 / 20, 10 / 100])


def test_heavy_tails_divide_the_error_between_the_levels():
    residuals = quantile_grid(t(df=3))
    spreads = torch.ones_like(residuals)
    scale = calibration_scale(residuals, spreads)
    zero = torch.zeros_like(residuals)
    assert 0.5 < coverage(zero, scale * spreads, residuals, 0.5) < 0.6
    assert 0.9 < coverage(zero, scale * spreads, residuals, 0.95) < 0.95


def test_one_gross_outlier_among_few_rows_does_not_decide():
    residuals = quantile_grid(norm, 40)
    spreads = torch.ones_like(residuals)
    residuals[20] = 1e6
    assert calibration_scale(residuals, spreads) < 1.6
    assert residuals.square().mean().sqrt() > 1e5  # what maximum likelihood would say


def test_pooled_draws_keep_the_number_of_rows():
    residuals, spreads = 5.0 * quantile_grid(norm, 20), torch.ones(20, dtype=torch.float64)
    pooled = calibration_scale(residuals.expand(400, -1), spreads.expand(400, -1))
    assert pooled == pytest.approx(calibration_scale(residuals, spreads), rel=0.05)


@pytest.mark.parametrize(
    ("residual", "spread", "limit"), [(0.0, 1.0, 0.1), (0.0, 0.0, 0.1), (1.0, 0.0, 10.0)]
)
def test_exact_fits_and_no_spread_end_at_the_limits(residual, spread, limit):
    rows = torch.ones(10_000, dtype=torch.float64)
    assert calibration_scale(residual * rows, spread * rows) == pytest.approx(limit, rel=0.01)


@pytest.mark.parametrize(
    ("residuals", "spreads", "message"),
    [
        (torch.ones(3), torch.ones(4), r"expected the same shape .* got \(3,\) and \(4,\)"),
        (torch.ones(0), torch.ones(0), "n at least 1"),
        (torch.tensor([1.0, torch.nan]), torch.ones(2), "expected finite numbers"),
    ],
)
def test_unusable_residuals_are_refused(residuals, spreads, message):
    with pytest.raises(InputError, match=message):
        calibration_scale(residuals, spreads)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_unusable_levels_are_refused(level):
    with pytest.raises(InputError, match="level: expected a number between 0 and 1"):
        coverage(torch.ones(2), torch.ones(2), torch.ones(2), level)


def test_points_beside_rows_are_as_far_as_the_nearest_different_row():
    x = 0.2 * gaussian(30, 2)
    x[7] = x[3]  # a repeated experiment is no neighbor
    beside = points_beside(x, seed=0)
    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    distances[distances < 1e-9] = torch.inf
    inside = beside.abs().amax(-1) < 1.0
    assert inside.double().mean() > 0.8
    expected = distances.amin(1).expand_as(inside)
    torch.testing.assert_close((beside - x).norm(dim=-1)[inside], expected[inside])
    assert torch.equal(points_beside(x, seed=0), beside)
    assert not torch.equal(points_beside(x, seed=1), beside)
    with pytest.raises(InputError, match="x: expected at least 2 different rows, got 1"):
        points_beside(x[:1].expand(5, -1), seed=0)


def test_points_beside_rows_leave_inputs_that_never_vary_where_they_are():
    x = 0.2 * gaussian(30, 4)
    x[:, [0, 2]] = torch.tensor([0.3, -1.0], dtype=torch.float64)
    beside = points_beside(x, seed=0)
    assert torch.equal(beside[..., [0, 2]], x[:, [0, 2]].expand(len(beside), -1, -1))
    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    inside = beside[..., [1, 3]].abs().amax(-1) < 1.0
    assert inside.double().mean() > 0.8
    torch.testing.assert_close((beside - x).norm(dim=-1)[inside], distances.amin(1).expand_as(inside)[inside])


def test_the_scale_of_members_with_a_known_spread():
    """Members that differ by constants have the same spread everywhere: residuals alone decide."""
    stack = StackedMLP((2, 4, 1), 5, dtype=torch.float64)
    stack.biases[-1].copy_(torch.arange(5.0).view(5, 1, 1))
    spread = torch.arange(5.0).std()
    residuals = 3.0 * spread.double() * quantile_grid(norm, 400)
    scale = held_out_scale(stack, gaussian(400, 2).tanh(), residuals)
    assert scale == pytest.approx(3.0 * (2.0 / 3.0) ** (10 / 410), rel=0.02)


def test_intervals_of_a_fitted_ensemble_cover_what_they_say():
    weights = gaussian(5, 4, seed=3) / 2.0

    def truth(x):
        return torch.sin(4.0 * (x - 0.5) @ weights.T).sum(-1)

    x, new = (torch.rand(n, 4, generator=torch.Generator().manual_seed(n)).double() for n in (60, 1000))
    box = [[0.0] * 4, [1.0] * 4]
    surrogate = so.fit(x, truth(x), bounds=box, strength=1e-3, hidden=(16, 16), epochs=100, seed=0)
    raw = coverages(to_botorch(surrogate, calibration=1.0), new, truth(new))
    calibrated = coverages(to_botorch(surrogate), new, truth(new))
    assert raw[0] < 0.4
    assert raw[1] < 0.85
    assert 0.4 < calibrated[0] < 0.65
    assert calibrated[1] > 0.87


def coverages(model, x, y):
    posterior = model.posterior(x)
    mean, std = posterior.mean[:, 0].detach(), posterior.variance[:, 0].sqrt().detach()
    return coverage(mean, std, y, 0.5), coverage(mean, std, y, 0.95)

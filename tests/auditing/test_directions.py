"""The direction test against models whose every direction is known, and SciPy's Wilson interval."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from surrogate_opt.auditing.directions import (
    NOISE_FACTOR,
    direction_test,
    estimate_noise,
    wilson_interval,
)
from surrogate_opt.auditing.held_out import HeldOut, from_record, from_rows
from surrogate_opt.types import GradientSource

BOUNDS = torch.tensor([[0.0, -5.0], [1.0, 5.0]], dtype=torch.float64)
SLOPE = torch.tensor([3.0, -0.2], dtype=torch.float64)


class Plane:
    """``factor * slope . x``: the truth at 1, all wrong at -1, flat at 0."""

    gradient_source: GradientSource = "analytic"

    def __init__(self, factor: float) -> None:
        self.slope = factor * SLOPE

    def value(self, x: Tensor) -> Tensor:
        return x @ self.slope

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.value(x), self.slope.expand_as(x)


def _evidence(factor: float, noise: float = 0.01, n: int = 200) -> HeldOut:
    generator = torch.Generator().manual_seed(0)
    x = torch.lerp(BOUNDS[0], BOUNDS[1], torch.rand(n, 2, generator=generator, dtype=torch.float64))
    x = torch.cat([x, x[:30]])  # thirty repeats tell the noise
    y = x @ SLOPE + noise * torch.randn(len(x), generator=generator, dtype=torch.float64)
    return from_rows(Plane(factor), x, y, BOUNDS, seed=0)


@pytest.mark.parametrize(("factor", "share"), [(1.0, 1.0), (-1.0, 0.0), (0.0, 0.0)])
def test_share_is_that_of_right_directions(factor: float, share: float) -> None:
    result = direction_test(_evidence(factor))
    assert result is not None
    assert result.share == share
    assert result.plane_share == 1.0
    assert result.num_pairs > 100
    assert result.lower <= share <= result.upper
    assert result.noise.std == pytest.approx(0.01, rel=0.4)  # thirty repeats, whatever the model says


def test_pairs_count_above_the_noise_alone() -> None:
    evidence = _evidence(1.0, noise=0.3)
    result = direction_test(evidence)
    assert result is not None
    assert evidence.pairs is not None
    rise = (evidence.y[evidence.pairs.pairs[:, 1]] - evidence.y[evidence.pairs.pairs[:, 0]]).abs()
    assert result.threshold == NOISE_FACTOR * result.noise.std
    assert result.num_pairs == int((rise > result.threshold).sum()) < len(rise)
    # Of pairs with equal truths, differences are normal with std sqrt(2) sigma.
    normal = torch.distributions.Normal(0.0, math.sqrt(2.0))
    beyond = 2 * float(normal.cdf(torch.tensor(-NOISE_FACTOR)))  # type: ignore[no-untyped-call]  # torch
    assert result.noise_share == pytest.approx(beyond * len(rise) / result.num_pairs, rel=1e-5)


def test_small_differences_do_not_count_even_without_noise() -> None:
    evidence = _evidence(1.0, noise=0.0)
    result = direction_test(evidence)
    assert result is not None
    assert result.noise.std == 0.0
    assert evidence.pairs is not None
    rise = evidence.y[evidence.pairs.pairs[:, 1]] - evidence.y[evidence.pairs.pairs[:, 0]]
    assert result.threshold == pytest.approx(float(rise.abs().median()), rel=0.05)
    assert result.noise_share == 0.0


def test_no_pair_above_the_noise_is_no_share() -> None:
    evidence = _evidence(1.0, noise=1e3)
    quiet = HeldOut(**{**vars(evidence), "predicted": evidence.target + 1e9, "linear": evidence.target + 1e9})
    result = direction_test(HeldOut(**{**vars(quiet), "x": evidence.x + torch.arange(230.0)[:, None]}))
    assert result is not None
    assert math.isnan(result.share)
    assert (result.lower, result.upper, result.num_pairs) == (0.0, 1.0, 0)


def test_a_record_is_tested_by_members_that_saw_neither_row(make_surrogate) -> None:  # type: ignore[no-untyped-def]
    surrogate = make_surrogate(d=3, repeats=2, n=60)
    found = from_record(surrogate).pairs
    assert found is not None
    assert len(found.pairs) > 60
    holders = surrogate.record.holders
    middle = (surrogate.record.x[found.pairs[:, 0]] + surrogate.record.x[found.pairs[:, 1]]) / 2
    gradients = surrogate.members_value_and_gradient(middle)[1]
    for k, (i, j) in enumerate(found.pairs.tolist()):
        unseen = set(holders[:, i].tolist()) & set(holders[:, j].tolist())
        assert any(torch.equal(gradients[member, k], found.gradient[k]) for member in unseen)
        torch.testing.assert_close(found.step[k], surrogate.record.x[j] - surrogate.record.x[i])


def test_noise_from_repeats_is_the_noise_and_copies_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(300, 2, generator=generator, dtype=torch.float64).repeat(3, 1)
    y = x.sum(1) + 0.5 * torch.randn(900, generator=generator, dtype=torch.float64)
    residuals = torch.full((900,), 2.0, dtype=torch.float64)
    noise = estimate_noise(x, y, {"residuals": residuals})
    assert noise.source == "repeated rows"
    assert noise.std == pytest.approx(0.5, rel=0.1)  # 600 degrees of freedom: 3% standard error
    doubled = estimate_noise(torch.cat([x, x]), torch.cat([y, y]), {"residuals": residuals})
    assert doubled.std == pytest.approx(noise.std, rel=1e-12)


@pytest.mark.parametrize("residual", [0.1, 2.0])
def test_noise_is_never_above_the_residuals(residual: float) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(50, 1, generator=generator, dtype=torch.float64).repeat(2, 1)
    y = torch.randn(100, generator=generator, dtype=torch.float64)
    noise = estimate_noise(x, y, {"residuals": torch.full((100,), residual, dtype=torch.float64)})
    assert noise.std <= residual
    assert noise.source == ("residuals" if residual < 1 else "repeated rows")


def test_few_repeats_leave_the_residuals() -> None:
    x = torch.arange(20.0, dtype=torch.float64)[:, None]
    ones = torch.ones(20, dtype=torch.float64)
    noise = estimate_noise(x, x[:, 0], {"residuals": 2 * ones, "a plane's residuals": ones})
    assert (noise.std, noise.source) == (1.0, "a plane's residuals")


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (10, 10), (7, 10), (97, 100), (1, 1)])
def test_wilson_interval_is_scipys(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    lower, upper = wilson_interval(hits / count, count)
    assert lower == pytest.approx(expected.low, abs=1e-12)
    assert upper == pytest.approx(expected.high, abs=1e-12)

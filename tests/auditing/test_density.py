"""Density of data: distances against brute force, shares of known regions, gaps and levels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from surrogate_opt.auditing.density import measure_density, own_distances, reach_of
from surrogate_opt.diagnostics import sobol_points

BOUNDS = torch.tensor([[0.0, -10.0], [1.0, 10.0]], dtype=torch.float64)


def _uniform(n: int, seed: int = 0) -> Tensor:
    unit = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.lerp(BOUNDS[0], BOUNDS[1], unit)


def test_own_distances_agree_with_brute_force_and_skip_copies() -> None:
    x = _uniform(40)
    unit = (x - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0])
    expected = (torch.cdist(unit, unit).fill_diagonal_(torch.inf).amin(1) / 2**0.5).sort().values
    both = own_distances(torch.cat([x, x[:7]]), BOUNDS).sort().values
    torch.testing.assert_close(both, expected, rtol=1e-7, atol=1e-9)
    assert reach_of(x, BOUNDS) == pytest.approx(float(expected.quantile(0.95)))


def test_a_single_row_has_no_neighbour() -> None:
    x = torch.zeros(5, 2, dtype=torch.float64)
    assert reach_of(x, BOUNDS) == 0.0
    assert measure_density(x, BOUNDS, _uniform(10), ("a", "b")) is None


def test_data_all_over_the_box_leave_little_of_it_far() -> None:
    density = measure_density(_uniform(500), BOUNDS, sobol_points(BOUNDS, 512, 0), ("a", "b"))
    assert density is not None
    # The expected share is near the 5% that the quantile leaves, somewhat more beside the edges.
    assert 0.02 < density.far_share < 0.12
    assert density.gaps == ()
    assert density.levels == ()
    assert density.median_data == pytest.approx(density.median_box, rel=0.2)


def test_half_a_box_without_data_is_far_and_named() -> None:
    x = _uniform(400)
    x[:, 0] *= 0.5
    density = measure_density(x, BOUNDS, sobol_points(BOUNDS, 512, 0), ("a", "b"))
    assert density is not None
    assert density.far_share == pytest.approx(0.5, abs=0.1)
    (gap,) = density.gaps
    assert (gap.name, gap.lower, gap.upper) == ("a", 0.5, 1.0)
    assert gap.share_of_range == pytest.approx(0.5)
    assert gap.share_of_data == 0.0


def test_an_empty_stretch_between_data_is_named() -> None:
    x = _uniform(400)
    x = x[(x[:, 1] < -2.0) | (x[:, 1] > 4.0)]
    density = measure_density(x, BOUNDS, sobol_points(BOUNDS, 64, 0), ("a", "b"))
    assert density is not None
    (gap,) = density.gaps
    assert gap.name == "b"
    assert (gap.lower, gap.upper) == pytest.approx((-2.0, 4.0))


def test_an_input_with_levels_is_no_gap() -> None:
    x = _uniform(100)
    x[:, 1] = torch.where(x[:, 1] > 0, 10.0, -10.0)
    density = measure_density(x, BOUNDS, sobol_points(BOUNDS, 64, 0), ("a", "b"))
    assert density is not None
    assert density.levels == (("b", 2),)
    assert density.gaps == ()

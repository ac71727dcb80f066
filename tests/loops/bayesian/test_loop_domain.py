"""The domain against itertools, torch's own Sobol engine and arithmetic."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.quasirandom import SobolEngine

from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian.domain import SAME_POINT, as_domain

BOUNDS = [[-1.0, 0.0, 5.0, 2.0], [1.0, 4.0, 5.0, 3.0]]


def test_sobol_is_torchs_sequence_wherever_it_begins():
    domain = as_domain([[0.0] * 3, [1.0] * 3])
    expected = SobolEngine(3, scramble=True, seed=7).draw(20, dtype=torch.float64)
    assert torch.equal(domain.sobol(20, seed=7), expected)
    assert torch.equal(domain.sobol(6, seed=7, first=14), expected[14:])


def test_sobol_gives_each_integer_an_equal_share():
    domain = as_domain(BOUNDS, [1, 3])
    points = domain.to_raw(domain.sobol(1000, seed=0))
    for column, values in ((1, range(5)), (3, (2, 3))):
        shares = [(points[:, column] == value).double().mean().item() for value in values]
        assert sum(shares) == pytest.approx(1.0)
        assert max(shares) - min(shares) < 0.01  # a Sobol sequence, not draws


def test_snap_gives_the_nearest_integers_and_keeps_fixed_inputs():
    domain = as_domain(BOUNDS, [1])
    unit = torch.tensor([[0.3, 0.3, 0.7, 1.2], [-0.1, 0.88, 0.0, 0.5]], dtype=torch.float64)
    raw = domain.to_raw(domain.snap(unit))
    expected = torch.tensor([[-0.4, 1.0, 5.0, 3.0], [-1.0, 4.0, 5.0, 2.5]], dtype=torch.float64)
    torch.testing.assert_close(raw, expected, rtol=0, atol=1e-12)
    assert torch.equal(raw[:, 1], expected[:, 1])


def test_integers_come_back_from_the_unit_box_exactly():
    domain = as_domain([[-7.0], [23.0]], [0])
    raw = torch.arange(-7.0, 24.0, dtype=torch.float64)[:, None]
    assert torch.equal(domain.to_raw(domain.to_unit(raw)), raw)
    assert not torch.signbit(domain.to_raw(domain.to_unit(raw)))[7]


def test_all_points_are_the_product_of_the_ranges():
    domain = as_domain([[0, -1, 4], [2, 1, 4]], [0, 1])
    found = {tuple(point) for point in domain.to_raw(domain.all_points()).tolist()}
    assert found == set(itertools.product((0, 1, 2), (-1, 0, 1), (4,)))
    assert domain.num_points == 9


def test_a_continuous_input_makes_the_domain_infinite():
    assert as_domain(BOUNDS, [1]).num_points == float("inf")


@pytest.mark.parametrize(("factor", "same"), [(0.99, True), (1.01, False)])
def test_points_are_the_same_within_the_stated_share_of_the_range(factor, same):
    domain = as_domain([[0.0, 0.0], [1.0, 1.0]])
    point = torch.full((1, 2), 0.5).double()
    moved = point + torch.tensor([0.0, factor * SAME_POINT])
    assert domain.same(point, moved).item() is same
    assert domain.distinct(point, moved).item() is not same


def test_neighboring_integers_differ_in_a_range_of_a_million():
    domain = as_domain([[0.0], [1e6]], [0])
    neighbors = domain.to_unit(torch.tensor([[5.0], [6.0]]).double())
    assert domain.same(neighbors, neighbors).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize(
    ("bounds", "integers", "message"),
    [
        ([[0.0], [0.0]], (), "bounds: expected at least one input"),
        ([[0.0], [1.0]], (1,), "integers: expected input numbers from 0 to 0, got 1"),
        ([[0.0], [1.0]], (True,), "integers"),
        ([[0.5], [3.0]], (0,), "bounds: expected whole limits for integer input 0, got 0.5 and 3"),
    ],
)
def test_domains_that_make_no_sense_are_refused(bounds, integers, message):
    with pytest.raises(InputError, match=message):
        as_domain(bounds, integers)

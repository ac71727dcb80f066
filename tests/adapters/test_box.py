"""The box: exact limits, round trips, and bounds that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogate_opt.adapters import Box, as_box
from surrogate_opt.errors import InputError

limits = st.floats(-1e6, 1e6)


@given(limits, limits, st.floats(0.0, 1.0))
def test_unit_box_and_back(first, second, share):
    box = as_box([[min(first, second)], [max(first, second)]])
    ends = box.from_unit(torch.tensor([[0.0], [1.0]]).double())
    assert torch.equal(ends, box.bounds)  # to the last bit
    u = torch.tensor([share], dtype=torch.float64)
    x = box.from_unit(u)
    assert (x >= box.lower).all()
    assert (x <= box.upper).all()
    width = float(box.width)
    rounding = 1e-9 + 1e-15 * max(abs(first), abs(second)) / width if width else 1.0
    assert abs(float(box.to_unit(x)) - (share if width else 0.0)) <= rounding


def test_a_fixed_input_has_coordinate_and_gradient_zero():
    box = as_box([[1.0, 2.0], [3.0, 2.0]])
    assert box.free.tolist() == [True, False]
    assert box.to_unit(torch.tensor([2.0, 99.0]).double()).tolist() == [0.5, 0.0]
    assert box.from_unit(torch.tensor([0.5, 0.7]).double()).tolist() == [2.0, 2.0]
    assert box.unit_gradient(torch.tensor([5.0, torch.nan]).double()).tolist() == [10.0, 0.0]


def test_what_bounds_may_be():
    expected = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).double()
    given_as = [
        expected,
        expected.float(),
        expected.numpy(),
        expected.tolist(),
        ((0, 1), (2, 3)),
        Box(*expected),
    ]
    for bounds in given_as:
        box = as_box(bounds)
        assert torch.equal(box.bounds, expected)
        assert box.dim == 2
    mutable = np.array([[0.0], [1.0]])
    box = as_box(mutable)
    mutable[:] = 7.0
    assert box.bounds.tolist() == [[0.0], [1.0]]


BAD = {
    "words": ("wide", "bounds: expected numbers"),
    "ragged": ([[0.0], [1.0, 2.0]], "bounds: expected numbers"),
    "pairs of limits": ([[0.0, 1.0]] * 3, r"bounds: expected shape \(2, d\), got \(3, 2\)"),
    "no inputs": (np.zeros((2, 0)), r"got \(2, 0\)"),
    "a batch": (np.zeros((1, 2, 3)), r"got \(1, 2, 3\)"),
    "NaN": ([[0.0], [np.nan]], "finite limits"),
    "crossed": ([[0.0, 3.0], [1.0, 2.0]], "lower <= upper, got 3 > 2 for input 1"),
    "another dim": ([[0.0], [1.0]], r"bounds: expected shape \(2, 2\), got \(2, 1\)"),
}


@pytest.mark.parametrize(("bounds", "message"), BAD.values(), ids=BAD)
def test_bad_bounds_are_named(bounds, message):
    with pytest.raises(InputError, match=message):
        as_box(bounds, dim=2 if "another" in message or "2, 2" in message else None)

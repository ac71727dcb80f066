"""Folds and early-stopping slices: coverage, balance, equal rows, independence."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from surrogate_opt import data
from surrogate_opt.errors import InputError


def _uniform(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "num_folds", "repeats"), [(10, 5, 1), (13, 5, 3), (7, 7, 2), (101, 2, 1)])
def test_folds_hold_every_row_out_once_per_repeat(n: int, num_folds: int, repeats: int) -> None:
    held_out = data.make_folds(n, num_folds, seed=3, repeats=repeats)
    assert held_out.dtype == torch.bool
    assert held_out.shape == (repeats * num_folds, n)
    by_repeat = held_out.reshape(repeats, num_folds, n)
    assert bool((by_repeat.sum(1) == 1).all())
    sizes = held_out.sum(1)
    assert int(sizes.max() - sizes.min()) <= 1
    assert torch.equal(held_out, data.make_folds(n, num_folds, seed=3, repeats=repeats))
    assert not torch.equal(held_out, data.make_folds(n, num_folds, seed=4, repeats=repeats))
    if repeats > 1:
        assert not torch.equal(by_repeat[0], by_repeat[1])


def test_folds_leave_torchs_global_generator_alone() -> None:
    before = torch.get_rng_state()
    data.make_folds(20, 4, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_every_row_is_equally_likely_in_every_fold() -> None:
    counts = sum(data.make_folds(6, 3, seed=seed).double() for seed in range(900))
    assert isinstance(counts, Tensor)
    # Binomial(900, 1/3) has a standard deviation of 14; five of them.
    assert float((counts - 300).abs().max()) < 70


def test_equal_rows_share_a_fold_and_sizes_stay_level() -> None:
    distinct = _uniform(40, 3)
    distinct[0] = 0.0
    copies = torch.cat([torch.arange(40), torch.zeros(6, dtype=torch.int64), torch.full((4,), 7)])
    x = distinct[copies]
    x[-5] = -0.0  # equal to the zero row
    held_out = data.make_folds(50, 5, seed=0, repeats=2, x=x)
    for i, j in itertools.combinations(range(50), 2):
        if bool((x[i] == x[j]).all()):
            assert torch.equal(held_out[:, i], held_out[:, j])
    assert held_out.sum(1).tolist() == [10] * 10


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"n": 10, "num_folds": 1}, "num_folds: expected at least 2"),
        ({"n": 4, "num_folds": 5}, "num_folds: expected at most 4"),
        ({"n": 10, "num_folds": 5, "repeats": 0}, "repeats"),
        ({"n": 10, "num_folds": 5, "seed": -1}, "seed"),
        ({"n": 10, "num_folds": 3, "x": torch.arange(2.0).repeat(5)[:, None]}, "at most 2"),
        ({"n": 10, "num_folds": 3, "x": torch.zeros(9, 1)}, r"x: expected the shape \(10, columns\)"),
    ],
)
def test_make_folds_refuses(arguments: dict[str, int], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        data.make_folds(**{"seed": 0, **arguments})  # type: ignore[arg-type]  # x is a tensor


@pytest.mark.parametrize(("share", "size"), [(0.1, 8), (0.5, 40), (1e-6, 1)])
def test_slices_are_a_share_of_the_training_rows(share: float, size: int) -> None:
    held_out = data.make_folds(100, 5, seed=0, repeats=2)
    aside = data.early_stopping_slices(held_out, share, seed=0)
    assert not bool((aside & held_out).any())
    assert aside.sum(1).tolist() == [size] * 10
    assert torch.equal(aside, data.early_stopping_slices(held_out, share, seed=0))
    assert not torch.equal(aside, data.early_stopping_slices(held_out, share, seed=1))


def test_share_zero_sets_nothing_aside() -> None:
    held_out = data.make_folds(10, 5, seed=0)
    assert not bool(data.early_stopping_slices(held_out, 0.0, seed=0).any())


def test_slices_keep_equal_rows_together() -> None:
    x = _uniform(30, 2).repeat(3, 1)
    held_out = data.make_folds(90, 5, seed=0, x=x)
    aside = data.early_stopping_slices(held_out, 0.1, seed=0, x=x)
    # 10% of 72 training rows is 7, the third group of three is taken whole.
    assert aside.sum(1).tolist() == [9] * 5
    copies = aside.reshape(5, 3, 30)
    assert bool((copies == copies[:, :1]).all())


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_slices_refuse_a_share_outside_the_range(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        data.early_stopping_slices(data.make_folds(10, 5, seed=0), share, seed=0)


def test_slices_refuse_to_leave_nothing() -> None:
    with pytest.raises(InputError, match="leaves none"):
        data.early_stopping_slices(torch.tensor([[True, False]]), 0.1, seed=0)
    with pytest.raises(InputError, match="held_out"):
        data.early_stopping_slices(torch.tensor([[True, True]]), 0.1, seed=0)
    with pytest.raises(InputError, match="held_out"):
        data.early_stopping_slices(torch.zeros(2, 4), 0.1, seed=0)

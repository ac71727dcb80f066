"""Rows from trajectories and tables: which belong together, and what is refused."""

import math

import numpy as np
import pytest
import torch
from dynamics_cases import pendulum_rows
from hypothesis import given
from hypothesis import strategies as st

from surrogate_opt.dynamics import Trajectory, as_trajectories, transitions
from surrogate_opt.dynamics.transitions import from_rows
from surrogate_opt.errors import InputError

X, U, FOLLOWING = pendulum_rows(30, 0)


def record(num_steps, seed, n=2, m=1):
    generator = torch.Generator().manual_seed(seed)
    return Trajectory(
        states=torch.randn(num_steps + 1, n, generator=generator).double(),
        actions=torch.randn(num_steps, m, generator=generator).double(),
    )


def test_rows_of_trajectories_by_hand():
    parts = [record(7, 0), record(1, 1), record(5, 2)]
    rows = transitions(parts)
    assert len(rows) == 13
    assert rows.trajectory.tolist() == [0] * 7 + [1] + [2] * 5
    assert torch.equal(rows.states[7], parts[1].states[0])
    assert torch.equal(rows.next_states[7], parts[1].states[1])
    assert torch.equal(rows.next_states[8:12], rows.states[9:13])
    assert torch.equal(rows.columns[:7], torch.cat([parts[0].states[:7], parts[0].actions], 1))


def test_rows_that_go_on_are_one_trajectory():
    parts = [record(7, 0), record(9, 1)]
    expected = transitions(parts)
    rows = from_rows(expected.states, expected.actions, expected.next_states)
    assert torch.equal(rows.trajectory, expected.trajectory)
    assert from_rows(X, U, FOLLOWING).trajectory.tolist() == list(range(30)), "drawn one by one"


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8).filter(lambda each: sum(each) >= 10),
)
def test_stretches_are_trajectories_or_blocks_of_long_ones(lengths):
    rows = transitions([record(length, seed) for seed, length in enumerate(lengths)])
    stretch = rows.stretches
    most = math.ceil(len(rows) / 10)
    assert stretch[0] == 0
    assert set(stretch.diff().tolist()) <= {0, 1}
    assert stretch.bincount().max() <= most
    for number, length in enumerate(lengths):
        mine = stretch[rows.trajectory == number].unique()
        assert len(mine) == math.ceil(length / most)
        assert not torch.isin(stretch[rows.trajectory != number], mine).any()


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6).filter(lambda each: sum(each) >= 10),
    num_steps=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_windows_by_counting(lengths, num_steps, seed):
    rows = transitions([record(length, number) for number, length in enumerate(lengths)])
    allowed = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed)) < 0.8
    expected = [
        first
        for first in range(len(rows) - num_steps + 1)
        if len(set(rows.trajectory[first : first + num_steps].tolist())) == 1
        and allowed[first : first + num_steps].all()
    ]
    assert rows.windows(num_steps, allowed).tolist() == expected


def test_arrays_of_any_kind():
    part = record(12, 0)
    for kind in (torch.clone, torch.Tensor.numpy, torch.Tensor.tolist):
        (got,) = as_trajectories([kind(part.states)], [kind(part.actions)])
        assert torch.equal(got.states, part.states)
        assert torch.equal(got.actions, part.actions)
    (single,) = as_trajectories([np.arange(5.0)], [np.arange(4.0)])
    assert single.states.tolist() == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    batch = as_trajectories(torch.zeros(3, 6, 2), torch.zeros(3, 5, 1))
    assert [trajectory.num_steps for trajectory in batch] == [5, 5, 5]


def with_entry(table, value):
    changed = table.clone()
    changed[3, 0] = value
    return changed


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((X[:9], U[:9], FOLLOWING[:9]), "states: expected at least 10 rows"),
        ((X, U[:-1], FOLLOWING), "actions: expected as many rows as states, 30, got 29"),
        ((X, U, FOLLOWING[:, :1]), "next_states: expected the shape of states"),
        (
            (with_entry(X, math.nan), U, FOLLOWING),
            "states: expected finite numbers, got nan in row 3, column 0",
        ),
        ((X, with_entry(U, math.inf), FOLLOWING), "actions: expected finite numbers, got inf"),
        ((X, U, with_entry(FOLLOWING, -math.inf)), "next_states: expected finite numbers"),
        ((X, torch.ones(30, 1), FOLLOWING), r"actions\[:, 0\]: expected values that differ"),
        ((X, torch.zeros(30, 0), FOLLOWING), r"actions: expected the shape \(rows, columns\)"),
        ((torch.zeros(3, 3, 3), U, FOLLOWING), "states: expected the shape"),
        (("abc", U, FOLLOWING), "states: expected an array of numbers"),
    ],
)
def test_bad_rows_are_named(rows, message):
    with pytest.raises(InputError, match=message) as caught:
        from_rows(*rows)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("states", "actions", "message"),
    [
        ([X], [], "actions: expected one array for each of the 1 of states, got 0"),
        ([X], [U], r"actions\[0\]: expected one row less than the 30"),
        ([X, X[:, :1]], [U[1:], U[1:]], r"states\[1\], actions\[1\]: expected 2 and 1 columns"),
    ],
)
def test_bad_trajectories_are_named(states, actions, message):
    with pytest.raises(InputError, match=message):
        as_trajectories(states, actions)


def test_no_trajectory():
    with pytest.raises(InputError, match="trajectories: expected at least one, got none"):
        transitions([])

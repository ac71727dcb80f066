"""Folds and out-of-fold predictions: who trains on what, and who never sees which row."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from surrogate_opt.errors import InputError
from surrogate_opt.penalties import Strength
from surrogate_opt.training.crossvalidation import cross_validate, linear_out_of_fold, out_of_fold, plan_folds
from surrogate_opt.training.trainer import TrainingConfig

CONFIG = TrainingConfig(hidden=(6,), epochs=3, batch_size=8, num_checks=2, dtype=torch.float64)
STRENGTHS = [Strength(), Strength(dreg=0.1), Strength(spectral_bound=0.7)]


def problem(n=43, d=2, seed=0):
    x = 2.0 * torch.rand(n, d, generator=torch.Generator().manual_seed(seed)).double() - 1.0
    return x, torch.sin(3.0 * x[:, 0]) - x[:, 1]


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(10, 80), repeats=st.integers(1, 3), seed=st.integers(0, 2**32), different=st.integers(6, 80)
)
def test_every_row_is_held_out_once_a_repeat_and_parts_do_not_meet(n, repeats, seed, different):
    x = problem(n)[0][torch.arange(n) % different]  # with rows that come again
    plan = plan_folds(x, 5 * repeats, seed)
    assert plan.num_repeats == repeats
    assert (plan.held_out.view(repeats, 5, n).sum(1) == 1).all()
    assert len(set(plan.seeds)) == 5 * repeats
    for member in range(5 * repeats):
        train, stop = set(plan.train_rows[member].tolist()), set(plan.stop_rows[member].tolist())
        held_out = set(plan.held_out[member].nonzero()[:, 0].tolist())
        assert len(train) == plan.train_rows.shape[1] > 0, "no row twice"
        assert len(stop) == plan.stop_rows.shape[1] > 0
        for one, other in combinations((train, stop, held_out), 2):
            assert not one & other
        points = [{tuple(x[row].tolist()) for row in part} for part in (train, stop, held_out)]
        for one, other in combinations(points, 2):
            assert not one & other, "a leak"


def test_holders_are_those_who_never_saw_the_row():
    plan = plan_folds(problem()[0], 15, 3)
    assert plan.holders.shape == (3, 43)
    for row in range(43):
        assert set(plan.holders[:, row].tolist()) == set(plan.held_out[:, row].nonzero()[:, 0].tolist())


def test_the_plan_depends_on_the_seed_alone():
    x = problem()[0]
    first, second, other = plan_folds(x, 5, 1), plan_folds(x, 5, 1), plan_folds(x, 5, 2)
    assert torch.equal(first.train_rows, second.train_rows)
    assert torch.equal(first.stop_rows, second.stop_rows)
    assert not torch.equal(first.held_out, other.held_out)
    plan_folds(x, 5, 2**62)  # a seed as large as a hash


@pytest.mark.parametrize("members", [0, 3, 7, -5])
def test_members_come_in_fives(members):
    with pytest.raises(InputError, match=f"members: expected a positive multiple of 5, got {members}"):
        plan_folds(problem()[0], members, 0)


def test_predictions_are_those_of_the_members_that_held_the_row_out():
    x, y = problem()
    plan = plan_folds(x, 10, 0)
    result = cross_validate(x, y, plan, STRENGTHS, CONFIG)
    assert result.members_per_strength == 10
    assert result.stack.num_members == 30
    for position in range(3):
        outputs = result.ensemble(position).forward(x[None])[..., 0]
        for row in range(len(x)):
            expected = outputs[plan.held_out[:, row], row].mean()
            torch.testing.assert_close(result.predictions[position, row], expected)


def test_several_outputs_are_predicted_by_the_members_that_held_the_row_out():
    x, y = problem()
    targets = torch.stack([y, y.square(), x[:, 0]], 1)
    plan = plan_folds(x, 10, 0)
    result = cross_validate(x, targets, plan, [*STRENGTHS, Strength(igp=0.1)], CONFIG)
    assert result.predictions.shape == (4, len(x), 3)
    outputs = result.ensemble(3).forward(x[None])
    for row in range(len(x)):
        expected = outputs[plan.held_out[:, row], row].mean(0)
        torch.testing.assert_close(result.predictions[3, row], expected)
    assert torch.equal(result.select([3]).predictions[0], result.predictions[3])


def test_one_column_is_trained_like_a_vector():
    x, y = problem()
    plan = plan_folds(x, 5, 0)
    vector, column = (cross_validate(x, target, plan, STRENGTHS, CONFIG) for target in (y, y[:, None]))
    assert torch.equal(vector.stack.flat, column.stack.flat)
    assert torch.equal(vector.predictions, column.predictions[..., 0])


def test_a_poisoned_row_does_not_reach_its_own_prediction():
    x, y = problem()
    plan = plan_folds(x, 10, 0)
    clean = cross_validate(x, y, plan, STRENGTHS, CONFIG).predictions
    for row in (0, 17, 42):
        poisoned_x, poisoned_y = x.clone(), y.clone()
        poisoned_y[row] = 1e4
        poisoned = cross_validate(x, poisoned_y, plan, STRENGTHS, CONFIG).predictions
        assert torch.equal(poisoned[:, row], clean[:, row])
        assert not torch.isclose(poisoned, clean).all(), "the others do learn from it"
        poisoned_x[row] = 5.0
        moved = cross_validate(poisoned_x, y, plan, STRENGTHS, CONFIG).stack
        untouched = plan.held_out[:, row].nonzero()[:, 0].tolist()
        original = cross_validate(x, y, plan, STRENGTHS, CONFIG).stack
        assert torch.equal(moved.select(untouched).flat, original.select(untouched).flat)


def test_a_strength_that_fails_is_marked_and_leaves_the_others():
    x, y = problem()
    plan = plan_folds(x, 5, 0)
    result = cross_validate(x, y, plan, [*STRENGTHS, Strength(dreg=math.inf)], CONFIG)
    assert result.failed.tolist() == [False, False, False, True]
    assert torch.isnan(result.predictions[3]).all()
    assert torch.isfinite(result.predictions[:3]).all()


def test_select_and_join_keep_strengths_with_their_members():
    x, y = problem()
    plan = plan_folds(x, 5, 0)
    whole = cross_validate(x, y, plan, STRENGTHS, CONFIG)
    parts = cross_validate(x, y, plan, STRENGTHS[2:], CONFIG).joined(
        cross_validate(x, y, plan, STRENGTHS[:2], CONFIG)
    )
    again = parts.select([1, 2, 0])
    assert again.strengths == whole.strengths
    torch.testing.assert_close(again.predictions, whole.predictions)
    torch.testing.assert_close(again.stack.flat, whole.stack.flat)
    assert again.failed.tolist() == [False] * 3


def test_strengths_are_paired_by_seeds_and_rows():
    x, y = problem()
    plan = plan_folds(x, 5, 0)
    result = cross_validate(x, y, plan, [Strength(), Strength(dreg=1e-300)], CONFIG)
    torch.testing.assert_close(result.predictions[0], result.predictions[1], rtol=0, atol=1e-12)


def test_out_of_fold_by_hand():
    outputs = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [10.0, 11.0, 12.0]])
    held_out = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1]]).bool()
    assert out_of_fold(outputs, held_out).tolist() == [5.5, 6.5, 9.0]
    outputs[2] = math.nan
    assert torch.isnan(out_of_fold(outputs, held_out)).tolist() == [False, True, False]


@pytest.mark.parametrize("degenerate", [False, True])
def test_linear_predictions_agree_with_scikit_learn(degenerate):
    x, y = problem()
    if degenerate:
        x = torch.cat([x, x[:, :1]], 1)
    held_out = plan_folds(x, 5, 0).held_out
    got = linear_out_of_fold(x, y, held_out).numpy()
    for fold in held_out.numpy():
        model = LinearRegression().fit(x.numpy()[~fold], y.numpy()[~fold])
        np.testing.assert_allclose(got[fold], model.predict(x.numpy()[fold]), atol=1e-10)


def test_linear_predictions_of_several_targets_are_those_of_each():
    x, y = problem()
    held_out = plan_folds(x, 5, 0).held_out
    both = linear_out_of_fold(x, torch.stack([y, x[:, 0] - y], 1), held_out)
    assert torch.equal(both[:, 0], linear_out_of_fold(x, y, held_out))
    assert torch.equal(both[:, 1], linear_out_of_fold(x, x[:, 0] - y, held_out))


def test_float32_is_predicted_in_float64():
    x, y = problem()
    result = cross_validate(x, y, plan_folds(x, 5, 0), STRENGTHS, replace(CONFIG, dtype=torch.float32))
    assert result.predictions.dtype == torch.float64

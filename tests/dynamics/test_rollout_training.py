"""Windows of multi-step training, its loss by hand, its penalties, and that it never makes a member worse."""

import math

import pytest
import torch
from dynamics_cases import ENCODINGS, random_scaling

from surrogate_opt.dynamics import Encoding, Trajectory, transitions
from surrogate_opt.dynamics.rollout_training import FineTuning, RolloutData, fine_tune
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP, spectral_norms
from surrogate_opt.penalties import Strength
from surrogate_opt.penalties.dreg import mean_dreg_penalty
from surrogate_opt.training.crossvalidation import plan_folds

BRIEF = FineTuning(num_updates=30, batch_size=16, check_every=5)
STRENGTHS = [Strength(), Strength(dreg=0.03), Strength(igp=0.01), Strength(spectral_bound=0.8)]


def problem(encoding=ENCODINGS["plain"], num_steps=4, lengths=(12,) * 12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    records = [
        Trajectory(
            states=torch.randn(length + 1, encoding.num_states, generator=generator).double().cumsum(0) / 3.0,
            actions=torch.randn(length, encoding.num_actions, generator=generator).double(),
        )
        for length in lengths
    ]
    rows = transitions(records)
    plan = plan_folds(rows.stretches[:, None].double(), 5, seed)
    bounds = torch.stack([rows.columns.amin(0), rows.columns.amax(0)])
    data = RolloutData.of(rows, plan, encoding, random_scaling(encoding, bounds), num_steps)
    sizes = (encoding.num_features, 6, 5, len(encoding.learned))
    stack = StackedMLP(sizes, 5, dtype=torch.float64).initialize([0, 1, 2, 3, 4])
    return data, plan, stack


def rows_of(windows, num_steps):
    return {first + k for first in windows.tolist() for k in range(num_steps)}


def rows_to_stop(data, plan, member):
    """Stopping rows with the few that were left out to make folds of equal size."""
    stretch = data.rows.stretches
    return set(torch.isin(stretch, stretch[plan.stop_rows[member]]).nonzero()[:, 0].tolist())


def test_windows_keep_to_a_members_own_rows():
    data, plan, _ = problem()
    for member in range(5):
        stops, held_out = rows_to_stop(data, plan, member), plan.held_out[member].nonzero()[:, 0].tolist()
        train = rows_of(data.train[member], 4)
        assert len(train) > 0
        assert not train & stops
        assert not train & set(held_out)
        assert rows_of(data.stop[member], 4) <= stops
        for first in data.train[member].tolist() + data.stop[member].tolist():
            assert len(data.rows.trajectory[first : first + 4].unique()) == 1


def test_without_whole_stopping_windows_training_windows_are_watched():
    data, plan, _ = problem(num_steps=9, lengths=(30, 30, 30, 8, 8, 8, 8, 8, 8, 8, 8))
    watched_anyhow = 0
    for member, windows in enumerate(data.train):
        stops = rows_to_stop(data, plan, member)
        if not rows_of(data.stop[member], 9) <= stops:
            assert set(data.stop[member].tolist()) <= set(windows.tolist())
            watched_anyhow += 1
    assert watched_anyhow > 0


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_error_of_rollouts_by_hand(name):
    data, _, stack = problem(ENCODINGS[name], num_steps=3)
    encoding, scaling, rows = data.encoding, data.scaling, data.rows
    first = torch.stack([windows[:4] for windows in data.train])
    got = data.errors(stack, first)
    for member in range(5):
        total = 0.0
        for start in first[member].tolist():
            x = rows.states[start]
            for k in range(3):
                u = rows.actions[start + k]
                network = stack.select([member])
                output = network.forward(scaling.unit(encoding.features(x, u))[None, None])[0, 0]
                x = encoding.advance(x, u, output * scaling.std + scaling.mean)
                miss = (rows.next_states[start + k] - x)[list(encoding.learned)]
                for position, column in enumerate(encoding.learned):
                    if column in encoding.angles:
                        miss[position] = math.remainder(float(miss[position]), 2.0 * math.pi)
                total += float((miss / scaling.std).square().mean())
        assert float(got[member]) == pytest.approx(total / 12.0, rel=1e-10)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_no_member_gets_worse_and_most_get_better(strength):
    data, _, stack = problem()
    if strength.spectral_bound < math.inf:
        for weight in stack.weights:
            weight.mul_((strength.spectral_bound / spectral_norms(weight)).clamp_max(1.0)[:, None, None])
    before = stack.flat.clone()
    tuned = fine_tune(stack, data, strength, seed=0, recipe=BRIEF)
    assert torch.equal(stack.flat, before)
    was, is_now = data.errors(stack, data.stop), data.errors(tuned, data.stop)
    assert (is_now <= was).all()
    assert (is_now < 0.9 * was).sum() >= 3
    if strength.spectral_bound < math.inf:
        norms = torch.stack([spectral_norms(weight) for weight in tuned.weights])
        assert (norms <= strength.spectral_bound * (1 + 1e-12)).all()


def test_the_penalty_acts():
    data, _, stack = problem()
    x = data.features(data.stop)
    free, held = (
        fine_tune(stack, data, strength, seed=0, recipe=BRIEF)
        for strength in (Strength(), Strength(dreg=0.1))
    )
    assert (mean_dreg_penalty(held, x) < mean_dreg_penalty(free, x)).sum() >= 4


def test_the_seed_decides():
    data, _, stack = problem()
    first, second, other = (fine_tune(stack, data, Strength(), seed=s, recipe=BRIEF) for s in (1, 1, 2))
    assert torch.equal(first.flat, second.flat)
    assert not torch.equal(first.flat, other.flat)


def test_rows_that_do_not_go_on_make_no_windows():
    with pytest.raises(InputError, match="rollout_steps: expected trajectories of at least 4 steps"):
        problem(Encoding(num_states=2, num_actions=1), lengths=(3,) * 20)

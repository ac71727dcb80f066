"""Exciting actions: their values, hold times and spectra; trajectories under them and under a policy."""

import pytest
import torch
from dynamics_cases import pendulum_step

from surrogate_opt.dynamics import collect, collect_with_policy, prbs_actions, uniform_actions
from surrogate_opt.errors import InputError

BOX = [[-2.0, 10.0], [3.0, 10.5]]


def run_lengths(sequence):
    """Lengths of constant pieces."""
    changes = (sequence.diff() != 0).nonzero()[:, 0] + 1
    edges = torch.cat([torch.tensor([0]), changes, torch.tensor([len(sequence)])])
    return edges.diff()


def test_uniform_actions_fill_the_box():
    actions = uniform_actions(BOX, 20, 500, 0)
    assert actions.shape == (20, 500, 2)
    unit = ((actions - torch.tensor(BOX[0])) / (torch.tensor(BOX[1]) - torch.tensor(BOX[0]))).flatten(0, 1)
    assert (unit >= 0).all()
    assert (unit <= 1).all()
    # means and variances of 10,000 independent uniform numbers, to five standard errors
    assert (unit.mean(0) - 0.5).abs().max() < 5 * 0.289 / 100
    assert (unit.var(0) - 1 / 12).abs().max() < 5 * 0.0746 / 100
    assert torch.corrcoef(unit.T)[0, 1].abs() < 0.05


def test_held_values_keep_their_times():
    actions = uniform_actions(BOX, 10, 1000, 0, min_hold=3, max_hold=6)
    for sequence in actions.transpose(1, 2).flatten(0, 1):
        lengths = run_lengths(sequence)
        assert lengths[:-1].min() == 3
        assert lengths.max() == 6


def test_prbs_jumps_between_the_bounds():
    actions = prbs_actions(BOX, 10, 1000, 0, min_hold=2, max_hold=7)
    for column in range(2):
        assert set(actions[..., column].unique().tolist()) == {BOX[0][column], BOX[1][column]}
    lengths = torch.cat([run_lengths(s)[:-1] for s in actions.transpose(1, 2).flatten(0, 1)])
    assert lengths.unique().tolist() == [2, 3, 4, 5, 6, 7]
    assert (lengths.double().mean() - 4.5).abs() < 5 * 1.71 / len(lengths) ** 0.5


@pytest.mark.parametrize("hold", [4, 16])
def test_a_held_sequence_has_the_spectrum_of_a_hold(hold):
    """A zero-order hold of white noise has the power sinc^2(f hold): 77.4% of it below f = 1 / (2 hold)."""
    actions = uniform_actions([[-1.0], [1.0]], 100, 1024, 0, min_hold=hold, max_hold=hold)[..., 0]
    power = torch.fft.rfft(actions, dim=1).abs().square().mean(0)[1:]
    assert power[: 1024 // (2 * hold)].sum() / power.sum() == pytest.approx(0.774, abs=0.02)


@pytest.mark.parametrize("excite", [uniform_actions, prbs_actions])
def test_the_seed_decides(excite):
    assert torch.equal(excite(BOX, 3, 50, 7), excite(BOX, 3, 50, 7))
    assert not torch.equal(excite(BOX, 3, 50, 7), excite(BOX, 3, 50, 8))
    state = torch.get_rng_state()
    excite(BOX, 3, 50, 7)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("excite", [uniform_actions, prbs_actions])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bounds": [[1.0], [0.0]]}, "bounds"),
        ({"bounds": [0.0, 1.0]}, "bounds: expected the shape"),
        ({"num": 0}, "num: expected at least 1"),
        ({"num_steps": 0}, "num_steps: expected at least 1"),
        ({"seed": -1}, "seed: expected"),
        ({"min_hold": 0}, "min_hold: expected at least 1"),
        ({"min_hold": 5, "max_hold": 4}, "max_hold: expected at least 5"),
    ],
)
def test_bad_excitation_is_named(excite, changes, message):
    arguments = {"bounds": BOX, "num": 2, "num_steps": 9, "seed": 0, **changes}
    with pytest.raises(InputError, match=message):
        excite(**arguments)


def test_collected_trajectories_are_the_plants():
    starts = torch.tensor([[3.0, 0.0], [0.1, -1.0]]).double()
    actions = uniform_actions([[-2.0], [2.0]], 2, 6, 0)
    trajectories = collect(pendulum_step, starts, actions)
    assert len(trajectories) == 2
    for trajectory, start, sequence in zip(trajectories, starts, actions, strict=True):
        assert torch.equal(trajectory.states[0], start)
        assert torch.equal(trajectory.actions, sequence)
        for k in range(6):
            following = pendulum_step(trajectory.states[k], sequence[k])
            torch.testing.assert_close(trajectory.states[k + 1], following, rtol=1e-14, atol=1e-14)


def test_a_policy_acts_on_what_it_sees():
    starts = torch.tensor([[3.0, 0.0], [0.1, -1.0]]).double()
    trajectories = collect_with_policy(pendulum_step, starts, lambda x: -x[:, 1:], 5)
    for trajectory in trajectories:
        assert trajectory.num_steps == 5
        assert torch.equal(trajectory.actions, -trajectory.states[:-1, 1:])


def test_bad_collections_are_named():
    with pytest.raises(InputError, match="actions: expected one sequence for each of the 2 starts"):
        collect(pendulum_step, torch.zeros(2, 2), torch.zeros(3, 5, 1))
    with pytest.raises(InputError, match="num_steps: expected at least 1"):
        collect_with_policy(pendulum_step, torch.zeros(2, 2), lambda x: x[:, :1], 0)

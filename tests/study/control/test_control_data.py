"""Training data of plants: as many rows as asked for, inside the box, true to the plant, and repeatable."""

from __future__ import annotations

import pytest
import torch
from surrogate_problems.plants import make_plant

from surrogate_opt.errors import InputError
from surrogate_opt.study.control.data import MAX_HOLD, STEPS, collect_transitions


@pytest.mark.parametrize("name", ["pendulum", "cstr", "quadrotor", "family:smooth"])
def test_without_noise_every_row_is_a_step_of_the_plant(name):
    plant = make_plant(name)
    rows = collect_transitions(plant, 300, 0, noise=0.0)
    assert len(rows) == 300
    torch.testing.assert_close(plant.step(rows.states, rows.actions), rows.next_states)


@pytest.mark.parametrize("name", ["pendulum", "cart_pole", "van_der_pol"])
def test_data_fill_the_box_and_do_not_leave_it(name):
    plant = make_plant(name)
    rows = collect_transitions(plant, 2000, 0, noise=0.0)
    bounded = [column for column in range(plant.num_states) if column not in plant.angles]
    lower, upper = plant.data_bounds[:, bounded]
    for states in (rows.states, rows.next_states):
        assert bool(((states[:, bounded] >= lower) & (states[:, bounded] <= upper)).all())
    width = plant.data_bounds[1] - plant.data_bounds[0]
    assert bool(((rows.states.amax(0) - rows.states.amin(0)) > 0.95 * width).all())
    assert bool(
        (
            (rows.actions.amax(0) - rows.actions.amin(0))
            > 0.95 * (plant.action_bounds[1] - plant.action_bounds[0])
        ).all()
    )


def test_starts_and_actions_are_independent():
    plant = make_plant("pendulum")
    rows = collect_transitions(plant, 5000, 0, noise=0.0)
    first = torch.cat([torch.tensor([True]), rows.trajectory.diff() != 0])
    together = torch.cat([rows.states, rows.actions], 1)[first]
    off_diagonal = torch.corrcoef(together.T) - torch.eye(3)
    assert off_diagonal.abs().max() < 4.0 / len(together) ** 0.5


def test_experiments_are_short_and_hold_their_actions():
    rows = collect_transitions(make_plant("pendulum"), 3000, 0)
    lengths = rows.trajectory.bincount()
    assert 1 <= int(lengths.min()) <= int(lengths.max()) == STEPS
    held = (rows.actions[1:] == rows.actions[:-1])[rows.trajectory.diff() == 0]
    # holds of 1 to 5 steps are 3 on average: two of three steps repeat the one before
    assert held.double().mean().item() == pytest.approx(1.0 - 2.0 / (1 + MAX_HOLD), abs=0.05)


def test_noise_is_the_plants_own():
    plant = make_plant("van_der_pol")
    rows = collect_transitions(plant, 5000, 0)
    error = rows.next_states - plant.step(rows.states, rows.actions)
    # of both measurements and the process; the step itself passes on a little more than the first one
    expected = (2.0 * plant.measurement_std**2 + plant.process_std**2).sqrt()
    ratio = error.std(0) / expected
    assert bool((ratio > 0.8).all())
    assert bool((ratio < 1.6).all())
    louder = collect_transitions(plant, 5000, 0, noise=2.0)
    error = louder.next_states - plant.step(louder.states, louder.actions)
    assert bool((error.std(0) / expected > 1.6).all())


def test_more_rows_begin_with_those_of_fewer_and_seeds_differ():
    plant = make_plant("pendulum")
    few, many = collect_transitions(plant, 100, 3), collect_transitions(plant, 4000, 3)
    assert torch.equal(few.states, many.states[:100])
    assert torch.equal(few.next_states, many.next_states[:100])
    assert len(many.states.unique(dim=0)) == 4000
    assert not torch.equal(few.states, collect_transitions(plant, 100, 4).states)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_transitions": 9, "seed": 0}, "num_transitions"),
        ({"num_transitions": 100, "seed": -1}, "seed"),
        ({"num_transitions": 100, "seed": 0, "noise": -1.0}, "noise"),
        ({"num_transitions": 100, "seed": 0, "noise": float("nan")}, "noise"),
    ],
)
def test_bad_numbers_are_refused(options, expected):
    with pytest.raises(InputError, match=expected):
        collect_transitions(make_plant("pendulum"), **options)

"""What every plant promises: starts, noise, bounds, batches, and a task that needs a controller."""

import pytest
import torch
from plant_cases import EACH_PLANT, NAMES, episode, plant, points, uniform
from surrogate_problems.plants import make_plant
from surrogate_problems.problem import ProblemError


@EACH_PLANT
def test_description_is_complete(name):
    it = plant(name)
    n, m = it.num_states, it.num_actions
    assert it.name == name
    assert len(it.state_units) == len(set(it.state_names)) == n
    assert len(it.action_units) == len(set(it.action_names)) == m
    for bounds, columns in (
        (it.action_bounds, m),
        (it.state_bounds, n),
        (it.data_bounds, n),
        (it.start_bounds, n),
    ):
        assert bounds.shape == (2, columns)
        assert (bounds[0] < bounds[1]).all()
    assert it.data_bounds.isfinite().all()
    assert it.action_bounds.isfinite().all()
    assert it.process_std.shape == it.measurement_std.shape == (n,)
    assert it.cost.target.shape == (it.num_steps + 1, n)
    assert it.horizon < it.num_steps


@EACH_PLANT
def test_task_is_possible_within_the_bounds(name):
    it = plant(name)
    assert it.within_bounds(it.cost.target).all()
    assert it.within_bounds(it.starts(50, seed=1)).all()
    lower, upper = it.action_bounds
    assert ((it.cost.action_target >= lower) & (it.cost.action_target <= upper)).all()


@EACH_PLANT
def test_target_is_held_by_its_actions(name):
    it = plant(name)
    goal = it.cost.target[-1]
    # Far below any tolerance; the CSTR's and the tanks' steady states are solved to rounding.
    torch.testing.assert_close(it.step(goal, it.cost.action_target), goal, rtol=1e-9, atol=1e-9)


@EACH_PLANT
@pytest.mark.parametrize("actions", ["zero", "random"])
def test_doing_nothing_and_doing_anything_fail(name, actions):
    it = plant(name)
    num = 10
    u = uniform(it.action_bounds, num, it.num_steps, seed=5)
    states = episode(it, torch.zeros_like(u) if actions == "zero" else u)
    assert states.isfinite().all()
    assert not it.succeeded(states).any()


@EACH_PLANT
def test_resting_at_the_target_succeeds(name):
    it = plant(name)
    at_target = it.cost.target.clone()
    assert it.succeeded(at_target)
    assert it.succeeded(at_target.expand(3, 2, -1, -1)).shape == (3, 2)
    late = at_target.clone()
    late[-1] += 2.0 * it.tolerance.nan_to_num(posinf=0.0)
    assert not it.succeeded(late)
    unknown = at_target.clone()
    unknown[-1, 0] = torch.nan
    assert not it.succeeded(unknown)


@pytest.mark.parametrize("name", ["pendulum", "cart_pole"])
def test_success_sees_angles_modulo_a_turn(name):
    it = plant(name)
    states = it.cost.target.clone()
    states[:, it.angles[0]] += 4.0 * torch.pi
    assert it.succeeded(states)
    states[:, it.angles[0]] += torch.pi
    assert not it.succeeded(states)


@pytest.mark.parametrize("name", ["cart_pole", "quadrotor"])
def test_success_needs_the_state_bounds(name):
    it = plant(name)
    states = it.cost.target.clone()
    states[1, 0] = it.state_bounds[1, 0] + 0.01
    assert not it.succeeded(states)


def test_quadrotor_must_pass_its_waypoint():
    it = plant("quadrotor")
    straight = it.cost.target[-1].expand(it.num_steps + 1, -1)
    assert it.settled(straight)
    assert not it.succeeded(straight)


@EACH_PLANT
def test_starts_are_seeded_and_nested(name):
    it = plant(name)
    starts = it.starts(30, seed=3)
    torch.testing.assert_close(starts, it.starts(30, seed=3), rtol=0.0, atol=0.0)
    torch.testing.assert_close(starts[:7], it.starts(7, seed=3), rtol=0.0, atol=0.0)
    assert not torch.equal(starts, it.starts(30, seed=4))
    lower, upper = it.start_bounds
    assert ((starts >= lower) & (starts <= upper)).all()
    assert (starts.std(0) > 0.2 * (upper - lower)).all()


@EACH_PLANT
def test_noise_is_seeded_and_has_its_width(name):
    it = plant(name)
    process, measurement = (draw((4000,), 0) for draw in (it.process_noise, it.measurement_noise))
    # The standard deviation of 4,000 draws is within 5% of the true one in all but 1 of 10^5 cases.
    torch.testing.assert_close(process.std(0), it.process_std, rtol=0.05, atol=0.0)
    torch.testing.assert_close(measurement.std(0), it.measurement_std, rtol=0.05, atol=0.0)
    torch.testing.assert_close(process, it.process_noise((4000,), 0), rtol=0.0, atol=0.0)
    correlation = (process / it.process_std * measurement / it.measurement_std).mean(0)
    assert (correlation.abs() < 0.1).all()


@EACH_PLANT
def test_batches_are_stepped_row_by_row(name):
    it = plant(name)
    x, u = points(it, 3, 4)
    together = it.step(x, u)
    alone = torch.stack([it.step(a, b) for a, b in zip(x.flatten(0, 1), u.flatten(0, 1), strict=True)])
    torch.testing.assert_close(together.flatten(0, 1), alone, rtol=1e-12, atol=1e-12)


@EACH_PLANT
def test_actions_are_clamped(name):
    it = plant(name)
    x, _ = points(it, 5)
    lower, upper = it.action_bounds
    torch.testing.assert_close(it.step(x, upper + 3.0), it.step(x, upper), rtol=0.0, atol=0.0)
    torch.testing.assert_close(it.step(x, lower - 3.0), it.step(x, lower), rtol=0.0, atol=0.0)


@EACH_PLANT
def test_float32_stays_float32(name):
    it = plant(name)
    x, u = points(it, 5)
    following, A, B = it.linearize(x.float(), u.float())
    assert {following.dtype, A.dtype, B.dtype, it.step(x.float(), u.float()).dtype} == {torch.float32}
    scale = it.data_bounds[1] - it.data_bounds[0]
    torch.testing.assert_close(following.double() / scale, it.step(x, u) / scale, rtol=0.0, atol=1e-4)


def test_wrong_arguments_are_named():
    it = plant("pendulum")
    with pytest.raises(ProblemError, match="x: expected 2 columns of pendulum"):
        it.step(torch.zeros(3), torch.zeros(1))
    with pytest.raises(ProblemError, match="u: expected 1 columns of pendulum"):
        it.linearize(torch.zeros(2), torch.zeros(2))
    with pytest.raises(ProblemError, match="num: expected at least 1 start"):
        it.starts(0, seed=0)
    with pytest.raises(ProblemError, match="seed: expected a non-negative integer"):
        it.starts(1, seed=-1)
    with pytest.raises(ProblemError, match=f"name: expected one of {NAMES[0]}"):
        make_plant("pendulums")

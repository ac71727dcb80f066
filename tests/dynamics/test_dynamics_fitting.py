"""fit_dynamics: what it learns, whom it holds out, that it repeats itself, what it refuses."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from dynamics_cases import pendulum_rows, pendulum_step

from surrogate_opt.dynamics import (
    Dynamics,
    Trajectory,
    collect,
    fit_dynamics,
    free_run_error,
    transitions,
    uniform_actions,
    with_lags,
)
from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.penalties import METHODS

QUICK = {"hidden": (6,), "epochs": 4, "batch_size": 16}
LEARNING = {"hidden": (32, 32), "epochs": 60, "strength": 0.0, "penalty": "none"}
A = torch.tensor([[0.9, 0.2], [-0.1, 0.8]]).double()
B = torch.tensor([[0.0], [0.5]]).double()


def linear_records(num=20, num_steps=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randn(num, 2, generator=generator).double()
    actions = uniform_actions([[-2.0], [2.0]], num, num_steps, seed, max_hold=4)
    return collect(lambda x, u: x @ A.T + u @ B.T, starts, actions)


def pendulum_records(num=20, num_steps=25, seed=0, noise=0.0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([math.pi, 6.0]).double()
    starts = scale * (2.0 * torch.rand(num, 2, generator=generator).double() - 1.0)
    actions = uniform_actions([[-2.0], [2.0]], num, num_steps, seed, max_hold=5)
    std = noise * torch.tensor([1.0, 4.0]).double()
    return [
        Trajectory(
            states=t.states + std * torch.randn(t.states.shape, generator=generator).double(),
            actions=t.actions,
        )
        for t in collect(pendulum_step, starts, actions)
    ]


@pytest.fixture(scope="module")
def quick() -> Dynamics:
    return fit_dynamics(*pendulum_rows(60, 0), angles=(0,), **QUICK)


def test_a_linear_system_is_recovered():
    dynamics = fit_dynamics(linear_records(), **LEARNING)
    assert (dynamics.one_step_r2 > 0.9995).all()
    test = linear_records(10, 30, seed=5)
    assert (free_run_error(dynamics, test).fit_percent > 97.0).all()
    points = transitions(test)
    _, by_state, by_action = dynamics.linearize(points.states, points.actions)
    assert (by_state - A).abs().mean() < 0.01
    assert (by_action - B).abs().mean() < 0.01


def test_the_pendulum_is_learned_and_its_slopes_with_it():
    dynamics = fit_dynamics(*pendulum_rows(1000, 0), angles=(0,), **LEARNING)
    assert (dynamics.one_step_r2 > 0.999).all()
    x, u, following = pendulum_rows(500, 9)
    error = dynamics.encoding.increments(following, dynamics.step(x, u))
    fresh_r2 = 1.0 - error.square().mean(0) / (following - x).var(0)
    assert (fresh_r2 > 0.999).all()
    turned = x + torch.tensor([2.0 * math.pi, 0.0], dtype=torch.float64)
    torch.testing.assert_close(dynamics.step(turned, u) - turned, dynamics.step(x, u) - x, rtol=0, atol=1e-9)
    _, by_state, _ = dynamics.linearize(x, u)
    shift = torch.tensor([1e-5, 0.0]).double()
    slope = (pendulum_step(x + shift, u) - pendulum_step(x - shift, u)) / 2e-5
    assert (by_state[..., 0] - slope).norm(dim=-1).mean() < 0.05 * slope.norm(dim=-1).mean()


def test_lags_are_learned_where_the_state_is_not_measured():
    """One output alone says nothing of the other state; two in a row do. Copies stay exact in any rollout."""
    records = [Trajectory(states=t.states[:, :1], actions=t.actions) for t in linear_records()]
    lagged = with_lags(records, 2)
    dynamics = fit_dynamics(
        lagged.trajectories, copies=lagged.copies, state_names=lagged.state_names, **LEARNING
    )
    assert dynamics.one_step_r2[1:].tolist() == [1.0, 1.0]
    assert dynamics.record.one_step_rmse[1:].tolist() == [0.0, 0.0]
    assert dynamics.one_step_r2[0] > 0.999
    alone = fit_dynamics(records, **LEARNING)
    assert alone.one_step_r2[0] < 0.9
    states = dynamics.rollout(lagged.trajectories[0].states[0], lagged.trajectories[0].actions)
    assert torch.equal(states[1:, 1], states[:-1, 0])
    assert torch.equal(states[1:, 2], lagged.trajectories[0].actions[:, 0])


def test_out_of_fold_figures_are_those_of_members_that_never_saw_the_trajectory():
    """Redone by hand: noise in one trajectory must not reach its own out-of-fold predictions."""
    records = pendulum_records(10, 12)
    rows = transitions(records)
    dynamics = fit_dynamics(records, angles=(0,), strength=1e-3, **QUICK)
    members = dynamics.member_step(rows.states, rows.actions)
    errors = dynamics.encoding.increments(rows.next_states, members)
    std = dynamics.encoding.increments(rows.states, rows.next_states).std(0, correction=0)
    # who held which trajectory out is unknown here, but one member for each must explain the error
    per_record = torch.stack(
        [errors[:, rows.trajectory == number].square().sum(1) for number in range(10)], 1
    )
    least, most = per_record.amin(0).sum(0), per_record.amax(0).sum(0)
    total = dynamics.record.one_step_rmse.square() * len(rows)
    assert (least <= total * (1 + 1e-9)).all()
    assert (total <= most * (1 + 1e-9)).all()
    torch.testing.assert_close(dynamics.one_step_r2, 1.0 - (dynamics.record.one_step_rmse / std).square())


def test_neighbours_in_time_are_held_out_together():
    """A slow random walk: a fold that held out single rows would be told the answer by their neighbours."""
    generator = torch.Generator().manual_seed(0)
    walk = torch.randn(401, 1, generator=generator).double()
    hidden = (torch.arange(401) // 20).double()[:, None]
    level = torch.randn(21, generator=generator).double()[hidden[:, 0].long()]
    states = torch.cumsum(torch.cat([level[:, None], 1e-3 * walk], 1), 0) * 1e-2
    table = fit_dynamics(
        [Trajectory(states=states, actions=walk[1:])], hidden=(32, 32), epochs=60, penalty="none"
    )
    assert table.one_step_r2[0] < 0.5, "the level of a block that was never seen cannot be known"


def test_multi_step_training_lowers_the_error_of_rollouts():
    records = pendulum_records(40, 25, noise=0.03)
    once, often = (fit_dynamics(records, angles=(0,), rollout_steps=steps, **LEARNING) for steps in (1, 5))
    assert often.record.rollout_steps == 5
    assert torch.equal(once.scaling.std, often.scaling.std)
    test = pendulum_records(40, 15, seed=9)
    starts = torch.stack([t.states[0] for t in test])
    actions = torch.stack([t.actions for t in test])
    truth = torch.stack([t.states for t in test])

    def error(dynamics):
        return float(
            dynamics.encoding.increments(truth, dynamics.rollout(starts, actions))[:, -1].square().mean()
        )

    assert error(often) < 0.5 * error(once)


@pytest.mark.parametrize("penalty", METHODS)
def test_every_method_fits(penalty):
    dynamics = fit_dynamics(*pendulum_rows(60, 0), angles=(0,), penalty=penalty, **QUICK)
    table = dynamics.selection
    assert len(table) >= METHODS[penalty].num_points
    chosen = table[table["chosen"]].iloc[0]
    assert (dynamics.penalty, dynamics.level) == (penalty, chosen["level"])
    assert dynamics.strength == METHODS[penalty].at(dynamics.level)
    assert chosen["r2"] == pytest.approx(float(dynamics.one_step_r2.mean()))
    assert dynamics.num_members == 5


def test_the_same_seed_gives_the_same_model(quick):
    again = fit_dynamics(*pendulum_rows(60, 0), angles=(0,), **QUICK)
    assert torch.equal(again.stack.flat, quick.stack.flat)
    assert torch.equal(again.one_step_r2, quick.one_step_r2)
    pd.testing.assert_frame_equal(again.selection, quick.selection, check_exact=True)
    other = fit_dynamics(*pendulum_rows(60, 0), angles=(0,), seed=1, **QUICK)
    assert not torch.equal(other.stack.flat, quick.stack.flat)


def test_neither_data_nor_the_global_generator_is_touched():
    rows = pendulum_rows(60, 0)
    before, state = [table.clone() for table in rows], torch.get_rng_state()
    fit_dynamics(*rows, angles=(0,), bounds=[[-4, -9, -2], [4, 9, 2]], strength=1e-3, **QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(table, was) for table, was in zip(rows, before, strict=True))


def test_the_same_rows_in_every_form():
    records = pendulum_records(6, 5)
    rows = transitions(records)
    states, actions = [t.states for t in records], [t.actions for t in records]
    reference = fit_dynamics(records, strength=1e-3, **QUICK)
    for given in (
        (rows,),
        (states, actions),
        (torch.stack(states).numpy(), torch.stack(actions).numpy()),
        (rows.states.numpy(), rows.actions.tolist(), pd.DataFrame(rows.next_states.numpy())),
    ):
        assert torch.equal(fit_dynamics(*given, strength=1e-3, **QUICK).stack.flat, reference.stack.flat)


def test_names_bounds_and_time_step_are_kept(quick):
    assert (quick.state_names, quick.action_names, quick.dt) == (("x0", "x1"), ("u0",), None)
    x, u, following = pendulum_rows(60, 0)
    assert quick.bounds.tolist() == [
        [float(x[:, 0].min()), float(x[:, 1].min()), float(u.min())],
        [float(x[:, 0].max()), float(x[:, 1].max()), float(u.max())],
    ]
    box = [[-1.0, -9.0, -3.0], [1.0, 9.0, 3.0]]  # the angle may leave it
    named = fit_dynamics(
        x, u, following, angles=np.array([0]), bounds=box, state_names=["angle", "speed"],
        action_names=["torque"], dt=0.05, strength=1e-3, **QUICK,
    )  # fmt: skip
    assert (named.state_names, named.action_names, named.dt) == (("angle", "speed"), ("torque",), 0.05)
    assert named.bounds.tolist() == box
    assert named.scaling.lower.tolist() == [-9.0, -3.0, -1.0, -1.0]


def test_units_do_not_matter(quick):
    """Powers of two scale without rounding, so nothing may change but the units."""
    x, u, following = pendulum_rows(60, 0)
    factor = torch.tensor([1.0, 2.0**20]).double()
    scaled = fit_dynamics(x * factor, u * 2.0**-15, following * factor, angles=(0,), **QUICK)
    assert torch.equal(scaled.step(x * factor, u * 2.0**-15), quick.step(x, u) * factor)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"penalty": "ridge"}, "penalty: expected one of none, dreg"),
        ({"strength": "strong"}, "strength: expected 'auto' or a number"),
        ({"rule": "median"}, "rule: expected one of plateau, best"),
        ({"members": 4}, "members: expected a positive multiple of 5"),
        ({"rollout_steps": 0}, "rollout_steps: expected at least 1"),
        ({"rollout_steps": 3, "strength": 0.0}, "rollout_steps: expected trajectories of at least 3 steps"),
        ({"angles": (5,)}, "angles: expected columns from 0 to 1, got 5"),
        ({"copies": {0: 0, 1: 1}, "angles": ()}, "copies: expected at least one state to learn"),
        ({"bounds": [[-9.0] * 3, [9.0, 1.0, 9.0]]}, r"bounds\[:, 1\]: expected a box around the data"),
        ({"bounds": [[-9.0] * 2, [9.0] * 2]}, r"bounds: expected the shape \(2, 3\)"),
        ({"state_names": ["a"]}, "state_names: expected 2 names, got 1"),
        ({"action_names": ["a", "b"]}, "action_names: expected 1 names, got 2"),
        ({"activation": "sine"}, "activation: expected one of"),
        ({"seed": -1}, "seed: expected"),
        ({"actions": None}, "actions: expected one array for each trajectory"),
    ],
)
def test_bad_input_is_named(changes, message):
    x, u, following = pendulum_rows(60, 0)
    arguments = {"states": x, "actions": u, "next_states": following, "angles": (0,), **QUICK, **changes}
    with pytest.raises(InputError, match=message) as caught:
        fit_dynamics(**arguments)
    assert "\n" not in str(caught.value)


def test_a_state_that_only_counts_is_named():
    x, u, following = pendulum_rows(60, 0)
    following[:, 0] = x[:, 0] + 0.5
    with pytest.raises(InputError, match=r"next_states\[:, 0\]: expected increments that differ"):
        fit_dynamics(x, u, following, **QUICK)


def test_every_strength_failing_is_one_clear_line():
    with pytest.raises(TrainingError, match="every strength failed"):
        fit_dynamics(*pendulum_rows(60, 0), **{**QUICK, "learning_rate": 1e38})


@pytest.mark.slow
def test_the_default_recipe_learns_the_pendulum():
    dynamics = fit_dynamics(*pendulum_rows(2000, 0), angles=(0,))
    assert (dynamics.one_step_r2 > 0.9999).all()
    x, u, following = pendulum_rows(1000, 9)
    error = dynamics.step(x, u) - following
    assert (error.square().mean(0).sqrt() < 0.005 * (following - x).std(0)).all()


def test_two_matrices_are_one_trajectory():
    generator = torch.Generator().manual_seed(0)
    x, u = torch.randn(61, 2, generator=generator), torch.randn(60, 1, generator=generator)
    settings = {"strength": 1e-3, "epochs": 1, "hidden": (4,)}
    one, listed = (fit_dynamics(*data, **settings) for data in ((x, u), ([x], [u])))
    assert (one.num_states, one.num_actions) == (2, 1)
    assert torch.equal(one.stack.flat, listed.stack.flat)
    with pytest.raises(InputError, match=r"one row less than the 60 .* need next_states"):
        fit_dynamics(x[:60], u, **settings)

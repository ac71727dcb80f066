"""Lagged states, the ARX baseline and free-run errors on systems whose answers are known."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from surrogate_opt.dynamics import (
    Encoding,
    LinearDynamics,
    Trajectory,
    free_run_error,
    simulate,
    transitions,
    with_lags,
)
from surrogate_opt.errors import InputError


def arx_record(num_steps, seed):
    """y_t = 1.5 y_{t-1} - 0.7 y_{t-2} + u_{t-1} + 0.5 u_{t-2}, by SciPy's filter (Ljung's example)."""
    u = np.random.default_rng(seed).normal(size=num_steps + 1)
    y = lfilter([0.0, 1.0, 0.5], [1.0, -1.5, 0.7], u)
    return Trajectory(states=torch.from_numpy(y)[:, None], actions=torch.from_numpy(u[:-1])[:, None])


def counted(num_steps, num_outputs, num_actions):
    """Outputs 100 t + column, actions -100 t - column."""
    time = 100.0 * torch.arange(num_steps + 1).double()[:, None]
    return Trajectory(states=time + torch.arange(num_outputs), actions=-time[:-1] - torch.arange(num_actions))


def test_lagged_states_by_hand():
    lagged = with_lags([counted(6, 2, 1)], 3, output_names=("y", "z"), action_names=("u",))
    assert lagged.state_names == ("y", "z", "y[-1]", "z[-1]", "y[-2]", "z[-2]", "u[-1]", "u[-2]")
    (trajectory,) = lagged.trajectories
    assert trajectory.states[0].tolist() == [200, 201, 100, 101, 0, 1, -100, 0]
    assert trajectory.actions[:, 0].tolist() == [-200, -300, -400, -500]
    assert trajectory.num_steps == 4
    assert lagged.outputs == (0, 1)


@pytest.mark.parametrize("lags", [1, 2, 5])
@pytest.mark.parametrize(("num_outputs", "num_actions"), [(1, 1), (2, 1), (1, 3), (3, 2)])
def test_copies_are_true_of_the_data(lags, num_outputs, num_actions):
    lagged = with_lags([counted(9, num_outputs, num_actions)], lags)
    (trajectory,) = lagged.trajectories
    num_states = trajectory.states.shape[1]
    encoding = Encoding(num_states=num_states, num_actions=num_actions, copies=lagged.copies)
    assert encoding.learned == lagged.outputs
    columns = torch.cat([trajectory.states[:-1], trajectory.actions], 1)
    for state, source in lagged.copies.items():
        assert torch.equal(trajectory.states[1:, state], columns[:, source])
    assert len(lagged.state_names) == num_states


def test_short_trajectories_are_left_out():
    assert len(with_lags([counted(9, 1, 1), counted(3, 1, 1)], 4).trajectories) == 1
    with pytest.raises(InputError, match="lags: expected a trajectory of at least 4 steps"):
        with_lags([counted(3, 1, 1)], 4)
    with pytest.raises(InputError, match="lags: expected at least 1"):
        with_lags([counted(3, 1, 1)], 0)


def test_least_squares_finds_the_arx_system():
    lagged = with_lags([arx_record(200, 0), arx_record(50, 1)], 2)
    encoding = Encoding(num_states=3, num_actions=1, copies=lagged.copies)
    model = LinearDynamics.fit(transitions(lagged.trajectories), encoding)
    # the state is (y, y[-1], u[-1]) and the coefficients are of the increment
    expected = torch.tensor([[0.5, -0.7, 0.5, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(model.coefficients, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(model.intercept, torch.zeros(1).double(), rtol=0, atol=1e-10)
    fresh = with_lags([arx_record(300, 2)], 2)
    found = free_run_error(model, fresh.trajectories, fresh.outputs)
    assert found.rmse[0] < 1e-9
    assert found.fit_percent[0] == pytest.approx(100.0)


def test_angles_are_plain_numbers_to_a_linear_model():
    generator = torch.Generator().manual_seed(0)
    trajectory = Trajectory(
        states=torch.randn(30, 2, generator=generator).double(),
        actions=torch.randn(29, 1, generator=generator).double(),
    )
    rows = transitions([trajectory])
    plain, angle = (
        LinearDynamics.fit(rows, Encoding(num_states=2, num_actions=1, angles=angles))
        for angles in ((), (0,))
    )
    assert torch.equal(plain.coefficients, angle.coefficients)
    predicted = plain.step(rows.states, rows.actions)
    normal = torch.cat([rows.columns, torch.ones(29, 1)], 1).T @ (rows.next_states - predicted)
    torch.testing.assert_close(normal, torch.zeros(4, 2).double(), rtol=0, atol=1e-10)


class Scaled:
    """Ignores the state and gives a multiple of the action."""

    def __init__(self, factor):
        self.factor = factor

    def step(self, x, u):
        return self.factor * u


def test_free_run_errors_by_hand():
    y = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]]).double()
    trajectory = Trajectory(states=y, actions=y[1:])
    perfect = free_run_error(Scaled(1.0), [trajectory])
    assert (perfect.rmse.item(), perfect.fit_percent.item()) == (0.0, 100.0)
    found = free_run_error(Scaled(0.0), [trajectory, trajectory])
    assert found.rmse.item() == pytest.approx(math.sqrt(30.0 / 4.0))
    assert found.fit_percent.item() == pytest.approx(100.0 * (1.0 - math.sqrt(30.0 / 5.0)))
    blown = free_run_error(Scaled(math.nan), [trajectory])
    assert (blown.rmse.item(), blown.fit_percent.item()) == (math.inf, -math.inf)


def test_a_simulation_feeds_its_own_states_back():
    model = LinearDynamics(
        coefficients=torch.tensor([[-0.5, 1.0]]).double(),
        intercept=torch.tensor([0.25]).double(),
        encoding=Encoding(num_states=1, num_actions=1),
    )
    trajectory = Trajectory(
        states=torch.tensor([[4.0], [9.0], [9.0]]).double(), actions=torch.tensor([[1.0], [2.0]]).double()
    )
    assert simulate(model, trajectory)[:, 0].tolist() == [4.0, 3.25, 3.875]

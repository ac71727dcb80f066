"""Free-run simulation of real records beside the linear ARX model: half of each is learned, half simulated.

The factors are what this repository reaches, with room for rounding on other machines; where a plant is as
good as linear (dryer, ball and beam), a network has nothing to win and pays for its freedom.
"""

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch

from surrogate_opt.dynamics import (
    Encoding,
    LinearDynamics,
    Trajectory,
    fit_dynamics,
    free_run_error,
    read_log,
    trajectories_of,
    transitions,
    with_lags,
)

RECIPE = {"hidden": (32,), "epochs": 100, "penalty": "none"}


@pytest.fixture(scope="session")
def records(real_data):
    return real_data("control/sysid") / "control" / "sysid"


def two_columns(u, y):
    """The halves of a record of one input and one output."""
    table = pd.DataFrame({"u": u, "y": y})
    half = len(table) // 2
    return tuple(trajectories_of(part, ["y"], ["u"]) for part in (table[:half], table[half:]))


def cascaded_tanks(folder):
    path = folder / "cascaded_tanks_dataBenchmark.csv"
    return tuple(read_log(path, [f"y{part}"], [f"u{part}"], dt=4.0) for part in ("Est", "Val"))


def dryer(folder):
    return two_columns(*np.loadtxt(folder / "dryer.dat").T)


def ball_and_beam(folder):
    return two_columns(*np.loadtxt(folder / "ballbeam.dat").T)


def actuator(folder):
    record = scipy.io.loadmat(folder / "actuator.mat")
    return two_columns(record["u"][:, 0], record["p"][:, 0])


def errors(train, test, lags, horizon=None, **recipe):
    """Free-run errors of network and ARX model, from the start or over stretches of the given length."""
    learned, fresh = with_lags(train, lags), with_lags(test, lags)
    encoding = Encoding(num_states=len(learned.state_names), num_actions=1, copies=learned.copies)
    arx = LinearDynamics.fit(transitions(learned.trajectories), encoding)
    network = fit_dynamics(learned.trajectories, copies=learned.copies, **{**RECIPE, **recipe})
    runs = fresh.trajectories if horizon is None else cut(fresh.trajectories[0], horizon)
    return (free_run_error(model, runs, fresh.outputs) for model in (network, arx))


def cut(trajectory, length):
    return [
        Trajectory(
            states=trajectory.states[first : first + length + 1],
            actions=trajectory.actions[first : first + length],
        )
        for first in range(0, trajectory.num_steps - length + 1, length)
    ]


@pytest.mark.parametrize(
    ("record", "lags", "horizon", "factor"),
    [
        (actuator, 4, None, 0.8),
        (dryer, 6, None, 1.1),
        (cascaded_tanks, 4, None, 1.3),
        # an integrator: simulated freely over minutes, any model drifts away
        (ball_and_beam, 4, 50, 1.5),
    ],
)
def test_beside_the_linear_model(records, record, lags, horizon, factor):
    train, test = record(records)
    network, arx = errors(train, test, lags, horizon)
    assert network.rmse.item() < factor * arx.rmse.item()
    assert network.fit_percent.item() > 25.0


@pytest.mark.slow
def test_multi_step_training_helps_on_the_actuator(records):
    train, test = actuator(records)
    network, arx = errors(train, test, 4, hidden=(64, 64), rollout_steps=10)
    assert network.rmse.item() < 0.65 * arx.rmse.item()


def test_the_records_are_what_they_should_be(records):
    for record, counts, spread in (
        (cascaded_tanks, (1024, 1024), 2.1),
        (dryer, (500, 500), 0.8),
        (ball_and_beam, (500, 500), 0.07),
        (actuator, (512, 512), 1.6),
    ):
        halves = record(records)
        assert tuple(len(half[0].states) for half in halves) == counts
        assert all(len(half) == 1 for half in halves)
        states = torch.cat([half[0].states for half in halves])
        assert states.std().item() == pytest.approx(spread, rel=0.2)

"""Plants as Gymnasium environments: the checker passes, rewards are the costs of the plant's own steps."""

import warnings

import numpy as np
import pytest
import torch
from plant_cases import EACH_PLANT, plant

gymnasium = pytest.importorskip("gymnasium")
from gymnasium.utils.env_checker import check_env  # noqa: E402  # after the skip
from surrogate_problems.plants.environment import PlantEnvironment  # noqa: E402


@EACH_PLANT
def test_checker_passes(name):
    with warnings.catch_warnings():
        # Recommendations for learning agents: bounded observations, actions scaled to [-1, 1].
        warnings.filterwarnings(
            "ignore", message=".*(we recommend using|probably too|without a spec|a spec).*"
        )
        warnings.simplefilter("error", append=True)
        check_env(PlantEnvironment(plant(name), noise=True))


def test_rewards_are_the_negative_costs_of_the_plants_steps():
    it = plant("pendulum")
    environment = PlantEnvironment(it)
    observation, info = environment.reset(seed=1)
    x = torch.from_numpy(observation)
    assert ((x >= it.start_bounds[0]) & (x <= it.start_bounds[1])).all()
    environment.action_space.seed(0)
    for k in range(it.num_steps):
        action = environment.action_space.sample()
        observation, reward, terminated, truncated, info = environment.step(action)
        assert reward == pytest.approx(-float(it.cost.stage(x, torch.from_numpy(action), k)))
        x = it.step(x, torch.from_numpy(action))
        np.testing.assert_allclose(observation, x.numpy())
        assert not terminated
        assert truncated == (k == it.num_steps - 1)
    assert info["success"] is False
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        environment.step(action)


def test_actions_are_clamped_before_they_are_paid_for():
    it = plant("pendulum")
    environment = PlantEnvironment(it)
    ends = []
    for torque in (2.0, 9.0):
        environment.reset(seed=0)
        ends.append(environment.step(np.array([torque])))
    assert ends[0][1] == ends[1][1]
    np.testing.assert_array_equal(ends[0][0], ends[1][0])


def test_noise_moves_the_plant_and_blurs_what_is_seen():
    environment = PlantEnvironment(plant("cart_pole"), noise=True)
    quiet = PlantEnvironment(plant("cart_pole"))
    seen, info = environment.reset(seed=3)
    assert not np.array_equal(seen, info["state"])
    assert np.array_equal(info["state"], quiet.reset(seed=3)[0])
    action = np.zeros(1)
    assert not np.array_equal(environment.step(action)[4]["state"], quiet.step(action)[4]["state"])


def test_violation_is_the_share_of_the_data_box_beyond_the_track():
    it = plant("cart_pole")
    environment = PlantEnvironment(it)
    environment.reset(seed=0)
    for _ in range(40):
        info = environment.step(np.array([10.0]))[4]
    beyond = info["state"][0] - 2.4
    assert beyond > 0.0
    assert info["violation"] == pytest.approx(beyond / 4.8)


def test_episodes_go_on_from_one_seed():
    environment = PlantEnvironment(plant("van_der_pol"))
    runs = []
    for _ in range(2):
        first, _ = environment.reset(seed=5)
        second, _ = environment.reset()
        runs.append((first, second))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(*runs[0])

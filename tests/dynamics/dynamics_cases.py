"""A pendulum in closed form, data drawn from it, and learned dynamics with random weights."""

from __future__ import annotations

import math

import pandas as pd
import torch

from surrogate_opt.dynamics import Dynamics, DynamicsRecord, Encoding
from surrogate_opt.dynamics.scaling import TransitionScaling
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength

ENCODINGS = {
    "plain": Encoding(num_states=3, num_actions=2),
    "angle": Encoding(num_states=3, num_actions=2, angles=(1,)),
    "two angles": Encoding(num_states=4, num_actions=1, angles=(3, 0)),
    "lags": Encoding(num_states=5, num_actions=1, copies={1: 0, 2: 1, 3: 5, 4: 3}),
    "lags and angle": Encoding(num_states=4, num_actions=2, angles=(2,), copies={0: 1, 3: 5}),
}


def pendulum_step(x, u, dt=0.05):
    """Angle 0 upright, torque of 0.4 of what lifts the rod; Runge-Kutta of order 4."""

    def rates(state):
        return torch.stack([state[..., 1], 15.0 * torch.sin(state[..., 0]) + 3.0 * u[..., 0]], -1)

    first = rates(x)
    second = rates(x + 0.5 * dt * first)
    third = rates(x + 0.5 * dt * second)
    fourth = rates(x + dt * third)
    return x + dt / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)


def pendulum_rows(num, seed):
    """States, actions and next states drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    x = (2.0 * torch.rand(num, 2, generator=generator).double() - 1.0) * torch.tensor([math.pi, 8.0]).double()
    u = 4.0 * torch.rand(num, 1, generator=generator).double() - 2.0
    return x, u, pendulum_step(x, u)


def random_points(encoding, *batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = 2.0 * torch.randn(*batch, encoding.num_states, generator=generator, dtype=torch.float64)
    u = torch.randn(*batch, encoding.num_actions, generator=generator, dtype=torch.float64)
    return x, u


def random_scaling(encoding, bounds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    num_learned = len(encoding.learned)
    box = encoding.feature_bounds(bounds)
    return TransitionScaling(
        mix=encoding.differences,
        lower=box[0],
        upper=box[1],
        mean=torch.randn(num_learned, generator=generator).double(),
        std=0.5 + torch.rand(num_learned, generator=generator).double(),
    )


def random_dynamics(encoding=None, hidden=(7, 6), activation="silu", members=5, seed=0):
    """Learned dynamics without learning; random scaling, box and weights."""
    encoding = encoding or ENCODINGS["angle"]
    num_columns = encoding.num_states + encoding.num_actions
    generator = torch.Generator().manual_seed(seed)
    lower = -1.0 - torch.rand(num_columns, generator=generator).double()
    bounds = torch.stack([lower, lower + 3.0])
    sizes = (encoding.num_features, *hidden, len(encoding.learned))
    stack = StackedMLP(sizes, members, activation, dtype=torch.float64)
    stack.initialize([seed + member for member in range(members)])
    stack.flat.mul_(2.0)  # random weights of torch's size make nearly flat functions
    record = DynamicsRecord(
        penalty="dreg",
        strength=Strength(dreg=1.0 / 3.0),
        level=1.0 / 3.0,
        selection=pd.DataFrame({"level": [0.0, 1.0 / 3.0], "r2": [math.nan, 0.3], "chosen": [False, True]}),
        one_step_r2=torch.rand(encoding.num_states, generator=generator).double(),
        one_step_rmse=torch.rand(encoding.num_states, generator=generator).double(),
        num_rows=321,
        rollout_steps=1,
    )
    return Dynamics(
        stack,
        random_scaling(encoding, bounds, seed),
        encoding,
        record,
        bounds=bounds,
        state_names=tuple(f"x{column}" for column in range(encoding.num_states)),
        action_names=tuple(f"u{column}" for column in range(encoding.num_actions)),
        dt=0.1,
    )

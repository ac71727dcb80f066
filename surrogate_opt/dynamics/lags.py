"""States made of past outputs and inputs, where the state itself is not measured.

With L lags, s_t = (y_t, ..., y_{t-L+1}, u_{t-1}, ..., u_{t-L+1}). Only y_{t+1} is to be learned; everything
else in s_{t+1} repeats what s_t or u_t holds. A linear model of these states is an ARX model, a network a
NARX model (Billings 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from surrogate_opt.data.checks import check_count
from surrogate_opt.dynamics.transitions import Trajectory
from surrogate_opt.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Lagged:
    """Trajectories of lagged states, and what ``fit_dynamics`` must know of them.

    Attributes:
        trajectories: the states are s_t; L - 1 steps shorter than the outputs' own.
        copies: ``{state: source}``, see ``Encoding``.
        state_names: y, y[-1], ..., u[-1], ...
        outputs: the columns of s_t that hold y_t.
    """

    trajectories: list[Trajectory]
    copies: dict[int, int]
    state_names: tuple[str, ...]
    outputs: tuple[int, ...]


def with_lags(
    trajectories: Sequence[Trajectory],
    lags: int,
    *,
    output_names: Sequence[str] | None = None,
    action_names: Sequence[str] | None = None,
) -> Lagged:
    """Turn trajectories of outputs into trajectories of lagged states.

    Args:
        trajectories: the states are the measured outputs; those of fewer than L steps are left out.
        lags: L, at least 1.
        output_names: y0, y1, ... where none are given.
        action_names: u0, u1, ...

    Raises:
        InputError: fewer than one lag, or no trajectory that is long enough.
    """
    check_count("lags", lags, 1)
    long_enough = [trajectory for trajectory in trajectories if trajectory.num_steps >= lags]
    if not long_enough:
        raise InputError(f"lags: expected a trajectory of at least {lags} steps, got none")
    num_outputs, num_actions = long_enough[0].states.shape[1], long_enough[0].actions.shape[1]
    outputs = tuple(output_names or (f"y{column}" for column in range(num_outputs)))
    actions = tuple(action_names or (f"u{column}" for column in range(num_actions)))
    past_outputs = [f"{name}[-{lag}]" for lag in range(1, lags) for name in outputs]
    past_actions = [f"{name}[-{lag}]" for lag in range(1, lags) for name in actions]
    return Lagged(
        trajectories=[_lagged(trajectory, lags) for trajectory in long_enough],
        copies=_copies(num_outputs, num_actions, lags),
        state_names=(*outputs, *past_outputs, *past_actions),
        outputs=tuple(range(num_outputs)),
    )


def _lagged(trajectory: Trajectory, lags: int) -> Trajectory:
    y, u = trajectory.states, trajectory.actions
    instants = len(y) - lags + 1  # of the state, the first at t = L - 1
    past_outputs = [y[lags - 1 - lag : lags - 1 - lag + instants] for lag in range(lags)]
    past_actions = [u[lags - 1 - lag : lags - 1 - lag + instants] for lag in range(1, lags)]
    return Trajectory(states=torch.cat([*past_outputs, *past_actions], 1), actions=u[lags - 1 :])


def _copies(num_outputs: int, num_actions: int, lags: int) -> dict[int, int]:
    first_action = num_outputs * lags
    num_states = first_action + num_actions * (lags - 1)
    copies = {column: column - num_outputs for column in range(num_outputs, first_action)}
    for column in range(first_action, num_states):
        newest = column < first_action + num_actions
        copies[column] = num_states + column - first_action if newest else column - num_actions
    return copies

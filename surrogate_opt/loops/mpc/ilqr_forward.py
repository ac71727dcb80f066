"""The forward pass of iLQR: a policy's rollouts at several step sizes, and the step size that is taken."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_opt.loops.mpc.ilqr_backward import Policy
from surrogate_opt.loops.mpc.loop_model import LoopModel
from surrogate_opt.loops.mpc.objective import PlanObjective

STEP_SIZES = 1.6 ** -(np.arange(10.0) ** 1.3)
"""1, 0.63, 0.31, ... 0.0003: dense near 1, where most searches end."""
SUFFICIENT_SHARE = 1e-4


class Search(NamedTuple):
    """What a line search found, for R plans; the plans of rows without an accepted step are undefined."""

    x: Float[Tensor, "R Hplus1 n"]
    u: Float[Tensor, "R H m"]
    cost: Float[Tensor, " R"]
    accepted: Bool[Tensor, " R"]


def line_search(
    model: LoopModel,
    objective: PlanObjective,
    x: Float[Tensor, "R Hplus1 n"],
    u: Float[Tensor, "R H m"],
    cost: Float[Tensor, " R"],
    policy: Policy,
) -> Search:
    """The largest step size that brings a share of the decrease it promises.

    The full step goes first; the others are rolled out as one batch, for the plans that refuse it.

    Args:
        model: of these rows.
        objective: of these rows.
        x: the present plans' states.
        u: and actions, unit coordinates.
        cost: and cost.
        policy: of these rows.
    """
    found = _try(model, objective, x, u, cost, policy, STEP_SIZES[:1])
    refused = (~found.accepted).nonzero()[:, 0]
    if not len(refused):
        return found
    rest = _try(
        model.select(refused),
        objective.select(refused),
        x[refused],
        u[refused],
        cost[refused],
        policy.select(refused.numpy()),
        STEP_SIZES[1:],
    )
    for mine, theirs in zip(found, rest, strict=True):
        mine[refused] = theirs
    return found


def _try(
    model: LoopModel,
    objective: PlanObjective,
    x: Tensor,
    u: Tensor,
    cost: Tensor,
    policy: Policy,
    step_sizes: Float[np.ndarray, " a"],
) -> Search:
    """Roll out some step sizes, and take the first that is good enough."""
    states, actions = follow(model, x[:, 0], x, u, policy, step_sizes)
    costs = objective.cost(states, actions)
    promised = torch.from_numpy(policy.predicted(step_sizes))
    good = costs - cost[:, None] <= SUFFICIENT_SHARE * promised  # never where the cost is NaN
    best, rows = good.int().argmax(1), torch.arange(len(x))
    return Search(states[rows, best], actions[rows, best], costs[rows, best], good.any(1))


def follow(
    model: LoopModel,
    initial: Float[Tensor, "R n"],
    x: Float[Tensor, "R Hplus1 n"],
    u: Float[Tensor, "R H m"],
    policy: Policy,
    step_sizes: Float[np.ndarray, " a"],
) -> tuple[Float[Tensor, "R a Hplus1 n"], Float[Tensor, "R a H m"]]:
    """States and actions of a policy at every step size, in closed loop with the model.

    Args:
        model: of these rows.
        initial: where the rollouts begin, raw units.
        x: states of the plans that the policy corrects; they may begin elsewhere.
        u: their actions, unit coordinates.
        policy: of these rows.
        step_sizes: 0 only feeds deviations back.
    """
    num_rows, horizon, m = u.shape
    n, num_sizes = x.shape[-1], len(step_sizes)
    old_x = x.transpose(0, 1).numpy()[:, :, None]
    old_u = u.transpose(0, 1).numpy()[:, :, None]
    gains = policy.gains.swapaxes(-1, -2)
    states = np.empty((horizon + 1, num_rows, num_sizes, n))
    actions = np.empty((horizon, num_rows, num_sizes, m))
    deviation = np.empty((num_rows, num_sizes, n + 1))
    deviation[..., n] = step_sizes
    states[0] = initial.numpy()[:, None]
    for k in range(horizon):
        np.subtract(states[k], old_x[k], out=deviation[..., :n])
        move = deviation @ gains[k]
        move += old_u[k]
        np.maximum(move, -1.0, out=move)
        np.minimum(move, 1.0, out=actions[k])
        states[k + 1] = model.step_arrays(states[k], actions[k])
    return torch.from_numpy(states).movedim(0, 2), torch.from_numpy(actions).movedim(0, 2)

"""iLQR iterations on R plans at once, each with its own damping and its own end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surrogate_opt.loops.mpc.ilqr_backward import Policy, QuadraticModel, backward
from surrogate_opt.loops.mpc.ilqr_forward import follow, line_search
from surrogate_opt.loops.mpc.planning import PlanningTask, least

_LEAST_DAMPING, _MOST_DAMPING, _DAMPING_FACTOR = 1e-2, 1e6, 4.0


class Iterate(NamedTuple):
    """R plans on their way.

    Attributes:
        x: states, ``(R, H + 1, n)``, raw units.
        u: actions, ``(R, H, m)``, unit coordinates.
        cost: total, ``(R,)``; not finite where the model is not.
        settled: plans that are not worth another iteration, ``(R,)``.
    """

    x: Float[Tensor, "R Hplus1 n"]
    u: Float[Tensor, "R H m"]
    cost: Float[Tensor, " R"]
    settled: Bool[np.ndarray, " R"]

    @classmethod
    def unsettled(
        cls, task: PlanningTask, x: Float[Tensor, "R Hplus1 n"], u: Float[Tensor, "R H m"]
    ) -> Iterate:
        """Plans to begin from; their states are those of a rollout."""
        return cls(x, u, task.cost(x, u), np.zeros(len(u), dtype=np.bool_))

    def select(self, rows: Int[Tensor, " r"]) -> Iterate:
        """Some of the plans."""
        return Iterate(self.x[rows], self.u[rows], self.cost[rows], self.settled[rows.numpy()])


def track(task: PlanningTask, *, tolerance: float, step_sizes: Sequence[float] = (1.0, 0.0)) -> Iterate:
    """One iteration from the last plans, which begin near the present states, but not there.

    Where a plant is unstable, the last plan's actions lead elsewhere after the slightest disturbance; its
    feedback keeps to it.

    Args:
        task: gives the last plans.
        tolerance: see ``optimize``.
        step_sizes: the first is taken where the plan then costs at most a typical step more than the last one
            promised, the cheapest elsewhere; 0 improves nothing and only feeds deviations back.

    Returns:
        Plans from the present states.
    """
    x, u = task.states, task.actions
    num_rows, horizon, m = u.shape
    rows = np.arange(num_rows)
    quadratic = QuadraticModel.empty(horizon, num_rows, x.shape[-1], m)
    with np.errstate(all="ignore"):  # plans that are not finite are the controller's to refuse
        failed = _derive(quadratic, task, x, u, rows)
        quadratic.transition[:, failed] = quadratic.stage[:, failed] = quadratic.terminal[failed] = 0.0
        policy = backward(quadratic, rows, u.transpose(0, 1).numpy(), np.zeros(num_rows), task.scale.numpy())
        found = _cheapest(task, policy, step_sizes[:1])
        if len(step_sizes) > 1 and len(dear := (~(found[2] <= task.last_cost + task.scale)).nonzero()[:, 0]):
            tried = _cheapest(task.select(dear), policy.select(dear.numpy()), step_sizes)
            for mine, theirs in zip(found, tried, strict=True):
                mine[dear] = theirs
        settled = _settled(policy, found[2], task.scale, tolerance)
    return Iterate(*found, settled)


def _cheapest(
    task: PlanningTask, policy: Policy, step_sizes: Sequence[float]
) -> tuple[Float[Tensor, "R Hplus1 n"], Float[Tensor, "R H m"], Float[Tensor, " R"]]:
    """States, actions and cost of the best of some step sizes from the last plans."""
    states, actions = follow(
        task.model, task.initial, task.states, task.actions, policy, np.array(step_sizes)
    )
    costs = task.objective.cost(states, actions)
    best, rows = least(costs), torch.arange(len(costs))
    return states[rows, best], actions[rows, best], costs[rows, best]


def optimize(task: PlanningTask, start: Iterate, *, iterations: int, tolerance: float) -> Iterate:
    """Improve plans; a plan whose cost or derivatives are not finite stays as it is.

    Args:
        task: of these rows.
        start: plans whose states are those of a rollout of their actions.
        iterations: at most so many, refused ones counted.
        tolerance: a plan is settled where the promised decrease is under this share of its cost and of a
            typical step's together.

    Source:
        Tassa, Mansard and Todorov 2014; the damping schedule is that of Tassa, Erez and Todorov 2012,
        Section II.F.
    """
    x, u, cost = start.x.clone(), start.u.clone(), start.cost.clone()
    num_rows, horizon, m = u.shape
    quadratic = QuadraticModel.empty(horizon, num_rows, x.shape[-1], m)
    damping, factor = np.zeros(num_rows), np.ones(num_rows)
    settled, moved = start.settled | ~cost.isfinite().numpy(), np.ones(num_rows, dtype=np.bool_)
    scale = task.scale.numpy()
    with np.errstate(all="ignore"):  # what overflows is refused by the line search
        for _ in range(iterations):
            settled[_derive(quadratic, task, x, u, np.flatnonzero(~settled & moved))] = True
            rows = np.flatnonzero(~settled)
            if not rows.size:
                break
            policy = backward(quadratic, rows, u[rows].transpose(0, 1).numpy(), damping[rows], scale[rows])
            done = _settled(policy, cost[rows], task.scale[rows], tolerance)
            settled[rows[done]] = True
            rows, policy = rows[~done], policy.select(~done)
            if not rows.size:
                break
            index = torch.from_numpy(rows)
            part = task.select(index)
            found = line_search(part.model, part.objective, x[index], u[index], cost[index], policy)
            taken = index[found.accepted]
            x[taken], u[taken] = found.x[found.accepted], found.u[found.accepted]
            cost[taken] = found.cost[found.accepted]
            moved[rows] = found.accepted.numpy()
            _schedule(damping, factor, rows, moved[rows])
            settled |= damping > _MOST_DAMPING
    return Iterate(x, u, cost, settled)


def _settled(
    policy: Policy, cost: Float[Tensor, " R"], scale: Float[Tensor, " R"], tolerance: float
) -> Bool[np.ndarray, " R"]:
    """Plans whose policy promises too little to go on; NaN promises nothing."""
    worth: np.ndarray = -policy.change > (tolerance * (cost.abs() + scale)).numpy()
    return ~worth


def _derive(
    quadratic: QuadraticModel,
    task: PlanningTask,
    x: Float[Tensor, "R Hplus1 n"],
    u: Float[Tensor, "R H m"],
    rows: np.ndarray,
) -> np.ndarray:
    """Fill in the derivatives along some plans; returns those rows where they are not finite."""
    if not rows.size:
        return rows
    index = torch.from_numpy(rows)
    part, states, actions = task.select(index), x[index], u[index]
    A, B = part.model.linearize(states[:, :-1], actions)
    cost = part.objective.derivatives(states.unsqueeze(1), actions.unsqueeze(1))
    gx, hx, gu, hu = (part[:, 0].numpy() for part in (cost.gx, cost.hx, cost.gu, cost.hu))
    quadratic.fill(rows, (A.numpy(), B.numpy()), (gx, hx, gu, hu))
    finite = np.isfinite(quadratic.transition[:, rows]).all((0, 2, 3))
    finite &= np.isfinite(quadratic.stage[:, rows]).all((0, 2, 3))
    failed: np.ndarray = rows[~finite]
    return failed


def _schedule(damping: np.ndarray, factor: np.ndarray, rows: np.ndarray, accepted: np.ndarray) -> None:
    """Raise the damping of plans whose step was refused, ever faster; lower that of the others likewise."""
    down, up = rows[accepted], rows[~accepted]
    factor[down] = np.minimum(factor[down] / _DAMPING_FACTOR, 1.0 / _DAMPING_FACTOR)
    lowered = damping[down] * factor[down]
    damping[down] = np.where(lowered >= _LEAST_DAMPING, lowered, 0.0)
    factor[up] = np.maximum(factor[up] * _DAMPING_FACTOR, _DAMPING_FACTOR)
    damping[up] = np.maximum(damping[up] * factor[up], _LEAST_DAMPING)

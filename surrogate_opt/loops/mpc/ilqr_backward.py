"""The backward pass of iLQR: a quadratic cost-to-go, and the policy that minimizes it in the box.

Sequential in time, so in NumPy: on arrays this small its operations cost a third of torch's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from surrogate_opt.loops.mpc.box_qp import box_qp, free_block

_FLOOR, _RELATIVE_FLOOR = 1e-12, 1e-14


@dataclass(frozen=True, kw_only=True)
class QuadraticModel:
    """Dynamics and cost to second order along R plans, time first.

    With z = (dx, 1) the next deviation is (dx', 1) = F (z, du), and a step's cost is (z, du)' Q (z, du) / 2:
    one product of matrices carries the curvature, the slope and the value along.

    Attributes:
        transition: F, ``(H, R, n + 1, n + 1 + m)``.
        stage: Q, ``(H, R, n + 1 + m, n + 1 + m)``.
        terminal: of the last state, ``(R, n + 1, n + 1)``.
    """

    transition: Float[np.ndarray, "H R nplus1 nmplus1"]
    stage: Float[np.ndarray, "H R nmplus1 nmplus1"]
    terminal: Float[np.ndarray, "R nplus1 nplus1"]

    @classmethod
    def empty(cls, horizon: int, num_rows: int, n: int, m: int) -> QuadraticModel:
        """All that does not depend on the plans, with room for the rest."""
        transition = np.zeros((horizon, num_rows, n + 1, n + 1 + m))
        transition[..., n, n] = 1.0
        size = n + 1 + m
        return cls(
            transition=transition,
            stage=np.zeros((horizon, num_rows, size, size)),
            terminal=np.zeros((num_rows, n + 1, n + 1)),
        )

    def fill(
        self,
        rows: np.ndarray,
        dynamics: tuple[Float[np.ndarray, "r H n n"], Float[np.ndarray, "r H n m"]],
        cost: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    ) -> None:
        """Put in derivatives along the plans of some rows.

        Args:
            rows: which, ``(r,)``.
            dynamics: derivatives of the next state by state and action.
            cost: gradient and Hessian's diagonal by states ``(r, H + 1, n)``, then by actions ``(r, H, m)``,
                as in ``CostDerivatives``. Negative curvature (an angle cost beyond 90 degrees) counts
                as zero, which keeps the cost-to-go convex.
        """
        A, B = dynamics
        gx, hx, gu, hu = (part.swapaxes(0, 1) for part in cost)
        hx, hu = np.maximum(hx, 0.0), np.maximum(hu, 0.0)
        n, m = A.shape[-1], B.shape[-1]
        state, action = np.arange(n), np.arange(n + 1, n + 1 + m)
        self.transition[:, rows, :n, :n] = A.swapaxes(0, 1)
        self.transition[:, rows, :n, n + 1 :] = B.swapaxes(0, 1)
        stage = np.zeros((len(gu), len(rows), n + 1 + m, n + 1 + m))
        stage[..., state, state], stage[..., action, action] = hx[:-1], hu
        stage[..., :n, n] = stage[..., n, :n] = gx[:-1]
        stage[..., n + 1 :, n] = stage[..., n, n + 1 :] = gu
        self.stage[:, rows] = stage
        terminal = np.zeros((len(rows), n + 1, n + 1))
        terminal[:, state, state] = hx[-1]
        terminal[:, :n, n] = terminal[:, n, :n] = gx[-1]
        self.terminal[rows] = terminal


@dataclass(frozen=True, kw_only=True)
class Policy:
    """du = gain dx + step size times offset, along R plans.

    Attributes:
        gains: gain and offset side by side, time first, ``(H, R, m, n + 1)``.
        slope: derivative of the predicted cost by the step size at 0, ``(R,)``, at most 0.
        change: predicted change of the cost at step size 1, ``(R,)``.
    """

    gains: Float[np.ndarray, "H R m nplus1"]
    slope: Float[np.ndarray, " R"]
    change: Float[np.ndarray, " R"]

    def select(self, rows: np.ndarray) -> Policy:
        """The policy of some plans, by index or mask."""
        return Policy(gains=self.gains[:, rows], slope=self.slope[rows], change=self.change[rows])

    def predicted(self, step_sizes: Float[np.ndarray, " a"]) -> Float[np.ndarray, "R a"]:
        """Predicted change of the cost at some step sizes."""
        slope, curvature = self.slope[:, None], (self.change - self.slope)[:, None]
        change: Float[np.ndarray, "R a"] = step_sizes * slope + step_sizes**2 * curvature
        return change


def backward(
    model: QuadraticModel,
    rows: np.ndarray,
    actions: Float[np.ndarray, "H R m"],
    damping: Float[np.ndarray, " R"],
    scale: Float[np.ndarray, " R"],
) -> Policy:
    """The policy for some rows, from the last time step to the first.

    Args:
        model: along all rows.
        rows: which, ``(r,)``.
        actions: the plans of these rows, unit coordinates, time first.
        damping: Marquardt's: each curvature by the actions is raised by this share of itself.
        scale: a typical cost; with the largest curvature it keeps matrices regular where actions do nothing,
            or all the same, and cost nothing.

    Source:
        Tassa, Mansard and Todorov 2014, Section III: gains are zero for actions that a bound holds.
        Damping is relative (Marquardt 1963) instead of absolute, so that it needs no units.
    """
    horizon, _, m = actions.shape
    n1 = model.terminal.shape[-1]
    transition, stage = model.transition[:, rows], model.stage[:, rows]
    transposed = transition.swapaxes(-1, -2)
    lower, upper = -1.0 - actions, 1.0 - actions
    diagonal = np.arange(m)
    floor, raised = _FLOOR * scale, 1.0 + damping[:, None]
    value = model.terminal[rows]
    gains = np.empty((horizon, len(rows), m, n1))
    slopes = np.empty((horizon, len(rows), m))
    closed = np.zeros((len(rows), n1 + m, n1))
    closed[:, np.arange(n1), np.arange(n1)] = 1.0
    for k in range(horizon - 1, -1, -1):
        Q = stage[k] + transposed[k] @ (value @ transition[k])
        curvature = Q[:, n1:, n1:].copy()
        own = curvature[:, diagonal, diagonal]
        curvature[:, diagonal, diagonal] = own * raised + (floor + _RELATIVE_FLOOR * own.max(1))[:, None]
        slopes[k] = Q[:, n1:, n1 - 1]
        gain = gains[k]
        gain[..., -1], free = box_qp(curvature, slopes[k], lower[k], upper[k])
        gain[..., :-1] = _gain(curvature, Q[:, n1:, : n1 - 1], free)
        closed[:, n1:] = gain
        value = closed.swapaxes(-1, -2) @ (Q @ closed)
    return Policy(
        gains=gains,
        slope=(gains[..., -1] * slopes).sum((0, -1)),
        change=0.5 * value[:, -1, -1],
    )


def _gain(
    curvature: Float[np.ndarray, "R m m"], cross: Float[np.ndarray, "R m n"], free: np.ndarray
) -> Float[np.ndarray, "R m n"]:
    """-H^-1 Q_ux in the free actions, 0 in the others."""
    mask = free[..., None]
    if free.shape[-1] == 1:
        return np.where(mask, -cross / curvature, 0.0)
    return -np.linalg.solve(free_block(curvature, free), np.where(mask, cross, 0.0))

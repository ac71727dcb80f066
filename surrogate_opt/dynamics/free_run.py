"""Free-run simulation: how far a model strays when nothing but the actions is told to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.dynamics.transitions import Trajectory


class Steps(Protocol):
    """Anything that gives next states."""

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """Next states ``(*batch, n)`` of states ``(*batch, n)`` and actions ``(*batch, m)``."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class FreeRunError:
    """Errors of a simulation from the first measured state on, over all trajectories together.

    Attributes:
        rmse: root mean squared error of each output, raw units; infinite where a run left finite numbers.
        fit_percent: 100 (1 - |y - yhat| / |y - mean(y)|) of each: 100 is perfect, 0 no better than the mean.
    """

    rmse: Float[Tensor, " outputs"]
    fit_percent: Float[Tensor, " outputs"]


@torch.no_grad()
def free_run_error(
    model: Steps, trajectories: Sequence[Trajectory], outputs: Sequence[int] | None = None
) -> FreeRunError:
    """Simulate every trajectory from its first state with its actions, and compare.

    Args:
        model: what to simulate.
        trajectories: what was measured.
        outputs: the state columns to compare; all where none are given.

    Source: the measures of the nonlinear benchmarks (Schoukens & Noel 2017) and of Ljung's System
    Identification Toolbox.
    """
    columns = list(outputs) if outputs is not None else slice(None)
    pairs = [
        (simulate(model, trajectory)[1:, columns], trajectory.states[1:, columns])
        for trajectory in trajectories
    ]
    simulated, measured = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    error = (measured - simulated).norm(dim=0).nan_to_num(nan=torch.inf)
    spread = (measured - measured.mean(0)).norm(dim=0)
    return FreeRunError(rmse=error / len(measured) ** 0.5, fit_percent=100.0 * (1.0 - error / spread))


@torch.no_grad()
def simulate(model: Steps, trajectory: Trajectory) -> Float[Tensor, "instants n"]:
    """States from the trajectory's first one on under its actions, ``(steps + 1, n)``."""
    states = [trajectory.states[0]]
    for action in trajectory.actions:
        states.append(model.step(states[-1], action))
    return torch.stack(states)

"""Any plant as a Gymnasium environment; the only file that needs gymnasium."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from surrogate_problems.plants.plant import Plant

Array = NDArray[np.float64]


class PlantEnvironment(gymnasium.Env[Array, Array]):
    """A plant's task, one episode at a time.

    An observation is the measured state ``(n,)``, float64, in the plant's units: angles are not wrapped, and
    the space is unbounded, for nothing keeps a badly controlled plant in a box. An action ``(m,)`` is in the
    plant's units and held over ``plant.dt``. The reward is the negative stage cost of the true state and the
    applied action: the sum over an episode is the negative closed-loop cost.

    Episodes are truncated after ``plant.num_steps`` steps and never terminate. Leaving the state bounds is
    told in ``info`` instead: as rewards are negative, an agent would learn to end an episode early.

    ``info`` holds ``"state"``, the true state ``(n,)``; ``"violation"``, the largest distance beyond a state
    bound, in units of that state's `Plant.data_bounds` width; and after the last step ``"success"``.

    Args:
        plant: the truth.
        noise: whether the plant's process and measurement noise act.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # as gymnasium declares it

    def __init__(self, plant: Plant, *, noise: bool = False) -> None:
        self.plant = plant
        self.noise = noise
        lower, upper = plant.action_bounds.numpy()
        self.action_space = Box(lower, upper, dtype=np.float64)
        self.observation_space = Box(-np.inf, np.inf, (plant.num_states,), dtype=np.float64)
        self._states: list[Tensor] = []
        self._process = self._measurement = torch.zeros(0, plant.num_states, dtype=torch.float64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin an episode at a random start.

        Args:
            seed: of the starts and noise of this and the following episodes; None to go on.
            options: none are known.

        Returns:
            The first observation ``(n,)`` and info.
        """
        super().reset(seed=seed, options=options)
        draw = int(self.np_random.integers(2**31))
        shape = (self.plant.num_steps + 1,)
        self._process = self.plant.process_noise(shape, draw) * self.noise
        self._measurement = self.plant.measurement_noise(shape, draw) * self.noise
        self._states = [self.plant.starts(1, draw)[0]]
        return self._observe(), self._info()

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Hold an action for one time step.

        Args:
            action: ``(m,)``, clamped to the action bounds.

        Returns:
            Observation, reward, terminated (never), truncated and info.

        Raises:
            gymnasium.error.ResetNeeded: no episode is going on.
        """
        k = len(self._states) - 1
        if not 0 <= k < self.plant.num_steps:
            raise gymnasium.error.ResetNeeded("step: expected an episode under way, call reset first")
        x = self._states[-1]
        u = torch.as_tensor(action, dtype=torch.float64).clamp(*self.plant.action_bounds)
        reward = -float(self.plant.cost.stage(x, u, k))
        self._states.append(self.plant.step(x, u) + self._process[k])
        truncated = k + 1 == self.plant.num_steps
        info = self._info()
        if truncated:
            info["success"] = bool(self.plant.succeeded(torch.stack(self._states)))
        return self._observe(), reward, False, truncated, info

    def _observe(self) -> Array:
        measured = self._states[-1] + self._measurement[len(self._states) - 1]
        return np.asarray(measured, dtype=np.float64)

    def _info(self) -> dict[str, Any]:
        state = self._states[-1]
        return {"state": state.numpy().copy(), "violation": self._violation(state)}

    def _violation(self, state: Float[Tensor, " n"]) -> float:
        lower, upper = self.plant.state_bounds
        low, high = self.plant.data_bounds
        return float((torch.maximum(lower - state, state - upper).clamp(min=0.0) / (high - low)).max())

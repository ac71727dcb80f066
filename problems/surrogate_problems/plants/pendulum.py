"""The pendulum swing-up: a rod on a motor too weak to lift it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_problems.plants.cost import TrackingCost, constant_target
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing


class Pendulum(Plant):
    """A uniform rod on a pivot, to be swung up from hanging and held upright.

    With the angle 0 upright, the moment of inertia I = m l²/3 and friction c at the pivot,

        I angle'' = (m g l/2) sin(angle) + torque - c angle'

    The torque reaches 40% of the m g l/2 = 5 N m that gravity has on a level rod: it must be swung.
    Hanging at rest with no torque is an equilibrium, and by symmetry a stationary point of any plan's cost.

    Source: Gymnasium's Pendulum-v1 (Towers et al. 2024), with its constants: g = 10 m/s², 1 kg, 1 m, ±2 N m,
    time step 0.05 s. There the speed is clipped at 8 rad/s and the method is Euler's; here neither.

    Args:
        friction: at the pivot, in N m s.
    """

    name = "pendulum"
    mass_kg = 1.0
    length_m = 1.0
    gravity_m_s2 = 10.0

    def __init__(self, *, friction: float = 0.0) -> None:
        timing = Timing(dt=0.05, substeps=2, horizon=30, num_steps=100)
        self._inertia_kg_m2 = self.mass_kg * self.length_m**2 / 3.0
        self._weight_nm = 0.5 * self.mass_kg * self.gravity_m_s2 * self.length_m
        self.friction = friction
        super().__init__(
            states=[
                StateVariable(
                    name="angle",
                    unit="rad",
                    start=math.pi,
                    spread=0.2,
                    data_bounds=(-math.pi, math.pi),
                    angle=True,
                    tolerance=0.2,
                    process_std=0.001,
                    measurement_std=0.002,
                ),
                StateVariable(
                    name="angular_velocity",
                    unit="rad/s",
                    start=0.0,
                    spread=0.2,
                    data_bounds=(-8.0, 8.0),
                    tolerance=0.5,
                    process_std=0.01,
                    measurement_std=0.01,
                ),
            ],
            actions=[ActionVariable(name="torque", unit="N m", bounds=(-2.0, 2.0))],
            timing=timing,
            cost=TrackingCost(
                state_weights=torch.tensor([1.0, 0.1], dtype=torch.float64),
                action_weights=torch.tensor([0.01], dtype=torch.float64),
                terminal_weights=torch.tensor([20.0, 2.0], dtype=torch.float64),
                target=constant_target(torch.zeros(2, dtype=torch.float64), timing.num_steps),
                action_target=torch.zeros(1, dtype=torch.float64),
                angles=(0,),
            ),
        )

    def derivative(
        self, x: Float[Tensor, "*batch 2"], u: Float[Tensor, "*batch 1"]
    ) -> Float[Tensor, "*batch 2"]:
        """See `Plant.derivative`."""
        angle, speed = x.unbind(-1)
        turning = self._weight_nm * torch.sin(angle) + u[..., 0] - self.friction * speed
        return torch.stack([speed, turning / self._inertia_kg_m2], dim=-1)

    def jacobians(
        self, x: Float[Tensor, "*batch 2"], u: Float[Tensor, "*batch 1"]
    ) -> tuple[Float[Tensor, "*batch 2 2"], Float[Tensor, "*batch 2 1"]]:
        """See `Plant.jacobians`."""
        by_state, by_action = x.new_zeros(*x.shape, 2), x.new_zeros(*x.shape, 1)
        by_state[..., 0, 1] = 1.0
        by_state[..., 1, 0] = self._weight_nm * torch.cos(x.detach()[..., 0]) / self._inertia_kg_m2
        by_state[..., 1, 1] = -self.friction / self._inertia_kg_m2
        by_action[..., 1, 0] = 1.0 / self._inertia_kg_m2
        return by_state, by_action

    def succeeded(self, states: Float[Tensor, "*batch steps 2"]) -> Bool[Tensor, "*batch"]:
        """Upright within 0.2 rad and slower than 0.5 rad/s throughout the last tenth of the episode."""
        return self.settled(states)

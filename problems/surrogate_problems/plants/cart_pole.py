"""The cart-pole swing-up: a pole on a cart that is pushed along a short track."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_problems.plants.cost import TrackingCost, constant_target
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing


class CartPole(Plant):
    """A uniform pole hinged on a cart without friction, to be swung up from hanging and held at the middle.

    With the angle 0 upright and positive towards positive positions, half the pole's length l, the masses m
    of the pole and M of both together, and the force F on the cart,

        angle'' = (g sin(angle) - cos(angle) (F + m l angle'² sin(angle))/M) / (l (4/3 - m cos²(angle)/M))
        position'' = (F + m l (angle'² sin(angle) - angle'' cos(angle)))/M

    Source: Barto, Sutton and Anderson (1983) for the constants (cart 1 kg, pole 0.1 kg and 1 m, ±10 N, track
    ±2.4 m); Florian (2007, Eq. 23 and 24) for the corrected equations, without friction. The swing-up from
    hanging and the quadratic cost are ours.
    """

    name = "cart_pole"
    cart_mass_kg = 1.0
    pole_mass_kg = 0.1
    half_length_m = 0.5
    gravity_m_s2 = 9.8

    def __init__(self) -> None:
        self._total_kg = self.cart_mass_kg + self.pole_mass_kg
        self._moment_kg_m = self.pole_mass_kg * self.half_length_m
        timing = Timing(dt=0.05, substeps=2, horizon=25, num_steps=80)
        super().__init__(
            states=[
                StateVariable(
                    name="position",
                    unit="m",
                    start=0.0,
                    spread=0.2,
                    data_bounds=(-2.4, 2.4),
                    state_bounds=(-2.4, 2.4),
                    tolerance=0.3,
                    process_std=0.0005,
                    measurement_std=0.001,
                ),
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
                    name="velocity",
                    unit="m/s",
                    start=0.0,
                    spread=0.1,
                    data_bounds=(-4.0, 4.0),
                    tolerance=0.5,
                    process_std=0.005,
                    measurement_std=0.005,
                ),
                StateVariable(
                    name="angular_velocity",
                    unit="rad/s",
                    start=0.0,
                    spread=0.1,
                    data_bounds=(-8.0, 8.0),
                    tolerance=1.0,
                    process_std=0.01,
                    measurement_std=0.01,
                ),
            ],
            actions=[ActionVariable(name="force", unit="N", bounds=(-10.0, 10.0))],
            timing=timing,
            cost=TrackingCost(
                state_weights=torch.tensor([1.0, 2.0, 0.1, 0.1], dtype=torch.float64),
                action_weights=torch.tensor([0.01], dtype=torch.float64),
                terminal_weights=torch.tensor([20.0, 40.0, 4.0, 4.0], dtype=torch.float64),
                target=constant_target(torch.zeros(4, dtype=torch.float64), timing.num_steps),
                action_target=torch.zeros(1, dtype=torch.float64),
                angles=(1,),
            ),
        )

    def derivative(
        self, x: Float[Tensor, "*batch 4"], u: Float[Tensor, "*batch 1"]
    ) -> Float[Tensor, "*batch 4"]:
        """See `Plant.derivative`."""
        _, angle, velocity, speed = x.unbind(-1)
        push, _, turn = self._accelerations(angle, speed, u[..., 0])
        slide = push - self._moment_kg_m / self._total_kg * turn * torch.cos(angle)
        return torch.stack([velocity, speed, slide, turn], dim=-1)

    def jacobians(
        self, x: Float[Tensor, "*batch 4"], u: Float[Tensor, "*batch 1"]
    ) -> tuple[Float[Tensor, "*batch 4 4"], Float[Tensor, "*batch 4 1"]]:
        """See `Plant.jacobians`."""
        _, angle, _, speed = x.detach().unbind(-1)
        total, moment = self._total_kg, self._moment_kg_m
        sine, cosine = torch.sin(angle), torch.cos(angle)
        push, lever, turn = self._accelerations(angle, speed, u.detach()[..., 0])
        by_state, by_action = x.new_zeros(*x.shape, 4), x.new_zeros(*x.shape, 1)
        by_state[..., 0, 2] = 1.0
        by_state[..., 1, 3] = 1.0

        push_by_angle = moment / total * speed.square() * cosine
        lever_by_angle = 2.0 * moment / total * cosine * sine
        turn_by_angle = (
            self.gravity_m_s2 * cosine + sine * push - cosine * push_by_angle - turn * lever_by_angle
        ) / lever
        by_state[..., 2, 1] = push_by_angle - moment / total * (turn_by_angle * cosine - turn * sine)
        by_state[..., 3, 1] = turn_by_angle

        # Speed and force act through the push alone.
        slide_by_push, turn_by_push = 1.0 + moment / total * cosine.square() / lever, -cosine / lever
        push_by_speed = 2.0 * moment / total * speed * sine
        by_state[..., 2, 3] = slide_by_push * push_by_speed
        by_state[..., 3, 3] = turn_by_push * push_by_speed
        by_action[..., 2, 0] = slide_by_push / total
        by_action[..., 3, 0] = turn_by_push / total
        return by_state, by_action

    def succeeded(self, states: Float[Tensor, "*batch steps 4"]) -> Bool[Tensor, "*batch"]:
        """Never off the track; in the last tenth upright within 0.2 rad, within 0.3 m of the middle, slow."""
        return self.settled(states) & self.within_bounds(states).all(-1)

    def _accelerations(self, angle: Tensor, speed: Tensor, force: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The bracket (F + m l angle'² sin(angle))/M, the denominator of angle'', and angle''."""
        sine, cosine = torch.sin(angle), torch.cos(angle)
        push = (force + self._moment_kg_m * speed.square() * sine) / self._total_kg
        lever = self.half_length_m * (4.0 / 3.0 - self.pole_mass_kg / self._total_kg * cosine.square())
        return push, lever, (self.gravity_m_s2 * sine - cosine * push) / lever

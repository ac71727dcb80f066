"""The planar quadrotor: through a waypoint, then to a goal."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_problems.plants.cost import TrackingCost
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing


class Quadrotor(Plant):
    """A rigid body in a vertical plane on two rotors, to fly through a waypoint and then hover at a goal.

    With the tilt counterclockwise, thrusts F1 right and F2 left at the distance l from the center,

        x'' = -(F1 + F2) sin(tilt)/m
        z'' = (F1 + F2) cos(tilt)/m - g
        tilt'' = l (F1 - F2)/I

    The target is the waypoint until the time step `waypoint_step` and the goal from then on: it jumps, and a
    controller that looks ahead does not wait for it. Without thrust the quadrotor falls.

    Source: Tedrake, *Underactuated Robotics* (2024, Section 3.3), constants of its `Quadrotor2D` after
    Bouadi, Bouchoucha and Tadjine (2007): 0.486 kg, l = 0.25 m, I = 0.00383 kg m². The room, the thrusts (up
    to twice those of hovering) and the task are ours.
    """

    name = "quadrotor"
    mass_kg = 0.486
    arm_m = 0.25
    inertia_kg_m2 = 0.00383
    gravity_m_s2 = 9.81
    waypoint_step = 40

    def __init__(self) -> None:
        timing = Timing(dt=0.04, substeps=2, horizon=25, num_steps=80)
        hover = 0.5 * self.mass_kg * self.gravity_m_s2
        waypoint = torch.tensor([1.0, 1.8, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
        goal = torch.tensor([2.0, 1.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
        target = goal.repeat(timing.num_steps + 1, 1)
        target[: self.waypoint_step + 1] = waypoint
        thrusts = [
            ActionVariable(name=name, unit="N", bounds=(0.0, 2.0 * hover))
            for name in ("right_thrust", "left_thrust")
        ]
        super().__init__(
            states=[
                StateVariable(
                    name="horizontal_position",
                    unit="m",
                    start=0.0,
                    spread=0.2,
                    data_bounds=(-0.5, 2.5),
                    state_bounds=(-0.5, 2.5),
                    tolerance=0.15,
                    process_std=0.0005,
                    measurement_std=0.001,
                ),
                StateVariable(
                    name="height",
                    unit="m",
                    start=0.8,
                    spread=0.2,
                    data_bounds=(0.0, 2.5),
                    state_bounds=(0.0, 2.5),
                    tolerance=0.15,
                    process_std=0.0005,
                    measurement_std=0.001,
                ),
                StateVariable(
                    name="tilt",
                    unit="rad",
                    start=0.0,
                    spread=0.1,
                    data_bounds=(-1.0, 1.0),
                    angle=True,
                    tolerance=0.2,
                    process_std=0.001,
                    measurement_std=0.002,
                ),
                StateVariable(
                    name="horizontal_velocity",
                    unit="m/s",
                    start=0.0,
                    spread=0.1,
                    data_bounds=(-3.0, 3.0),
                    tolerance=0.3,
                    process_std=0.005,
                    measurement_std=0.005,
                ),
                StateVariable(
                    name="vertical_velocity",
                    unit="m/s",
                    start=0.0,
                    spread=0.1,
                    data_bounds=(-3.0, 3.0),
                    tolerance=0.3,
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
            actions=thrusts,
            timing=timing,
            cost=TrackingCost(
                state_weights=torch.tensor([1.0, 1.0, 0.1, 0.1, 0.1, 0.01], dtype=torch.float64),
                action_weights=torch.tensor([0.02, 0.02], dtype=torch.float64),
                terminal_weights=torch.tensor([20.0, 20.0, 2.0, 4.0, 4.0, 0.2], dtype=torch.float64),
                target=target,
                action_target=torch.tensor([hover, hover], dtype=torch.float64),
                angles=(2,),
            ),
        )

    def derivative(
        self, x: Float[Tensor, "*batch 6"], u: Float[Tensor, "*batch 2"]
    ) -> Float[Tensor, "*batch 6"]:
        """See `Plant.derivative`."""
        _, _, tilt, horizontal, vertical, speed = x.unbind(-1)
        right, left = u.unbind(-1)
        lift = (right + left) / self.mass_kg
        return torch.stack(
            [
                horizontal,
                vertical,
                speed,
                -lift * torch.sin(tilt),
                lift * torch.cos(tilt) - self.gravity_m_s2,
                self.arm_m / self.inertia_kg_m2 * (right - left),
            ],
            dim=-1,
        )

    def jacobians(
        self, x: Float[Tensor, "*batch 6"], u: Float[Tensor, "*batch 2"]
    ) -> tuple[Float[Tensor, "*batch 6 6"], Float[Tensor, "*batch 6 2"]]:
        """See `Plant.jacobians`."""
        tilt = x.detach()[..., 2]
        lift = u.detach().sum(-1) / self.mass_kg
        sine, cosine = torch.sin(tilt), torch.cos(tilt)
        by_state, by_action = x.new_zeros(*x.shape, 6), x.new_zeros(*x.shape, 2)
        by_state[..., :3, 3:] = torch.eye(3).to(x)
        by_state[..., 3, 2] = -lift * cosine
        by_state[..., 4, 2] = -lift * sine
        by_action[..., 3, :] = -sine[..., None] / self.mass_kg
        by_action[..., 4, :] = cosine[..., None] / self.mass_kg
        by_action[..., 5, 0] = self.arm_m / self.inertia_kg_m2
        by_action[..., 5, 1] = -self.arm_m / self.inertia_kg_m2
        return by_state, by_action

    def succeeded(self, states: Float[Tensor, "*batch steps 6"]) -> Bool[Tensor, "*batch"]:
        """Never out of the room, once within 0.2 m of the waypoint while it was the target, and settled.

        Args:
            states: of an episode, the initial one first ``(..., T + 1, 6)``.

        Returns:
            One verdict an episode ``(...)``.
        """
        until = self.waypoint_step + 1
        way = states[..., :until, :2] - self.cost.target[0, :2]
        passed: Tensor = (torch.linalg.vector_norm(way, dim=-1) <= 0.2).any(-1)
        return passed & self.settled(states) & self.within_bounds(states).all(-1)

"""The quadruple tank: two pumps, each feeding a lower tank and the upper tank on the other side."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_problems.plants.cost import TrackingCost, constant_target
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing

_ROUNDING_CM = 0.01


class QuadrupleTank(Plant):
    """Four water tanks with two pumps; levels to be raised to the minimum-phase operating point.

    Tank 3 drains into tank 1 and tank 4 into tank 2. With levels h in cm, pump voltages v in V,
    cross-sections A in cm², and outlets q_i = a_i sqrt(2 g h_i),

        A1 h1' = q3 - q1 + gamma1 k1 v1        A3 h3' = -q3 + (1 - gamma2) k2 v2
        A2 h2' = q4 - q2 + gamma2 k2 v2        A4 h4' = -q4 + (1 - gamma1) k1 v1

    sqrt(h) is taken as h/(h² + 0.01² cm²)^(1/4): smooth and defined in an empty tank, and within 1e-4 of the
    root above 0.5 cm.

    Source: Johansson (2000), constants and operating point P-: 3 V on both pumps hold about 12.4, 12.7, 1.8
    and 1.4 cm. Tanks are 20 cm high. The task, lower levels at the start, and the 10 V limit are ours.
    """

    name = "quadruple_tank"
    areas_cm2 = (28.0, 32.0, 28.0, 32.0)
    outlets_cm2 = (0.071, 0.057, 0.071, 0.057)
    pumps_cm3_v_s = (3.33, 3.35)
    splits = (0.70, 0.60)
    gravity_cm_s2 = 981.0

    def __init__(self) -> None:
        timing = Timing(dt=3.0, substeps=3, horizon=25, num_steps=60)
        voltages = torch.tensor([3.0, 3.0], dtype=torch.float64)
        super().__init__(
            states=[
                StateVariable(
                    name=f"{tank}_level",
                    unit="cm",
                    start=start,
                    spread=0.5 * start,
                    data_bounds=(0.2, highest),
                    state_bounds=(0.0, 20.0),
                    tolerance=tolerance,
                    process_std=0.01,
                    measurement_std=0.02,
                )
                for tank, start, highest, tolerance in (
                    ("lower_left", 4.0, 20.0, 0.3),
                    ("lower_right", 4.0, 20.0, 0.3),
                    ("upper_left", 1.0, 10.0, math.inf),
                    ("upper_right", 1.0, 10.0, math.inf),
                )
            ],
            actions=[
                ActionVariable(name=f"{side}_pump", unit="V", bounds=(0.0, 10.0))
                for side in ("left", "right")
            ],
            timing=timing,
            cost=TrackingCost(
                state_weights=torch.tensor([0.1, 0.1, 0.01, 0.01], dtype=torch.float64),
                action_weights=torch.tensor([0.02, 0.02], dtype=torch.float64),
                terminal_weights=torch.tensor([1.0, 1.0, 0.1, 0.1], dtype=torch.float64),
                target=constant_target(self.steady_levels(voltages), timing.num_steps),
                action_target=voltages,
            ),
        )

    def derivative(
        self, x: Float[Tensor, "*batch 4"], u: Float[Tensor, "*batch 2"]
    ) -> Float[Tensor, "*batch 4"]:
        """See `Plant.derivative`."""
        root = x / (x.square() + _ROUNDING_CM**2).pow(0.25)
        out = root * self._outflow_per_root(x)
        from_upper = torch.cat([out[..., 2:], torch.zeros_like(out[..., :2])], dim=-1)
        return (from_upper - out + self._inflows(u)) / x.new_tensor(self.areas_cm2)

    def jacobians(
        self, x: Float[Tensor, "*batch 4"], u: Float[Tensor, "*batch 2"]
    ) -> tuple[Float[Tensor, "*batch 4 4"], Float[Tensor, "*batch 4 2"]]:
        """See `Plant.jacobians`."""
        x = x.detach()
        square = x.square() + _ROUNDING_CM**2
        root_by_level = (0.5 * x.square() + _ROUNDING_CM**2) / square.pow(1.25)
        areas = x.new_tensor(self.areas_cm2)
        out_by_level = root_by_level * self._outflow_per_root(x)
        by_state = torch.diag_embed(-out_by_level / areas)
        by_state[..., 0, 2] = out_by_level[..., 2] / areas[0]
        by_state[..., 1, 3] = out_by_level[..., 3] / areas[1]
        # The inflows are linear in the voltages: a column is what 1 V on that pump gives.
        by_action = (self._inflows(torch.eye(2).to(u)) / areas).T
        return by_state, by_action.expand(*u.shape[:-1], -1, -1)

    def steady_levels(self, voltages: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 4"]:
        """The levels that constant voltages hold.

        Args:
            voltages: of the pumps ``(..., 2)``, in V.

        Returns:
            Levels ``(..., 4)``, in cm.
        """
        inflow = self._inflows(voltages)
        through = inflow + torch.cat([inflow[..., 2:], torch.zeros_like(inflow[..., :2])], dim=-1)
        fourth = (through / self._outflow_per_root(voltages)).pow(4)
        # h/(h² + e²)^(1/4) = r is a quadratic in h² with r⁴ = fourth.
        return (0.5 * (fourth + (fourth.square() + 4.0 * fourth * _ROUNDING_CM**2).sqrt())).sqrt()

    def _inflows(self, u: Tensor) -> Tensor:
        """What the pumps put into each tank, cm³/s."""
        pumped = u * u.new_tensor(self.pumps_cm3_v_s)
        splits = u.new_tensor(self.splits)
        return torch.cat([splits * pumped, ((1.0 - splits) * pumped).flip(-1)], dim=-1)

    def _outflow_per_root(self, like: Tensor) -> Tensor:
        return like.new_tensor(self.outlets_cm2) * math.sqrt(2.0 * self.gravity_cm_s2)

    def succeeded(self, states: Float[Tensor, "*batch steps 4"]) -> Bool[Tensor, "*batch"]:
        """Both lower levels within 0.3 cm of the target throughout the last tenth of the episode."""
        return self.settled(states)

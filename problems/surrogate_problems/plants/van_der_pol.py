"""The controlled Van der Pol oscillator: from its limit cycle to the origin."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_problems.plants.cost import TrackingCost, constant_target
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing


class VanDerPol(Plant):
    """An oscillator that gains energy near the origin and loses it far away, to be brought to rest.

        position'' = mu (1 - position²) position' - position + force

    Uncontrolled it runs onto a limit cycle with an amplitude of about 2; the origin is an unstable focus.

    Source: van der Pol (1926) with mu = 1; control by a force of at most 1 as in CasADi's direct methods
    examples (Andersson et al. 2019). No units.

    Args:
        mu: strength of the damping, positive.
    """

    name = "van_der_pol"

    def __init__(self, *, mu: float = 1.0) -> None:
        self.mu = mu
        timing = Timing(dt=0.1, substeps=4, horizon=30, num_steps=60)
        super().__init__(
            states=[
                StateVariable(
                    name=name,
                    unit="",
                    start=start,
                    spread=0.5,
                    data_bounds=(-3.0, 3.0),
                    tolerance=0.1,
                    process_std=0.002,
                    measurement_std=0.005,
                )
                for name, start in (("position", 1.5), ("velocity", 1.0))
            ],
            actions=[ActionVariable(name="force", unit="", bounds=(-1.0, 1.0))],
            timing=timing,
            cost=TrackingCost(
                state_weights=torch.tensor([1.0, 1.0], dtype=torch.float64),
                action_weights=torch.tensor([0.1], dtype=torch.float64),
                terminal_weights=torch.tensor([10.0, 10.0], dtype=torch.float64),
                target=constant_target(torch.zeros(2, dtype=torch.float64), timing.num_steps),
                action_target=torch.zeros(1, dtype=torch.float64),
            ),
        )

    def derivative(
        self, x: Float[Tensor, "*batch 2"], u: Float[Tensor, "*batch 1"]
    ) -> Float[Tensor, "*batch 2"]:
        """See `Plant.derivative`."""
        position, velocity = x.unbind(-1)
        pull = self.mu * (1.0 - position.square()) * velocity - position + u[..., 0]
        return torch.stack([velocity, pull], dim=-1)

    def jacobians(
        self, x: Float[Tensor, "*batch 2"], u: Float[Tensor, "*batch 1"]
    ) -> tuple[Float[Tensor, "*batch 2 2"], Float[Tensor, "*batch 2 1"]]:
        """See `Plant.jacobians`."""
        position, velocity = x.detach().unbind(-1)
        by_state, by_action = x.new_zeros(*x.shape, 2), x.new_zeros(*x.shape, 1)
        by_state[..., 0, 1] = 1.0
        by_state[..., 1, 0] = -2.0 * self.mu * position * velocity - 1.0
        by_state[..., 1, 1] = self.mu * (1.0 - position.square())
        by_action[..., 1, 0] = 1.0
        return by_state, by_action

    def succeeded(self, states: Float[Tensor, "*batch steps 2"]) -> Bool[Tensor, "*batch"]:
        """Position and velocity within 0.1 of 0 throughout the last tenth of the episode."""
        return self.settled(states)

"""The Klatt-Engell reactor: a stirred tank in which the product reacts on."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surrogate_problems.plants.cost import TrackingCost, constant_target
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing
from surrogate_problems.problem import ProblemError

_KELVIN = 273.15


class StirredTankReactor(Plant):
    """A jacketed stirred tank with the reactions A -> B -> C and 2 A -> D, driven to a product concentration.

    With the concentrations c_A and c_B in mol/l, the temperatures T of the reactor and T_J of its jacket in
    °C, the flow F over the volume in 1/h and the heat Q put into the jacket in kJ/h,

        c_A' = F (c_0 - c_A) - k_1 c_A - k_3 c_A²
        c_B' = -F c_B + k_1 c_A - k_2 c_B
        T'   = F (T_0 - T) + K A (T_J - T)/(rho C_p V) - (k_1 c_A H_1 + k_2 c_B H_2 + k_3 c_A² H_3)/(rho C_p)
        T_J' = (Q + K A (T - T_J))/(m_J C_J)

    and k_i = k_i0 exp(-E_i/(T + 273.15)). The target is the steady state with c_B = 0.9 mol/l at 120 °C, from
    a start with 0.5 mol/l at 134 °C. The flow that holds it gets there slowly; more of it heats and dilutes.

    Source: Klatt and Engell (1993), constants as in Chen, Kremling and Allgöwer (1995). Start, inflow
    temperature, volume, bounds, time step and c_B (of its first version) are those of do-mpc's CSTR example
    (Lucia et al. 2017, Fiedler et al. 2023), there with uncertain rates. The reactor's temperature and the
    tracking of the whole steady state are ours.

    Args:
        inflow_temperature: T_0, in °C; 104.9 in Chen et al.
        volume: V, in l; 10 in Chen et al.
    """

    name = "cstr"
    rate_factors = (1.287e12, 1.287e12, 9.043e9)  # 1/h, 1/h, l/(mol h)
    activation_k = (9758.3, 9758.3, 8560.0)
    reaction_kj_mol = (4.2, -11.0, -41.85)
    density_kg_l = 0.9342
    heat_capacity_kj_kg_k = 3.01
    transfer_kj_h_k = 4032.0 * 0.215
    jacket_kj_k = 5.0 * 2.0
    inflow_mol_l = 5.1

    def __init__(self, *, inflow_temperature: float = 130.0, volume: float = 10.01) -> None:
        self.inflow_temperature, self.volume = inflow_temperature, volume
        timing = Timing(dt=0.005, substeps=4, horizon=20, num_steps=60, unit="h")
        states, actions = self.steady_state(0.9, 120.0)
        super().__init__(
            states=[
                StateVariable(
                    name="concentration_a",
                    unit="mol/l",
                    start=0.8,
                    spread=0.1,
                    data_bounds=(0.3, 2.0),
                    state_bounds=(0.1, 2.0),
                    process_std=0.001,
                    measurement_std=0.002,
                ),
                StateVariable(
                    name="concentration_b",
                    unit="mol/l",
                    start=0.5,
                    spread=0.05,
                    data_bounds=(0.3, 1.2),
                    state_bounds=(0.1, 2.0),
                    tolerance=0.02,
                    process_std=0.001,
                    measurement_std=0.002,
                ),
                StateVariable(
                    name="reactor_temperature",
                    unit="°C",
                    start=134.14,
                    spread=2.0,
                    data_bounds=(110.0, 145.0),
                    state_bounds=(50.0, 140.0),
                    tolerance=1.0,
                    process_std=0.02,
                    measurement_std=0.05,
                ),
                StateVariable(
                    name="jacket_temperature",
                    unit="°C",
                    start=130.0,
                    spread=2.0,
                    data_bounds=(100.0, 140.0),
                    state_bounds=(50.0, 140.0),
                    process_std=0.02,
                    measurement_std=0.05,
                ),
            ],
            actions=[
                ActionVariable(name="flow", unit="1/h", bounds=(5.0, 100.0)),
                ActionVariable(name="jacket_heat", unit="kJ/h", bounds=(-8500.0, 0.0)),
            ],
            timing=timing,
            cost=TrackingCost(
                state_weights=torch.tensor([4.0, 100.0, 0.01, 0.0025], dtype=torch.float64),
                action_weights=torch.tensor([1e-4, 1e-8], dtype=torch.float64),
                terminal_weights=torch.tensor([40.0, 1000.0, 0.1, 0.025], dtype=torch.float64),
                target=constant_target(states, timing.num_steps),
                action_target=actions,
            ),
        )

    def derivative(
        self, x: Float[Tensor, "*batch 4"], u: Float[Tensor, "*batch 2"]
    ) -> Float[Tensor, "*batch 4"]:
        """See `Plant.derivative`."""
        a, b, reactor, jacket = x.unbind(-1)
        flow, heat = u.unbind(-1)
        first, second, third = self._rates(reactor + _KELVIN)
        formed, lost, wasted = first * a, second * b, third * a.square()
        into_product, into_waste, into_side = self.reaction_kj_mol
        reaction_heat = into_product * formed + into_waste * lost + into_side * wasted
        capacity = self.density_kg_l * self.heat_capacity_kj_kg_k
        from_jacket = self.transfer_kj_h_k * (jacket - reactor)
        return torch.stack(
            [
                flow * (self.inflow_mol_l - a) - formed - wasted,
                formed - lost - flow * b,
                flow * (self.inflow_temperature - reactor)
                + from_jacket / (capacity * self.volume)
                - reaction_heat / capacity,
                (heat - from_jacket) / self.jacket_kj_k,
            ],
            dim=-1,
        )

    def jacobians(
        self, x: Float[Tensor, "*batch 4"], u: Float[Tensor, "*batch 2"]
    ) -> tuple[Float[Tensor, "*batch 4 4"], Float[Tensor, "*batch 4 2"]]:
        """See `Plant.jacobians`."""
        a, b, reactor, _ = x.detach().unbind(-1)
        flow = u.detach()[..., 0]
        kelvin = reactor + _KELVIN
        rates = self._rates(kelvin)
        k1, k2, k3 = rates
        k1_by_t, k2_by_t, k3_by_t = (
            rate * activation / kelvin.square()
            for rate, activation in zip(rates, self.activation_k, strict=True)
        )
        into_product, into_waste, into_side = self.reaction_kj_mol
        capacity = self.density_kg_l * self.heat_capacity_kj_kg_k
        exchange = self.transfer_kj_h_k / (capacity * self.volume)
        formed_by_t, lost_by_t, wasted_by_t = k1_by_t * a, k2_by_t * b, k3_by_t * a.square()
        heat_by_t = into_product * formed_by_t + into_waste * lost_by_t + into_side * wasted_by_t

        by_state, by_action = x.new_zeros(*x.shape, 4), x.new_zeros(*x.shape, 2)
        by_state[..., 0, 0] = -flow - k1 - 2.0 * k3 * a
        by_state[..., 0, 2] = -formed_by_t - wasted_by_t
        by_state[..., 1, 0] = k1
        by_state[..., 1, 1] = -k2 - flow
        by_state[..., 1, 2] = formed_by_t - lost_by_t
        by_state[..., 2, 0] = -(into_product * k1 + 2.0 * into_side * k3 * a) / capacity
        by_state[..., 2, 1] = -into_waste * k2 / capacity
        by_state[..., 2, 2] = -flow - exchange - heat_by_t / capacity
        by_state[..., 2, 3] = exchange
        by_state[..., 3, 2] = self.transfer_kj_h_k / self.jacket_kj_k
        by_state[..., 3, 3] = -self.transfer_kj_h_k / self.jacket_kj_k
        by_action[..., 0, 0] = self.inflow_mol_l - a
        by_action[..., 1, 0] = -b
        by_action[..., 2, 0] = self.inflow_temperature - reactor
        by_action[..., 3, 1] = 1.0 / self.jacket_kj_k
        return by_state, by_action

    def steady_state(
        self, concentration_b: float, temperature: float
    ) -> tuple[Float[Tensor, " 4"], Float[Tensor, " 2"]]:
        """The states and actions that hold a product concentration at a reactor temperature.

        The balance of B gives the flow; with it that of A is a quadratic in c_A. Of its roots we take the
        smaller, which flows more slowly and leaves less of A.

        Args:
            concentration_b: c_B, in mol/l.
            temperature: T, in °C.

        Returns:
            States ``(4,)`` and actions ``(2,)``; the actions may be out of bounds.

        Raises:
            ProblemError: no steady state has so much product at that temperature.
        """
        b = concentration_b
        kelvin = torch.tensor(temperature + _KELVIN, dtype=torch.float64)
        k1, k2, k3 = (float(rate) for rate in self._rates(kelvin))
        square, linear = k1 + k3 * b, k1 * self.inflow_mol_l + (k2 - k1) * b
        discriminant = linear**2 - 4.0 * square * k2 * b * self.inflow_mol_l
        if not (b > 0.0 and discriminant >= 0.0):
            raise ProblemError(
                f"concentration_b: expected one that {temperature} °C can hold, got {concentration_b}"
            )
        a = (linear - math.sqrt(discriminant)) / (2.0 * square)
        flow = (k1 * a - k2 * b) / b
        into_product, into_waste, into_side = self.reaction_kj_mol
        reaction = into_product * k1 * a + into_waste * k2 * b + into_side * k3 * a**2
        capacity = self.density_kg_l * self.heat_capacity_kj_kg_k
        warming = capacity * flow * (self.inflow_temperature - temperature) - reaction
        heat = -self.volume * warming
        jacket = temperature + heat / self.transfer_kj_h_k
        states = torch.tensor([a, b, temperature, jacket], dtype=torch.float64)
        return states, torch.tensor([flow, heat], dtype=torch.float64)

    def _rates(self, kelvin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rate constants k_1, k_2 (1/h) and k_3 (l/(mol h)) at an absolute temperature."""
        first, second, third = (
            factor * torch.exp(-activation / kelvin)
            for factor, activation in zip(self.rate_factors, self.activation_k, strict=True)
        )
        return first, second, third

    def succeeded(self, states: Float[Tensor, "*batch steps 4"]) -> Bool[Tensor, "*batch"]:
        """Product within 0.02 mol/l and reactor within 1 °C of the target throughout the last tenth."""
        return self.settled(states)

"""Named test functions: four of engineering, units in the names, and BoTorch's own by name.

Formulas and ranges as in the Virtual Library of Simulation Experiments (Surjanovic and Bingham, 2013).
"""

from __future__ import annotations

import math
import re
from abc import ABC
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from surrogate_problems.botorch_functions import (
    BOTORCH_FUNCTIONS,
    BotorchFunction,
    autograd_value_and_gradient,
)
from surrogate_problems.problem import Optimum, Problem, ProblemError
from surrogate_problems.search import minimize_in_box

__all__ = [
    "ENGINEERING_FUNCTIONS",
    "Borehole",
    "EngineeringFunction",
    "OTLCircuit",
    "Piston",
    "WingWeight",
    "function_names",
    "get_function",
]


class EngineeringFunction(Problem, ABC):
    """A closed-form model from the surrogate literature; inputs and output carry units in their names.

    Args:
        noise_std: of the noise that ``function(X)`` adds, in output standard deviations; None for none.
        negate: whether to flip the sign, as BoTorch does for maximization.
        dtype: of ``bounds``.
    """

    ranges: ClassVar[dict[str, tuple[float, float]]]

    def __init__(
        self, noise_std: float | None = None, negate: bool = False, dtype: torch.dtype = torch.double
    ) -> None:
        super().__init__(list(self.ranges.values()), negate=negate, dtype=dtype)
        self.input_names = tuple(self.ranges)
        self.noise_std = self._raw_noise_std(noise_std)

    @property
    def gradient_source(self) -> Literal["autograd"]:
        """Gradients come from autograd."""
        return "autograd"

    def _value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return autograd_value_and_gradient(self._evaluate_true, x)

    def _closed_form(self, *x: float) -> Optimum:
        """The optimum at a known point."""
        point = torch.tensor([x], dtype=torch.float64)
        return Optimum(value=float(self._evaluate_true(point)), x=point, source="closed form")


class Borehole(EngineeringFunction):
    """Water flow through a borehole between two aquifers, steady and laminar, in m³ a year.

    With D = ln(r/r_w) (1/T_u + 1/T_l) + 2 L/(r_w² K_w) the flow is 2 pi (H_u - H_l)/D: it rises with r_w,
    T_u, H_u, T_l and K_w and falls with r, H_l and L, so the minimum is a corner.

    Source: Harper and Gupta (1983).
    """

    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "well_radius_m": (0.05, 0.15),
        "influence_radius_m": (100.0, 50000.0),
        "upper_transmissivity_m2_per_year": (63070.0, 115600.0),
        "upper_head_m": (990.0, 1110.0),
        "lower_transmissivity_m2_per_year": (63.1, 116.0),
        "lower_head_m": (700.0, 820.0),
        "well_length_m": (1120.0, 1680.0),
        "conductivity_m_per_year": (9855.0, 12045.0),
    }
    output_name = "water_flow_m3_per_year"

    def _evaluate_true(self, X: Tensor) -> Tensor:
        r_w, r, T_u, H_u, T_l, H_l, L, K_w = X.unbind(-1)
        resistance = torch.log(r / r_w) * (1.0 / T_u + 1.0 / T_l) + 2.0 * L / (r_w.square() * K_w)
        return 2.0 * math.pi * (H_u - H_l) / resistance

    def _find_optimum(self) -> Optimum:
        return self._closed_form(0.05, 50000.0, 63070.0, 990.0, 63.1, 820.0, 1680.0, 9855.0)


class WingWeight(EngineeringFunction):
    """Weight of a light aircraft's wing (Cessna C172 Skyhawk), in pounds.

    The sweep enters as cos^-0.9, lowest at 0; the weight falls with the thickness to chord ratio and rises
    with all else: the minimum is known.

    Source: Forrester, Sobester and Keane (2008), Section 1.3, after Raymer's handbook.
    """

    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "wing_area_ft2": (150.0, 200.0),
        "fuel_weight_lb": (220.0, 300.0),
        "aspect_ratio": (6.0, 10.0),
        "quarter_chord_sweep_deg": (-10.0, 10.0),
        "dynamic_pressure_lb_per_ft2": (16.0, 45.0),
        "taper_ratio": (0.5, 1.0),
        "thickness_to_chord_ratio": (0.08, 0.18),
        "ultimate_load_factor": (2.5, 6.0),
        "gross_weight_lb": (1700.0, 2500.0),
        "paint_weight_lb_per_ft2": (0.025, 0.08),
    }
    output_name = "wing_weight_lb"

    def _evaluate_true(self, X: Tensor) -> Tensor:
        S_w, W_fw, A, sweep_deg, q, taper, t_c, N_z, W_dg, W_p = X.unbind(-1)
        cosine = torch.cos(torch.deg2rad(sweep_deg))
        geometry = 0.036 * S_w**0.758 * W_fw**0.0035 * (A / cosine**2) ** 0.6
        section = q**0.006 * taper**0.04 * (100.0 * t_c / cosine) ** -0.3
        return geometry * section * (N_z * W_dg) ** 0.49 + S_w * W_p

    def _find_optimum(self) -> Optimum:
        return self._closed_form(150.0, 220.0, 6.0, 0.0, 16.0, 0.5, 0.18, 2.5, 1700.0, 0.025)


class Piston(EngineeringFunction):
    """Time a piston takes for one cycle, in seconds; the minimum comes from search.

    Source: Kenett and Zacks (1998); Ben-Ari and Steinberg (2007).
    """

    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "piston_weight_kg": (30.0, 60.0),
        "piston_area_m2": (0.005, 0.020),
        "initial_gas_volume_m3": (0.002, 0.010),
        "spring_coefficient_n_per_m": (1000.0, 5000.0),
        "atmospheric_pressure_n_per_m2": (90000.0, 110000.0),
        "ambient_temperature_k": (290.0, 296.0),
        "filling_gas_temperature_k": (340.0, 360.0),
    }
    output_name = "cycle_time_s"

    def _evaluate_true(self, X: Tensor) -> Tensor:
        M, S, V_0, k, P_0, T_a, T_0 = X.unbind(-1)
        gas = P_0 * V_0 / T_0 * T_a
        A = P_0 * S + 19.62 * M - k * V_0 / S
        V = S / (2.0 * k) * (torch.sqrt(A.square() + 4.0 * k * gas) - A)
        return 2.0 * math.pi * torch.sqrt(M / (k + S.square() * gas / V.square()))

    def _find_optimum(self) -> Optimum:
        x, value = minimize_in_box(self._value_and_gradient, self._exact_bounds)
        return Optimum(value=value, x=x[None], source="search")


class OTLCircuit(EngineeringFunction):
    """Midpoint voltage of an output-transformerless push-pull circuit, in volts.

    With B = beta (R_c2 + 9) the voltage is (a B + 11.35 R_f + 0.74 R_f B/R_c1)/(B + R_f), a = V_b1 + 0.74.
    It rises with V_b1 and 1/R_c1. Its slope in B has the sign of a + 0.74 R_f/R_c1 - 11.35, at most
    7.74 + 1.85 - 11.35 < 0; in R_f that of 11.35 + 0.74 B/R_c1 - a > 0. So the minimum is a corner.

    Source: Ben-Ari and Steinberg (2007).
    """

    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "base_resistance_1_kohm": (50.0, 150.0),
        "base_resistance_2_kohm": (25.0, 70.0),
        "feedback_resistance_kohm": (0.5, 3.0),
        "collector_resistance_1_kohm": (1.2, 2.5),
        "collector_resistance_2_kohm": (0.25, 1.2),
        "current_gain": (50.0, 300.0),
    }
    output_name = "midpoint_voltage_v"

    def _evaluate_true(self, X: Tensor) -> Tensor:
        R_b1, R_b2, R_f, R_c1, R_c2, beta = X.unbind(-1)
        V_b1 = 12.0 * R_b2 / (R_b1 + R_b2)
        B = beta * (R_c2 + 9.0)
        return ((V_b1 + 0.74) * B + 11.35 * R_f + 0.74 * R_f * B / R_c1) / (B + R_f)

    def _find_optimum(self) -> Optimum:
        return self._closed_form(150.0, 25.0, 0.5, 2.5, 1.2, 300.0)


ENGINEERING_FUNCTIONS: Final[dict[str, type[EngineeringFunction]]] = {
    "borehole": Borehole,
    "wing_weight": WingWeight,
    "piston": Piston,
    "otl_circuit": OTLCircuit,
}
"""The engineering functions by the name users type."""


def function_names() -> tuple[str, ...]:
    """Names `get_function` knows; a BoTorch function of any dimension takes its dimension as a suffix."""
    return (*ENGINEERING_FUNCTIONS, *BOTORCH_FUNCTIONS)


def get_function(name: str, *, noise_std: float | None = None, negate: bool = False) -> Problem:
    """Make a named test function.

    Args:
        name: one of `function_names`; capitals, hyphens and underscores do not matter. Trailing digits are
            the number of inputs: ``"borehole"``, ``"hartmann6"``, ``"rosenbrock10"``.
        noise_std: of the noise that ``function(X)`` adds, in output standard deviations; None for none.
        negate: whether to flip the sign, as BoTorch does for maximization.

    Returns:
        The function, as a problem to minimize.

    Raises:
        ProblemError: there is no such function, or not of that dimension.
    """
    match = re.fullmatch(r"([a-z]+)(\d*)", re.sub(r"[-_\s]", "", name.lower()))
    stem, digits = match.groups() if match else ("", "")
    dim = int(digits) if digits else None
    for known, engineering in ENGINEERING_FUNCTIONS.items():
        if stem == known.replace("_", ""):
            function = engineering(noise_std=noise_std, negate=negate)
            if dim not in (None, function.dim):
                raise ProblemError(f"name: {known} has {function.dim} inputs, got {name!r}")
            return function
    for known in BOTORCH_FUNCTIONS:
        if stem == known.replace("_", ""):
            return BotorchFunction(known, dim, noise_std=noise_std, negate=negate)
    raise ProblemError(f"name: expected one of {', '.join(function_names())}, got {name!r}")

"""Diagnostics: pure functions of arrays and trajectories that say how far a surrogate can be followed."""

from surrogate_opt.diagnostics.degenerate import (
    Degeneracy,
    DegeneracyKind,
    degeneracy,
    degeneracy_kind,
    nonlinear_skill,
    r_squared,
)
from surrogate_opt.diagnostics.evaluate import (
    evaluate_along,
    evaluate_values,
    evaluate_values_and_gradients,
    normalize_gradient,
    output_scale,
    sobol_points,
)
from surrogate_opt.diagnostics.ghost_signal import (
    GhostSignal,
    LoopEvidence,
    ghost_signal_of,
    ghost_signal_of_each,
)
from surrogate_opt.diagnostics.gradient_field import (
    GradientField,
    compare_gradients,
    cosines,
    gradient_field,
    gradient_field_each,
)
from surrogate_opt.diagnostics.path_figures import phantom_optima, start_sensitivity
from surrogate_opt.diagnostics.sensitivity import (
    MemberSpread,
    Sensitivity,
    sensitivity,
    sensitivity_each,
    sensitivity_of,
)

__all__ = [
    "Degeneracy",
    "DegeneracyKind",
    "GhostSignal",
    "GradientField",
    "LoopEvidence",
    "MemberSpread",
    "Sensitivity",
    "compare_gradients",
    "cosines",
    "degeneracy",
    "degeneracy_kind",
    "evaluate_along",
    "evaluate_values",
    "evaluate_values_and_gradients",
    "ghost_signal_of",
    "ghost_signal_of_each",
    "gradient_field",
    "gradient_field_each",
    "nonlinear_skill",
    "normalize_gradient",
    "output_scale",
    "phantom_optima",
    "r_squared",
    "sensitivity",
    "sensitivity_each",
    "sensitivity_of",
    "sobol_points",
    "start_sensitivity",
]

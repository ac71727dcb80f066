"""surrogate-opt: compact neural surrogates under derivative control, audited for ghost signals.

The public names load on first use, so that ``surrogate-opt --help`` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surrogate_opt import penalties as penalties
    from surrogate_opt.adapters import as_differentiable
    from surrogate_opt.adapters.botorch.conversion import to_botorch
    from surrogate_opt.adapters.botorch.fitting import fit_botorch
    from surrogate_opt.auditing import audit, ghost_signal
    from surrogate_opt.diagnostics import gradient_field, sensitivity
    from surrogate_opt.dynamics import Dynamics, fit_dynamics, stack_dynamics
    from surrogate_opt.errors import InputError, ModelFileError, SurrogateOptError, TrainingError
    from surrogate_opt.fitting import fit
    from surrogate_opt.loops import minimize
    from surrogate_opt.loops.bayesian import BayesianLoop
    from surrogate_opt.loops.mpc import run_closed_loop
    from surrogate_opt.surrogate import Surrogate

__version__ = "0.1.0"

_HOMES = {
    "as_differentiable": "adapters",
    "fit_botorch": "adapters.botorch.fitting",
    "to_botorch": "adapters.botorch.conversion",
    "audit": "auditing",
    "ghost_signal": "auditing",
    "gradient_field": "diagnostics",
    "sensitivity": "diagnostics",
    "Dynamics": "dynamics",
    "fit_dynamics": "dynamics",
    "stack_dynamics": "dynamics",
    "InputError": "errors",
    "ModelFileError": "errors",
    "SurrogateOptError": "errors",
    "TrainingError": "errors",
    "fit": "fitting",
    "minimize": "loops",
    "BayesianLoop": "loops.bayesian",
    "run_closed_loop": "loops.mpc",
    "Surrogate": "surrogate",
}

__all__ = [
    "BayesianLoop",
    "Dynamics",
    "InputError",
    "ModelFileError",
    "Surrogate",
    "SurrogateOptError",
    "TrainingError",
    "as_differentiable",
    "audit",
    "fit",
    "fit_botorch",
    "fit_dynamics",
    "ghost_signal",
    "gradient_field",
    "minimize",
    "run_closed_loop",
    "sensitivity",
    "stack_dynamics",
    "to_botorch",
]


def __getattr__(name: str) -> Any:
    if name == "penalties":  # a room that is public as a whole
        return import_module(f"{__name__}.penalties")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "penalties"})

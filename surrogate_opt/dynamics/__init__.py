"""Learned dynamics: x_{t+1} of (x_t, u_t), from simulated or logged transitions."""

from surrogate_opt.dynamics.dynamics import Dynamics, DynamicsRecord, stack_dynamics
from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.dynamics.ensemble import DynamicsEnsemble
from surrogate_opt.dynamics.excitation import collect, collect_with_policy, prbs_actions, uniform_actions
from surrogate_opt.dynamics.fitting import fit_dynamics
from surrogate_opt.dynamics.free_run import FreeRunError, free_run_error, simulate
from surrogate_opt.dynamics.lags import Lagged, with_lags
from surrogate_opt.dynamics.linear import LinearDynamics
from surrogate_opt.dynamics.logged import read_log, trajectories_of
from surrogate_opt.dynamics.transitions import Trajectory, Transitions, as_trajectories, transitions

__all__ = [
    "Dynamics",
    "DynamicsEnsemble",
    "DynamicsRecord",
    "Encoding",
    "FreeRunError",
    "Lagged",
    "LinearDynamics",
    "Trajectory",
    "Transitions",
    "as_trajectories",
    "collect",
    "collect_with_policy",
    "fit_dynamics",
    "free_run_error",
    "prbs_actions",
    "read_log",
    "simulate",
    "stack_dynamics",
    "trajectories_of",
    "transitions",
    "uniform_actions",
    "with_lags",
]

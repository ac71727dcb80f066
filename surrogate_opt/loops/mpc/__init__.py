"""Model-predictive control: planners, receding horizon, closed loops with a plant."""

from surrogate_opt.loops.mpc.baselines import RandomActions, Rest
from surrogate_opt.loops.mpc.cem import CEM
from surrogate_opt.loops.mpc.closed_loop import ClosedLoop, run_closed_loop, true_plan_costs
from surrogate_opt.loops.mpc.controller import Controller, Plan
from surrogate_opt.loops.mpc.ilqr import ILQR
from surrogate_opt.loops.mpc.model import DynamicsModel, PlantModel
from surrogate_opt.loops.mpc.mppi import MPPI
from surrogate_opt.loops.mpc.pessimism import pessimistic
from surrogate_opt.loops.mpc.planning import Planner
from surrogate_opt.loops.mpc.problem import ControlProblem, TrackingCost
from surrogate_opt.loops.mpc.shooting import Shooting
from surrogate_opt.loops.mpc.stalling import StallRule

PLANNERS: dict[str, Planner] = {
    "ilqr": ILQR(),
    "shooting": Shooting(),
    "mppi": MPPI(),
    "cem": CEM(samples=128, elites=8, iterations=4, search_iterations=12),
}
"""The planners by the names users type, with their defaults; CEM with as few samples as do."""

__all__ = [
    "CEM",
    "ILQR",
    "MPPI",
    "PLANNERS",
    "ClosedLoop",
    "ControlProblem",
    "Controller",
    "DynamicsModel",
    "Plan",
    "Planner",
    "PlantModel",
    "RandomActions",
    "Rest",
    "Shooting",
    "StallRule",
    "TrackingCost",
    "pessimistic",
    "run_closed_loop",
    "true_plan_costs",
]

"""Control plants: batched and differentiable, each with a task and a test of success.

`PlantEnvironment`, which needs gymnasium, is in `surrogate_problems.plants.environment`.
"""

from surrogate_problems.plants.cart_pole import CartPole
from surrogate_problems.plants.cost import TrackingCost, constant_target
from surrogate_problems.plants.cstr import StirredTankReactor
from surrogate_problems.plants.family_plant import FamilyPlant
from surrogate_problems.plants.pendulum import Pendulum
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.quadrotor import Quadrotor
from surrogate_problems.plants.quadruple_tank import QuadrupleTank
from surrogate_problems.plants.registry import PLANTS, make_plant
from surrogate_problems.plants.van_der_pol import VanDerPol
from surrogate_problems.plants.variables import ActionVariable, StateVariable, Timing

__all__ = [
    "PLANTS",
    "ActionVariable",
    "CartPole",
    "FamilyPlant",
    "Pendulum",
    "Plant",
    "Quadrotor",
    "QuadrupleTank",
    "StateVariable",
    "StirredTankReactor",
    "Timing",
    "TrackingCost",
    "VanDerPol",
    "constant_target",
    "make_plant",
]

"""The plants by the names users type."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from surrogate_problems.families import FAMILIES
from surrogate_problems.plants.cart_pole import CartPole
from surrogate_problems.plants.cstr import StirredTankReactor
from surrogate_problems.plants.family_plant import FamilyPlant
from surrogate_problems.plants.pendulum import Pendulum
from surrogate_problems.plants.plant import Plant
from surrogate_problems.plants.quadrotor import Quadrotor
from surrogate_problems.plants.quadruple_tank import QuadrupleTank
from surrogate_problems.plants.van_der_pol import VanDerPol
from surrogate_problems.problem import ProblemError

PLANTS: Final[dict[str, Callable[..., Plant]]] = {
    "pendulum": Pendulum,
    "cart_pole": CartPole,
    "quadrotor": Quadrotor,
    "cstr": StirredTankReactor,
    "quadruple_tank": QuadrupleTank,
    "van_der_pol": VanDerPol,
    **{f"family:{family}": partial(FamilyPlant, family) for family in FAMILIES},
}
"""What makes each plant: ``PLANTS["pendulum"](friction=0.1)``."""


def make_plant(name: str, **options: Any) -> Plant:
    """Make a plant by its name.

    Args:
        name: a key of `PLANTS`, such as ``"pendulum"`` or ``"family:smooth"``.
        options: of that plant, such as ``seed=3`` for a family's.

    Returns:
        The plant.

    Raises:
        ProblemError: there is no such plant, or an option is out of range.
    """
    if name not in PLANTS:
        raise ProblemError(f"name: expected one of {', '.join(PLANTS)}, got {name!r}")
    return PLANTS[name](**options)

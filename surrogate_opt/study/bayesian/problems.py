"""The problems of the study of Bayesian optimization, and which half of them each belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from surrogate_problems.families import FAMILIES
from surrogate_problems.problem import Problem
from surrogate_problems.transformed import TransformedFunction

Half = Literal["tuning", "reported"]

TUNING_PROBLEMS: Final = (
    "smooth",
    "piecewise",
    "branin",
    "hartmann6",
    "griewank6",
    "ackley10",
    "rosenbrock10",
)
"""Defaults may be tuned on these; a verdict on them is not the headline."""

REPORTED_PROBLEMS: Final = (
    "sparse",
    "oscillatory",
    "entangled",
    "egg_holder",
    "michalewicz5",
    "rastrigin5",
    "levy10",
    "styblinski_tang10",
)
"""The headline. Like the other half these hold families and functions, of few and of 10 inputs, with and
without kinks, of one and of many local minima."""

_KINKED: Final = ("piecewise", "ackley10", "egg_holder")
"""Somewhere not differentiable: kinks along every input, a cusp at the minimizer, roots of sizes."""

_FUNCTIONS: Final = {
    "branin": ("branin", 2),
    "hartmann6": ("hartmann", 6),
    "levy10": ("levy", 10),
    "ackley10": ("ackley", 10),
    "rosenbrock10": ("rosenbrock", 10),
    "styblinski_tang10": ("styblinski_tang", 10),
    "rastrigin5": ("rastrigin", 5),
    "michalewicz5": ("michalewicz", 5),
    "griewank6": ("griewank", 6),
    "egg_holder": ("egg_holder", 2),
}


@dataclass(frozen=True, kw_only=True)
class StudyProblem:
    """A problem of the study; a seed makes an instance of it.

    Attributes:
        name: what users type.
        half: whether defaults may be tuned on it.
        smooth: whether it is differentiable everywhere in the box.
        function: BoTorch's function and its number of inputs; None for a family, which has any number.
    """

    name: str
    half: Half
    smooth: bool
    function: tuple[str, int] | None

    def dim(self, family_dim: int) -> int:
        """Number of inputs, where families have ``family_dim``."""
        return self.function[1] if self.function else family_dim

    def make(self, instance: int, family_dim: int) -> Problem:
        """The instance of that seed, without noise."""
        if self.function is None:
            return FAMILIES[self.name](dim=family_dim, seed=instance)
        name, dim = self.function
        return TransformedFunction(name, dim, seed=instance)


def _problem(name: str, half: Half) -> StudyProblem:
    return StudyProblem(name=name, half=half, smooth=name not in _KINKED, function=_FUNCTIONS.get(name))


PROBLEMS: Final[dict[str, StudyProblem]] = {
    **{name: _problem(name, "tuning") for name in TUNING_PROBLEMS},
    **{name: _problem(name, "reported") for name in REPORTED_PROBLEMS},
}
"""The problems by the name users type."""

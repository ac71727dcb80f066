"""BoTorch's synthetic functions as problems: gradients, samples, and an optimum to the last digit."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Final, Literal

import torch
from botorch.test_functions import synthetic
from botorch.test_functions.synthetic import SyntheticTestFunction
from torch import Tensor

from surrogate_problems.problem import Optimum, Problem, ProblemError
from surrogate_problems.search import minimize_in_box, polish

BOTORCH_FUNCTIONS: Final[dict[str, type[SyntheticTestFunction]]] = {
    "ackley": synthetic.Ackley,
    "beale": synthetic.Beale,
    "branin": synthetic.Branin,
    "bukin": synthetic.Bukin,
    "cosine": synthetic.Cosine8,
    "dixon_price": synthetic.DixonPrice,
    "drop_wave": synthetic.DropWave,
    "egg_holder": synthetic.EggHolder,
    "griewank": synthetic.Griewank,
    "hartmann": synthetic.Hartmann,
    "holder_table": synthetic.HolderTable,
    "levy": synthetic.Levy,
    "michalewicz": synthetic.Michalewicz,
    "powell": synthetic.Powell,
    "rastrigin": synthetic.Rastrigin,
    "rosenbrock": synthetic.Rosenbrock,
    "shekel": synthetic.Shekel,
    "six_hump_camel": synthetic.SixHumpCamel,
    "styblinski_tang": synthetic.StyblinskiTang,
    "three_hump_camel": synthetic.ThreeHumpCamel,
}
"""BoTorch's continuous, unconstrained functions by the name users type."""

_DIMS: Final = {"powell": (4, 4), "rosenbrock": (2, 1)}  # smallest, step; (1, 1) for the others
_SAME_VALUE: Final = 1e-6  # relative; minimizers this close to the lowest are kept


class BotorchFunction(Problem):
    """A BoTorch test function as a problem to minimize; one that is a maximization there is negated.

    Published optima are rounded, so a search can fall below them; here the published minimizers are polished,
    and a minimum that BoTorch does not know comes from search.

    Args:
        name: a key of `BOTORCH_FUNCTIONS`.
        dim: number of inputs; None for BoTorch's default.
        noise_std: of the noise that ``function(X)`` adds, in output standard deviations; None for none.
        negate: whether to flip the sign, as BoTorch does for maximization.
        dtype: of ``bounds``.

    Raises:
        ProblemError: the function is unknown or has no such dimension.
    """

    output_name = "y"

    def __init__(
        self,
        name: str,
        dim: int | None = None,
        noise_std: float | None = None,
        negate: bool = False,
        dtype: torch.dtype = torch.double,
    ) -> None:
        reference = _make(name, dim)
        super().__init__(list(reference._bounds), negate=negate, dtype=dtype)
        self.name = name
        # In a tuple, so that torch does not register it as a submodule and a second set of bounds with it.
        self._reference = (reference,)
        self.input_names = tuple(f"x{i + 1}" for i in range(self.dim))
        self.noise_std = self._raw_noise_std(noise_std)

    @property
    def gradient_source(self) -> Literal["autograd"]:
        """Gradients come from autograd; at a kink they may be infinite or not a number."""
        return "autograd"

    def _evaluate_true(self, X: Tensor) -> Tensor:
        function = self._reference[0]
        value: Tensor = function._evaluate_true(X)
        return value if function._is_minimization_by_default else -value

    def _value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return autograd_value_and_gradient(self._evaluate_true, x)

    def _find_optimum(self) -> Optimum:
        bounds, published = self._exact_bounds, self._reference[0]._optimizers
        if published is None:
            x, value = minimize_in_box(self._value_and_gradient, bounds)
            return Optimum(value=value, x=x[None], source="search")
        starts = torch.tensor(published, dtype=torch.float64)
        polished = [polish(self._value_and_gradient, bounds, start[None]) for start in starts]
        lowest = min(value for _, value in polished)
        kept = [x for x, value in polished if math.isclose(value, lowest, rel_tol=_SAME_VALUE, abs_tol=1e-9)]
        return Optimum(value=lowest, x=torch.stack(kept), source="literature")


def autograd_value_and_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Values and gradients of a function that treats the points of a batch apart.

    Args:
        function: x ``(..., d)`` to values ``(...)``.
        x: points ``(..., d)``.

    Returns:
        Values ``(...)`` and gradients ``(..., d)``, detached.
    """
    with torch.enable_grad():
        points = x.detach().requires_grad_(True)
        value = function(points)
        (gradient,) = torch.autograd.grad(value.sum(), points)
    return value.detach(), gradient


def _make(name: str, dim: int | None) -> SyntheticTestFunction:
    """Construct a BoTorch function in float64."""
    if name not in BOTORCH_FUNCTIONS:
        raise ProblemError(f"name: expected one of {', '.join(BOTORCH_FUNCTIONS)}, got {name!r}")
    function_class = BOTORCH_FUNCTIONS[name]
    if dim is None:
        return function_class()
    smallest, step = _DIMS.get(name, (1, 1))
    if dim < smallest or dim % step:
        raise ProblemError(f"dim: {name} needs at least {smallest} inputs in steps of {step}, got {dim}")
    if "dim" in inspect.signature(function_class).parameters:
        try:
            return function_class(dim=dim)  # type: ignore[call-arg]  # the base class has no dim, these have
        except ValueError as error:
            raise ProblemError(f"dim: {name} is not defined for {dim} inputs ({error})") from error
    function = function_class()
    if dim != function.dim:
        raise ProblemError(f"dim: {name} has {function.dim} inputs, got {dim}")
    return function

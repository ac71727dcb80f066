"""What every problem offers: a BoTorch test function with gradients, samples and a lazily found optimum."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple

import numpy as np
import torch
from botorch.test_functions.synthetic import SyntheticTestFunction
from jaxtyping import Float
from torch import Tensor

from surrogate_problems.search import sobol_points

GradientSource = Literal["analytic", "autograd"]
OptimumSource = Literal["closed form", "grid", "search", "literature"]

PAPER_SIZES: Final = {"train": 2000, "validation": 500, "test": 1000}
_NUM_SCALE_POINTS: Final = 2048


class ProblemError(ValueError):
    """An argument of a problem that cannot be used: names it, what was expected, what came."""


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """The lowest value of a problem in its box, and where it is taken.

    Attributes:
        value: the minimum, before any ``negate``.
        x: minimizers ``(m, d)``, float64.
        source: ``"closed form"``: proven; ``"grid"``: found on a grid fine enough for the problem's
            curvature, then polished; ``"search"``: the best of a heavy multi-start search;
            ``"literature"``: published, then polished.
    """

    value: float
    x: Float[Tensor, "m d"]
    source: OptimumSource


class PaperSplit(NamedTuple):
    """Three disjoint samples ``(x, y)`` of `PAPER_SIZES`."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


class Problem(SyntheticTestFunction, ABC):
    """A function to minimize in a box, usable wherever BoTorch takes a test function.

    Called as ``problem(X)`` it behaves as BoTorch's own: it checks the box and adds ``noise_std``. ``value``,
    ``value_and_gradient`` and ``sample`` do neither check the box nor add that noise, and agree in sign with
    ``problem(X, noise=False)`` and with ``optimal_value``. The optimum is found at first access.

    Attributes:
        dim: number of inputs d.
        bounds: ``(2, d)``.
        input_names: d names, with the unit where an input has one.
        output_name: name of the output, likewise.
        noise_std: standard deviation of the noise that ``problem(X)`` adds, in the output's unit (BoTorch's
            meaning). The constructor's ``noise_std`` is in output standard deviations.
    """

    bounds: Tensor
    input_names: tuple[str, ...]
    output_name: str
    _check_grad_at_opt = False  # minima may lie on the boundary

    def __init__(
        self, bounds: list[tuple[float, float]], *, negate: bool = False, dtype: torch.dtype = torch.double
    ) -> None:
        self.dim = len(bounds)
        self.continuous_inds = list(range(self.dim))
        super().__init__(negate=negate, bounds=bounds, dtype=dtype)

    @property
    @abstractmethod
    def gradient_source(self) -> GradientSource:
        """Where the gradients come from."""

    @abstractmethod
    def _value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values ``(...)`` and gradients ``(..., d)``, detached, before any ``negate``."""

    @abstractmethod
    def _find_optimum(self) -> Optimum:
        """Find the minimum in float64, before any ``negate``."""

    def value(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Noise-free values; the box is not checked.

        Args:
            x: points ``(..., d)``, float32 or float64.

        Returns:
            Values ``(...)`` in x's dtype.

        Raises:
            ProblemError: x is no floating tensor with d columns.
        """
        self._check_points(x)
        with torch.no_grad():
            value: Tensor = self._evaluate_true(x)
        return -value if self.negate else value

    def value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        """Noise-free values and their gradients with respect to x; the box is not checked.

        Args:
            x: points ``(..., d)``, float32 or float64.

        Returns:
            Values ``(...)`` and gradients ``(..., d)``, detached, in x's dtype.

        Raises:
            ProblemError: x is no floating tensor with d columns.
        """
        self._check_points(x)
        value, gradient = self._value_and_gradient(x)
        return (-value, -gradient) if self.negate else (value, gradient)

    def sample(
        self, n: int, noise_std: float = 0.0, seed: int = 0
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """Draw points uniformly from the box and observe the function there.

        Args:
            n: number of points, at least 1.
            noise_std: of Gaussian noise, in output standard deviations. The points do not depend on it.
            seed: of points and noise; other seeds give other data of the same instance.

        Returns:
            x ``(n, d)`` and y ``(n,)``, float64.

        Raises:
            ProblemError: ``n`` or ``noise_std`` or ``seed`` is out of range.
        """
        if n < 1:
            raise ProblemError(f"n: expected at least 1 point, got {n}")
        check_noise_std(noise_std)
        generator = make_generator(seed, "sample")
        lower, upper = self._exact_bounds
        x = lower + torch.rand(n, self.dim, generator=generator, dtype=torch.float64) * (upper - lower)
        y = self.value(x)
        if noise_std > 0.0:
            noise = torch.randn(n, generator=generator, dtype=torch.float64)
            y = y + noise_std * self.output_std * noise
        return x, y

    def paper_split(self, noise_std: float = 0.0, seed: int = 0) -> PaperSplit:
        """Sample the papers' training, validation and test sets (2000, 500, 1000 points, d = 10 there).

        Args:
            noise_std: of the noise on all three, in output standard deviations.
            seed: as for `sample`.

        Returns:
            The three sets, disjoint parts of one sample.
        """
        sizes = list(PAPER_SIZES.values())
        x, y = self.sample(sum(sizes), noise_std, seed)
        return PaperSplit(*zip(torch.split(x, sizes), torch.split(y, sizes), strict=True))

    @cached_property
    def output_std(self) -> float:
        """Standard deviation of the noise-free output over 2048 scrambled Sobol points of the box."""
        return float(self.value(self._scale_points).std(correction=0))

    @cached_property
    def linear_r2(self) -> float:
        """R² of the least-squares plane through the noise-free output at those Sobol points."""
        x = self._scale_points
        lower, upper = self._exact_bounds
        design = torch.cat([(x - lower) / (upper - lower), torch.ones_like(x[:, :1])], dim=1)
        y = self.value(x)
        residual = y - design @ torch.linalg.lstsq(design, y[:, None]).solution[:, 0]
        return 1.0 - float(residual.square().sum() / (y - y.mean()).square().sum())

    @property
    def optimizers(self) -> Float[Tensor, "m d"]:
        """Points at which the optimum is taken, in the dtype and on the device of ``bounds``."""
        lower, upper = self.bounds
        return self._optimum.x.to(self.bounds).clamp(lower, upper)

    @property
    def optimum_source(self) -> OptimumSource:
        """How the optimum is known; see `Optimum`."""
        return self._optimum.source

    @property
    def _optimal_value(self) -> float:  # type: ignore[override]  # BoTorch has a plain attribute; here lazy
        return self._optimum.value

    @cached_property
    def _optimum(self) -> Optimum:
        return self._find_optimum()

    @property
    def _exact_bounds(self) -> Tensor:
        """The bounds in float64 on the CPU, not rounded by a ``.to(float32)`` of the module."""
        return torch.tensor(self._bounds, dtype=torch.float64).transpose(0, 1)

    @property
    def _scale_points(self) -> Tensor:
        lower, upper = self._exact_bounds
        points: Tensor = lower + sobol_points(_NUM_SCALE_POINTS, self.dim, seed=0) * (upper - lower)
        return points

    def _raw_noise_std(self, noise_std: float | None) -> float | None:
        """Noise given in output standard deviations, in the output's unit."""
        if noise_std is None:
            return None
        check_noise_std(noise_std)
        return noise_std * self.output_std

    def _check_points(self, x: Tensor) -> None:
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 1 or x.shape[-1] != self.dim:
            got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ProblemError(f"x: expected a floating tensor of shape (..., {self.dim}), got {got}")


def check_noise_std(noise_std: float) -> None:
    """Refuse noise that is negative or not finite.

    Raises:
        ProblemError: it is.
    """
    if not (math.isfinite(noise_std) and noise_std >= 0.0):
        raise ProblemError(f"noise_std: expected a finite number of at least 0, got {noise_std}")


def make_generator(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose; the same seed gives independent streams to different purposes.

    Without this, instance 0 and sample 0 would share their random numbers.

    Args:
        seed: a non-negative integer.
        purpose: any text.

    Returns:
        A seeded CPU generator.

    Raises:
        ProblemError: the seed is negative.
    """
    if seed < 0:
        raise ProblemError(f"seed: expected a non-negative integer, got {seed}")
    state = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)

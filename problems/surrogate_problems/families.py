"""The five synthetic families on [-1, 1]^d: random functions of known kind, one per seed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from surrogate_problems.problem import PAPER_SIZES, Optimum, Problem, ProblemError, make_generator
from surrogate_problems.search import minimize_in_box, polish
from surrogate_problems.sine_optimum import grid_minima, point_at_bound

__all__ = [
    "FAMILIES",
    "PAPER_SIZES",
    "Entangled",
    "Family",
    "Oscillatory",
    "Piecewise",
    "Smooth",
    "Sparse",
    "SumOfSines",
]

_NUM_SINES: Final = 5
_WIDTH: Final = 64


class Family(Problem, ABC):
    """A random function of one kind; the seed picks the instance, the difficulty its roughness.

    R² of a plane at d = 10 and the default difficulty, over instances 0 to 19:

    ============  ==========  =====  ====  ====
    family        difficulty  mean   min   max
    ============  ==========  =====  ====  ====
    smooth        0.5         0.91   0.80  0.96
    piecewise     2           0.48   0.32  0.62
    sparse        2           0.54   0.10  0.87
    oscillatory   1           0.34   0.10  0.59
    entangled     3.5         0.48   0.21  0.66
    ============  ==========  =====  ====  ====

    Args:
        dim: number of inputs d.
        seed: the instance, a non-negative integer.
        difficulty: positive; None for the family's default. A plane explains less as it grows.
        noise_std: of the noise that ``family(X)`` adds, in output standard deviations; None for none.
        negate: whether to flip the sign, as BoTorch does for maximization.
        dtype: of ``bounds``.

    Attributes:
        seed: as given.
        difficulty: as given, or the default.

    Raises:
        ProblemError: an argument is out of range.
    """

    default_difficulty: ClassVar[float]
    output_name = "y"

    def __init__(
        self,
        dim: int = 10,
        seed: int = 0,
        difficulty: float | None = None,
        noise_std: float | None = None,
        negate: bool = False,
        dtype: torch.dtype = torch.double,
    ) -> None:
        if dim < 1:
            raise ProblemError(f"dim: expected at least 1, got {dim}")
        difficulty = self.default_difficulty if difficulty is None else difficulty
        if not (math.isfinite(difficulty) and difficulty > 0.0):
            raise ProblemError(f"difficulty: expected a finite number above 0, got {difficulty}")
        super().__init__([(-1.0, 1.0)] * dim, negate=negate, dtype=dtype)
        self.seed = seed
        self.difficulty = difficulty
        self.input_names = tuple(f"x{i + 1}" for i in range(dim))
        # Kept in float64 and cast at use: moving the module to float32 and back must not change the truth.
        self._weights = self._draw(make_generator(seed, type(self).__name__))
        self.noise_std = self._raw_noise_std(noise_std)

    @property
    def gradient_source(self) -> Literal["analytic"]:
        """Gradients are written out, without autograd; at a kink 0, the value autograd takes."""
        return "analytic"

    @abstractmethod
    def _draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw the instance's parameters, float64."""

    def _weights_like(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(weight.to(x) for weight in self._weights)


class SumOfSines(Family, ABC):
    """f(x) = sum over k = 1..5 of sin(w_k.x), no phases; entries of w_k normal, their std the difficulty.

    The value is at least -5, which is reached where the box allows (needs 5 inputs that matter). Elsewhere
    the minimum comes from a fine grid (up to 3 inputs that matter) or from search.
    """

    active_share: ClassVar[float]

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        num_active = max(1, math.ceil(self.active_share * self.dim - 1e-9))
        active = torch.randperm(self.dim, generator=generator)[:num_active].sort().values
        frequencies = torch.zeros(_NUM_SINES, self.dim, dtype=torch.float64)
        entries = torch.randn(_NUM_SINES, num_active, generator=generator, dtype=torch.float64)
        frequencies[:, active] = self.difficulty * entries
        return (frequencies,)

    @property
    def active_inputs(self) -> tuple[int, ...]:
        """Indices of the inputs that matter, rising."""
        return tuple(self._weights[0].any(dim=0).nonzero().flatten().tolist())

    def _evaluate_true(self, X: Tensor) -> Tensor:
        (frequencies,) = self._weights_like(X)
        return torch.sin(X @ frequencies.T).sum(-1)

    def _value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        (frequencies,) = self._weights_like(x)
        with torch.no_grad():
            phase = x @ frequencies.T
            return torch.sin(phase).sum(-1), torch.cos(phase) @ frequencies

    def _find_optimum(self) -> Optimum:
        active = list(self.active_inputs)
        frequencies = self._weights[0][:, active]
        bounds = self._exact_bounds[:, active]
        optimizer = torch.zeros(1, self.dim, dtype=torch.float64)

        def value_and_gradient(z: Tensor) -> tuple[Tensor, Tensor]:
            phase = z @ frequencies.T
            return torch.sin(phase).sum(-1), torch.cos(phase) @ frequencies

        at_bound = point_at_bound(frequencies)
        if at_bound is not None:
            optimizer[0, active] = at_bound
            return Optimum(value=-float(_NUM_SINES), x=optimizer, source="closed form")
        starts = grid_minima(frequencies)
        if starts is not None:
            optimizer[0, active], value = polish(value_and_gradient, bounds, starts)
            return Optimum(value=value, x=optimizer, source="grid")
        optimizer[0, active], value = minimize_in_box(value_and_gradient, bounds)
        return Optimum(value=value, x=optimizer, source="search")


class Smooth(SumOfSines):
    """A sum of 5 slow sines (std of the frequencies 0.5): nearly a plane."""

    default_difficulty = 0.5
    active_share = 1.0


class Sparse(SumOfSines):
    """A sum of 5 sines (std 2) of 20% of the inputs, rounded up, picked by the seed; `active_inputs`."""

    default_difficulty = 2.0
    active_share = 0.2


class Oscillatory(SumOfSines):
    """A sum of 5 fast sines: std 1 by default, ``difficulty=5.0`` for the paper's.

    At d = 10 and std 5 no method learns anything from 2,000 points.
    """

    default_difficulty = 1.0
    active_share = 1.0


class Piecewise(Family):
    """f(x) = sum over i of |x_i - tau_i|, tau uniform on [-1, 1] / difficulty: one kink an input.

    ``difficulty=1.0`` spreads the kinks over the box, where a plane explains 80% of the variance; the
    default 2 puts them into its inner half. The minimum is 0 at tau (below difficulty 1 some kinks lie
    outside: then at the nearest point of the box). A kink's gradient is 0.
    """

    default_difficulty = 2.0

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        uniform = 2.0 * torch.rand(self.dim, generator=generator, dtype=torch.float64) - 1.0
        return (uniform / self.difficulty,)

    def _evaluate_true(self, X: Tensor) -> Tensor:
        (tau,) = self._weights_like(X)
        return (X - tau).abs().sum(-1)

    def _value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        (tau,) = self._weights_like(x)
        with torch.no_grad():
            distance = x - tau
            return distance.abs().sum(-1), distance.sign()

    def _find_optimum(self) -> Optimum:
        (tau,) = self._weights
        nearest = tau.clamp(-1.0, 1.0)
        return Optimum(value=float((tau - nearest).abs().sum()), x=nearest[None], source="closed form")


class Entangled(Family):
    """A random tanh network d-64-64-1: f(x) = w_3.tanh(W_2 tanh(W_1 x + b_1) + b_2).

    Entries are normal with mean 0. With the difficulty g their standard deviations are: W_1 g sqrt(3/d), so
    that W_1 x has std g over the box; W_2 g/8; b_1 and b_2 2g; w_3 1/8 (1/8 = 1/sqrt(64)). The minimum
    comes from heavy search.
    """

    default_difficulty = 3.5

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        def normal(std: float, *shape: int) -> Tensor:
            return std * torch.randn(*shape, generator=generator, dtype=torch.float64)

        gain, fan = self.difficulty, 1.0 / math.sqrt(_WIDTH)
        first = normal(gain * math.sqrt(3.0 / self.dim), self.dim, _WIDTH)
        first_bias = normal(2.0 * gain, _WIDTH)
        second = normal(gain * fan, _WIDTH, _WIDTH)
        second_bias = normal(2.0 * gain, _WIDTH)
        return first, first_bias, second, second_bias, normal(fan, _WIDTH)

    def _evaluate_true(self, X: Tensor) -> Tensor:
        first, first_bias, second, second_bias, last = self._weights_like(X)
        return torch.tanh(torch.tanh(X @ first + first_bias) @ second + second_bias) @ last

    def _value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, first_bias, second, second_bias, last = self._weights_like(x)
        with torch.no_grad():
            hidden = torch.tanh(x @ first + first_bias)
            top = torch.tanh(hidden @ second + second_bias)
            back = (last * (1.0 - top * top)) @ second.T
            return top @ last, (back * (1.0 - hidden * hidden)) @ first.T

    def _find_optimum(self) -> Optimum:
        x, value = minimize_in_box(self._value_and_gradient, self._exact_bounds)
        return Optimum(value=value, x=x[None], source="search")


FAMILIES: Final[dict[str, type[Family]]] = {
    "smooth": Smooth,
    "piecewise": Piecewise,
    "sparse": Sparse,
    "oscillatory": Oscillatory,
    "entangled": Entangled,
}
"""The families by the name users type."""

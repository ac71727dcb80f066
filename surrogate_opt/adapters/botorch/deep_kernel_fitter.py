"""The deep-kernel Gaussian process as a model of a loop: warm starts, a strength chosen on held-out folds.

The marginal likelihood does not see that an extractor was fitted to the same rows (Ober, Rasmussen & van der
Wilk 2021, "The promises and pitfalls of deep kernel learning"), nor does leave-one-out with the extractor
kept: both prefer no control at all where held-out rows are predicted far worse. So strengths are compared on
folds whose rows the extractor has never seen, from hyperparameters of a fit to all rows without one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]  # torch does not list it

from surrogate_opt.adapters.botorch.calibration import calibration_scale
from surrogate_opt.adapters.botorch.deep_kernel import DeepKernelGP
from surrogate_opt.adapters.botorch.deep_kernel_training import (
    DeepKernel,
    initial_kernel,
    predict,
    train_deep_kernel,
)
from surrogate_opt.adapters.botorch.fitter import FitterState
from surrogate_opt.adapters.botorch.warping import new_extractor
from surrogate_opt.data import Scaling, make_folds, unit_box
from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.networks.threads import one_thread
from surrogate_opt.penalties import STUDIED, Method, Strength, get_method
from surrogate_opt.training.crossvalidation import NUM_FOLDS
from surrogate_opt.training.selection import choose_strength

GRID_POSITIONS = (5, 7, 9, 11)
"""Of the method's grid: an extractor needs stronger control than a network that is trained on its errors."""


@dataclass(frozen=True, kw_only=True)
class DeepKernelRecipe:
    """How extractor and kernel are trained.

    Attributes:
        hidden: widths of the extractor's hidden layers.
        activation: of the hidden layers.
        first_iterations: of L-BFGS from a fresh extractor.
        fold_iterations: the same on the folds that choose the strength.
        later_iterations: from the last extractor.
        max_rows: extractor and hyperparameters are trained on so many rows at most, drawn at random; the
            process itself is conditioned on all of them.
        max_fold_rows: the same where the strength is chosen.
    """

    hidden: tuple[int, ...] = (16, 16)
    activation: str = "silu"
    first_iterations: int = 80
    fold_iterations: int = 20
    later_iterations: int = 20
    max_rows: int = 400
    max_fold_rows: int = 100


class DeepKernelFitter:
    """Fits a ``DeepKernelGP`` again and again.

    Args:
        penalty: the method of derivative control on the extractor.
        strength: "auto", or the method's one number.
        seed: of initial weights, folds and subsamples.
        recipe: how it is trained.
        bounds: the box of the inputs, ``(2, d)``; the unit box where none is given.

    Raises:
        InputError: an unknown penalty, or one that a marginal likelihood has no use for.
    """

    def __init__(
        self,
        *,
        penalty: str = "dreg",
        strength: str | float = "auto",
        seed: int = 0,
        recipe: DeepKernelRecipe | None = None,
        bounds: Float[Tensor, "2 d"] | None = None,
    ) -> None:
        self._method: Method = get_method(penalty)
        if penalty not in STUDIED:
            raise InputError(
                f"penalty: expected one of {', '.join(STUDIED)} for a deep kernel, got {penalty!r}"
            )
        self._strength, self._seed, self._bounds = strength, seed, bounds
        self._recipe = DeepKernelRecipe() if recipe is None else recipe
        self._last: DeepKernel | None = None
        self._level, self._calibration = 0.0, 1.0

    @one_thread()
    def fit(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], *, choose_strength: bool) -> DeepKernelGP:
        """See ``ModelFitter``."""
        deviation = float(y.std()) if len(y) > 1 else 0.0
        if not 0.0 < deviation < math.inf:
            raise TrainingError("targets: expected at least two values that differ")
        box = unit_box(x.shape[1]) if self._bounds is None else self._bounds
        points, targets = Scaling.from_data(box, y).unit(x), (y - y.mean()) / deviation
        try:
            if choose_strength or self._last is None:
                self._choose(points, targets)
            else:
                rows = self._subsample(len(y), self._recipe.max_rows)
                self._last = train_deep_kernel(
                    points[rows],
                    targets[rows],
                    self._last,
                    self._last.strength,
                    self._recipe.later_iterations,
                )
            assert self._last is not None
            return DeepKernelGP(x, y[:, None], bounds=box, kernel=self._last, calibration=self._calibration)
        except LinAlgError as error:
            raise TrainingError(f"deep kernel: the fit failed ({error})") from None

    def state(self) -> FitterState:
        """See ``ModelFitter``."""
        if self._last is None:
            return FitterState()
        return FitterState(
            tensors={
                "parameters": self._last.stack.flat,
                "hyperparameters": self._last.hyperparameters,
            },
            about={
                "sizes": list(self._last.stack.sizes),
                "strength": self._last.strength.to_dict(),
                "level": self._level,
                "calibration": self._calibration,
            },
        )

    def restore(self, state: FitterState) -> None:
        """See ``ModelFitter``."""
        if not state.tensors:
            return
        about = state.about
        stack = StackedMLP(tuple(about["sizes"]), 1, self._recipe.activation, dtype=torch.float64)
        stack.flat.copy_(state.tensors["parameters"])
        self._last = DeepKernel(
            stack=stack,
            strength=Strength(**about["strength"]),
            hyperparameters=state.tensors["hyperparameters"],
        )
        self._level, self._calibration = about["level"], about["calibration"]

    def _choose(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> None:
        """Choose the strength and the calibration on held-out folds, then train on all rows.

        Fewer than ten different rows are too few for that: the strongest control is taken.
        """
        recipe = self._recipe
        rows = self._subsample(len(y), recipe.max_rows)
        levels = self._levels()
        plain = initial_kernel(new_extractor(x.shape[1], recipe.hidden, recipe.activation, self._seed))
        strongest = train_deep_kernel(
            x[rows], y[rows], plain, self._method.at(levels[-1]), recipe.first_iterations
        )
        start = replace(strongest, stack=plain.stack)
        few = rows[self._subsample(len(rows), recipe.max_fold_rows)]
        chosen = len(levels) - 1
        if len(torch.unique(x[few], dim=0)) >= 2 * NUM_FOLDS:
            held_out = make_folds(len(few), NUM_FOLDS, self._seed, x=x[few])
            mean, variance = self._held_out(x[few], y[few], start, held_out, levels)
            losses = 0.5 * ((y[few] - mean).square() / variance + variance.log())
            chosen = choose_strength(losses, ~losses.isfinite().all(1), "plateau").chosen
            self._calibration = calibration_scale(y[few] - mean[chosen], variance[chosen].sqrt())
        self._level = levels[chosen]
        self._last = (
            strongest
            if chosen == len(levels) - 1
            else train_deep_kernel(
                x[rows], y[rows], start, self._method.at(self._level), recipe.first_iterations
            )
        )

    def _levels(self) -> list[float]:
        if self._strength != "auto":
            return [float(self._strength)]
        if self._method.num_points == 1:
            return [self._method.level(0)]
        return [self._method.level(position) for position in GRID_POSITIONS]

    def _held_out(
        self,
        x: Float[Tensor, "n d"],
        y: Float[Tensor, " n"],
        start: DeepKernel,
        held_out: Bool[Tensor, "folds n"],
        levels: list[float],
    ) -> tuple[Float[Tensor, "levels n"], Float[Tensor, "levels n"]]:
        """Every row's mean and variance by a process of each strength that never saw it."""
        mean, variance = torch.full((2, len(levels), len(y)), torch.nan, dtype=torch.float64)
        for out in held_out:
            for position, level in enumerate(levels):
                try:
                    trained = train_deep_kernel(
                        x[~out], y[~out], start, self._method.at(level), self._recipe.fold_iterations
                    )
                    mean[position, out], variance[position, out] = predict(trained, x[~out], y[~out], x[out])
                except LinAlgError:
                    continue
        return mean, variance

    def _subsample(self, num_rows: int, most: int) -> Tensor:
        """All rows, or so many of them at random."""
        if num_rows <= most:
            return torch.arange(num_rows)
        generator = torch.Generator().manual_seed(self._seed)
        return torch.randperm(num_rows, generator=generator)[:most].sort().values

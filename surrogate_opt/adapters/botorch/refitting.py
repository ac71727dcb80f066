"""Fold members trained again and again on a growing table, each time from where they were.

Every row keeps the folds it was given when it came, so that members never learn rows held out from them, and
out-of-fold residuals stay honest from refit to refit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surrogate_opt.adapters.botorch.fitter import FitterState
from surrogate_opt.adapters.botorch.trend import fit_trend, trend_features
from surrogate_opt.data import MIN_R2, Scaling, unit_box
from surrogate_opt.errors import TrainingError
from surrogate_opt.fitting import StrengthSearch
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import get_method
from surrogate_opt.training.crossvalidation import NUM_FOLDS, FoldPlan, numbered_seeds, out_of_fold
from surrogate_opt.training.trainer import TrainingConfig

SMALLEST_SHARE = 1e-3
"""Of the target's deviation; networks are not asked to explain less."""


@dataclass(frozen=True, kw_only=True)
class RefitRecipe:
    """How the members of a loop's model are trained.

    Attributes:
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        members: a multiple of 5: repeats of five folds.
        first_steps: optimizer steps from fresh weights, when the strength is chosen.
        later_steps: optimizer steps from the last weights.
        batch_size: rows a step; as long as members train on fewer, all of them.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's.
        trend: fit a plane and a bowl first, and the networks to what they leave.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "relu"
    members: int = 10
    first_steps: int = 400
    later_steps: int = 200
    batch_size: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    trend: bool = True

    def config(self, num_rows: int, num_steps: int) -> TrainingConfig:
        """The trainer's recipe for so many rows and steps."""
        batches = max(1, round(num_rows / self.batch_size))
        return TrainingConfig(
            hidden=self.hidden,
            activation=self.activation,
            epochs=math.ceil(num_steps / batches),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            num_checks=1,
        )


@dataclass(frozen=True, kw_only=True)
class RefittedStack:
    """Members of the chosen strength, trained on all rows but their folds'.

    Attributes:
        stack: float64, in network coordinates.
        scaling: between the table's units and the network's, whose targets are the table's less the trend.
        trend: coefficients of ``trend_features`` in the table's unit, ``(d + 2,)``; zero without a trend.
        x: the rows in network coordinates, ``(n, d)``.
        y: the network's targets in their standard deviations, ``(n,)``.
        residuals: ``y`` less the prediction of members, and of a trend, that never saw the row, ``(n,)``.
        held_out: the rows that each member never saw, ``(members, n)``.
        level: the penalty's one number.
    """

    stack: StackedMLP
    scaling: Scaling
    trend: Float[Tensor, " r"]
    x: Float[Tensor, "n d"]
    y: Float[Tensor, " n"]
    residuals: Float[Tensor, " n"]
    held_out: Bool[Tensor, "members n"]
    level: float


class FoldRefitter:
    """Trains the fold members of one output whenever rows were added.

    Args:
        recipe: how.
        penalty: the method of derivative control.
        strength: "auto", or the method's one number.
        seed: of folds, initial weights and minibatch order.
        bounds: the box of the inputs, ``(2, d)``; the unit box where none is given.

    Raises:
        InputError: an unknown penalty.
    """

    def __init__(
        self,
        recipe: RefitRecipe,
        *,
        penalty: str,
        strength: str | float,
        seed: int,
        bounds: Float[Tensor, "2 d"] | None = None,
    ) -> None:
        self._recipe, self._strength, self._seed, self._bounds = recipe, strength, seed, bounds
        self._method = get_method(penalty)
        self._folds = torch.zeros(0, recipe.members // NUM_FOLDS, dtype=torch.int64)
        self._stack: StackedMLP | None = None
        self._y_mean, self._y_std, self._level = 0.0, 1.0, 0.0

    def refit(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], *, choose_strength: bool
    ) -> RefittedStack:
        """Train on all rows; see ``ModelFitter.fit`` for the arguments.

        Raises:
            TrainingError: fewer different rows than folds, a constant target, or no strength that trains.
        """
        self._assign_folds(x)
        if any(len(column.unique()) < NUM_FOLDS for column in self._folds.T):
            raise TrainingError(f"rows: expected at least {NUM_FOLDS} different ones to make folds of")
        plan = self._plan(len(x))
        deviation = float(y.std(correction=0))
        if not 0.0 < deviation < math.inf:
            raise TrainingError("targets: expected values that differ, and a finite spread")
        scaling = Scaling.from_data(unit_box(x.shape[1]) if self._bounds is None else self._bounds, y)
        unit_x = scaling.unit(x)
        trend, surprise = self._detrended(unit_x, y, plan.held_out)
        left = y - trend_features(unit_x) @ trend
        spread = max(float(left.std(correction=0)), SMALLEST_SHARE * deviation)
        scaling = replace(scaling, y_mean=float(left.mean()), y_std=spread)
        unit_y = scaling.unit_target(left)
        fresh = choose_strength or self._stack is None
        steps = self._recipe.first_steps if fresh else self._recipe.later_steps
        config = self._recipe.config(plan.train_rows.shape[1], steps)
        initial = None if fresh else self._rescaled(scaling)
        # With few rows of a peaked function no strength beats the mean by much, and the plateau rule alone
        # would take the strongest: networks that are flat and agree, which a loop follows no better than
        # chance. Without control they are no better informed, but they differ, and the loop goes and looks.
        search = StrengthSearch(unit_x, unit_y, plan, config, initial, min_r2=MIN_R2)
        strength = self._strength if fresh else self._level
        outcome = search.run(self._method, strength, "plateau", lambda share: None)
        chosen = outcome.choice.chosen
        self._stack, self._level = outcome.validation.ensemble(chosen), outcome.levels[chosen]
        self._y_mean, self._y_std = scaling.y_mean, scaling.y_std
        return RefittedStack(
            stack=self._stack,
            scaling=scaling,
            trend=trend,
            x=unit_x,
            y=unit_y,
            residuals=unit_y - outcome.validation.predictions[chosen] + surprise / scaling.y_std,
            held_out=plan.held_out,
            level=self._level,
        )

    def _detrended(
        self, u: Float[Tensor, "n d"], y: Float[Tensor, " n"], held_out: Bool[Tensor, "members n"]
    ) -> tuple[Float[Tensor, " r"], Float[Tensor, " n"]]:
        """The trend's coefficients, and at each row the trend less that of folds without it; y's unit."""
        if not self._recipe.trend:
            return u.new_zeros(u.shape[1] + 2), torch.zeros_like(y)
        mean, deviation = y.mean(), y.std(correction=0)
        whole, parts = fit_trend(u, (y - mean) / deviation, held_out)
        features = trend_features(u)
        surprise = features @ whole - out_of_fold(parts @ features.T, held_out)
        trend = deviation * whole
        trend[-1] += mean
        return trend, deviation * surprise

    def state(self) -> FitterState:
        """See ``ModelFitter``."""
        if self._stack is None:
            return FitterState()
        return FitterState(
            tensors={"parameters": self._stack.flat, "folds": self._folds},
            about={
                "sizes": list(self._stack.sizes),
                "y_mean": self._y_mean,
                "y_std": self._y_std,
                "level": self._level,
            },
        )

    def restore(self, state: FitterState) -> None:
        """See ``ModelFitter``."""
        if not state.tensors:
            return
        recipe, about = self._recipe, state.about
        self._stack = StackedMLP(
            tuple(about["sizes"]), recipe.members, recipe.activation, dtype=torch.float64
        )
        self._stack.flat.copy_(state.tensors["parameters"])
        self._folds = state.tensors["folds"]
        self._y_mean, self._y_std, self._level = about["y_mean"], about["y_std"], about["level"]

    def _assign_folds(self, x: Float[Tensor, "n d"]) -> None:
        """Give new rows their folds: five different ones share out the five, equal ones share theirs."""
        known, repeats = self._folds.shape
        folds = torch.cat([self._folds, torch.empty(len(x) - known, repeats, dtype=torch.int64)])
        num_different = len(torch.unique(x[:known], dim=0))
        for row in range(known, len(x)):
            twins = (x[:row] == x[row]).all(1).nonzero()
            if len(twins):
                folds[row] = folds[int(twins[0])]
                continue
            block, place = divmod(num_different, NUM_FOLDS)
            num_different += 1
            generator = torch.Generator().manual_seed((self._seed * 1_000_003 + block) % 2**63)
            for repeat in range(repeats):
                folds[row, repeat] = torch.randperm(NUM_FOLDS, generator=generator)[place]
        self._folds = folds

    def _plan(self, num_rows: int) -> FoldPlan:
        folds = self._folds[:num_rows]
        held_out = torch.cat(
            [folds[:, [repeat]] == torch.arange(NUM_FOLDS) for repeat in range(folds.shape[1])], 1
        ).T
        return FoldPlan(
            held_out=held_out,
            train_rows=self._training_rows(held_out),
            stop_rows=torch.empty(len(held_out), 0, dtype=torch.int64),
            seeds=numbered_seeds(self._seed, len(held_out)),
        )

    def _training_rows(self, held_out: Tensor) -> Int[Tensor, "members k"]:
        """The rows each member trains on; members with fewer have their newest ones twice."""
        most = int((~held_out).sum(1).max())
        rows = [(~member).nonzero()[:, 0] for member in held_out]
        newest = [own.flip(0).repeat(math.ceil(most / len(own)))[: most - len(own)] for own in rows]
        return torch.stack([torch.cat(pair) for pair in zip(rows, newest, strict=True)])

    def _rescaled(self, scaling: Scaling) -> StackedMLP:
        """The last members, with the same values in the table's units under a new scaling of the target."""
        assert self._stack is not None
        stack = self._stack.to(torch.float64)
        factor = self._y_std / scaling.y_std
        stack.weights[-1].mul_(factor)
        stack.biases[-1].mul_(factor).add_((self._y_mean - scaling.y_mean) / scaling.y_std)
        return stack

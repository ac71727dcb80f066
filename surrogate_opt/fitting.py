"""fit: from a table of inputs and outputs to a surrogate whose strength was chosen out of fold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from surrogate_opt.data import Scaling, check_bounds, check_xy, data_bounds, thinned
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Method, Strength, get_method
from surrogate_opt.surrogate import Surrogate, TrainingRecord
from surrogate_opt.training.crossvalidation import (
    CrossValidation,
    FoldPlan,
    cross_validate,
    linear_out_of_fold,
    plan_folds,
)
from surrogate_opt.training.selection import (
    Choice,
    Rule,
    check_rule,
    choose_strength,
    is_linearized,
    row_errors,
)
from surrogate_opt.training.trainer import TrainingConfig

KEPT_ROWS = 5000
MAX_EXTENSIONS = 4
_TAIL_POINTS = 512


def default_epochs(num_rows: int, batch_size: int) -> int:
    """Passes over the data that give about 5,000 steps, between 40 and 300."""
    return max(40, min(300, round(5000 * batch_size / num_rows)))


def fit(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    bounds: ArrayLike | Tensor | None = None,
    penalty: str = "dreg",
    strength: str | float = "auto",
    rule: Rule = "plateau",
    members: int = 5,
    hidden: tuple[int, ...] = (64, 64),
    activation: str = "silu",
    epochs: int | None = None,
    batch_size: int = 32,
    learning_rate: float = 5e-3,
    weight_decay: float = 1e-2,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
    feature_names: Sequence[str] | None = None,
    target_name: str | None = None,
) -> Surrogate:
    """Fit an ensemble of compact networks under derivative control.

    Every strength of the penalty's grid is trained on every fold in one stack; the chosen strength's fold
    members are the ensemble, so each row has a prediction by members that never saw it.

    Args:
        x: inputs, ``(n, d)``, raw units.
        y: targets, ``(n,)``, raw units.
        bounds: the box, ``(2, d)``; that of the data where none is given.
        penalty: "none", "dreg", "igp", "sn", "dreg+igp", "datagrad", "spectreg", "weight_decay" or
            "dropout"; of one output "spectreg" is "igp" with random weights.
        strength: "auto", or the method's one number: lambda, the bound, the decay, the share left out.
        rule: "plateau", the strongest that is no worse than the best, or "best".
        members: a multiple of 5: five folds, repeated.
        hidden: widths of the hidden layers.
        activation: relu, tanh, silu, gelu, softplus or poly.
        epochs: passes over the data; None for about 5,000 steps.
        batch_size: rows per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's; where the penalty is "weight_decay" its strength takes this one's place.
        seed: of folds, initial weights and minibatch order.
        device: where to train; the surrogate itself lives on the CPU in float64.
        progress: show a progress bar.
        feature_names: names of the inputs; a data frame's columns, or x0, x1, ... where none are given.
        target_name: name of the output; a series' own, or y where none is given.

    Raises:
        InputError: an argument that cannot be used.
        TrainingError: every strength failed.

    Example:
        >>> surrogate = fit(x, y, penalty="dreg")
        >>> mean, std = surrogate.predict(x[:3])
    """
    check_rule(rule)
    points, target = check_xy(x, y)
    box = check_bounds(data_bounds(points) if bounds is None else bounds, points.shape[1], points)
    method = get_method(penalty)
    default_names = getattr(x, "columns", None)
    if default_names is None:
        default_names = (f"x{column}" for column in range(points.shape[1]))
    names = tuple(map(str, default_names if feature_names is None else feature_names))
    if target_name is None:
        own_name = getattr(y, "name", None)
        target_name = own_name if isinstance(own_name, str) else "y"
    if len(names) != points.shape[1]:
        raise InputError(f"feature_names: expected {points.shape[1]} names, got {len(names)}")
    scaling = Scaling.from_data(box, target)
    plan = plan_folds(points, members, seed)
    config = TrainingConfig(
        hidden=hidden,
        activation=activation,
        epochs=default_epochs(plan.train_rows.shape[1], batch_size) if epochs is None else epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        device=device,
    )
    search = StrengthSearch(scaling.unit(points), scaling.unit_target(target), plan, config)
    with progress_bar(progress) as report:
        outcome = search.run(method, strength, rule, report)
    position = outcome.choice.chosen
    keep = torch.arange(len(target))
    if len(keep) > KEPT_ROWS:
        keep = _kept_rows(points, target, seed)
    record = TrainingRecord(
        target=target,
        out_of_fold=scaling.raw_target(outcome.validation.predictions[position]),
        linear_out_of_fold=scaling.raw_target(search.linear),
        holders=plan.holders,
        rows=keep,
        x=points[keep],
    )
    return Surrogate(
        outcome.validation.ensemble(position),
        scaling,
        record,
        penalty=penalty,
        strength=outcome.validation.strengths[position],
        level=outcome.levels[position],
        selection=outcome.table(scaling.unit(points)),
        feature_names=names,
        target_name=target_name,
    )


def _kept_rows(points: Float[Tensor, "n d"], target: Float[Tensor, " n"], seed: int) -> Int[Tensor, " k"]:
    """Rows drawn at random, and those at which an input or the target is least or largest."""
    columns = torch.cat([points, target[:, None]], 1)
    extremes = torch.unique(torch.cat([columns.argmin(0), columns.argmax(0)]))
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    others = order[~torch.isin(order, extremes)]
    return torch.cat([extremes, others])[:KEPT_ROWS].sort()[0]


class Outcome:
    """A strength search's levels, cross-validation and choice, and which strengths are little but a plane."""

    def __init__(
        self, levels: list[float], validation: CrossValidation, choice: Choice, linearized: Tensor
    ) -> None:
        self.levels = levels
        self.validation = validation
        self.choice = choice
        self.linearized = linearized

    def table(self, x: Float[Tensor, "n d"]) -> pd.DataFrame:
        """One row a strength: error, R^2, gradient tails at the data, and what the rule said."""
        norms = gradient_norms(self.validation.stack, thinned(x, _TAIL_POINTS))
        norms = norms.view(len(self.levels), self.validation.members_per_strength, -1)
        p99 = norms.quantile(0.99, dim=-1).mean(1)
        mean = norms.mean((1, 2))
        choice = self.choice
        return pd.DataFrame(
            {
                "level": self.levels,
                "out_of_fold_mse": choice.mean_error.tolist(),
                "standard_error": choice.standard_error.tolist(),
                "r2": (1.0 - choice.mean_error).tolist(),
                "gradient_mean": mean.tolist(),
                "gradient_p99": p99.tolist(),
                "tail_ratio": (p99 / mean).tolist(),
                "failed": self.validation.failed.tolist(),
                "linearized": self.linearized.tolist(),
                "accepted": choice.accepted.tolist(),
                "best": [position == choice.best for position in range(len(self.levels))],
                "chosen": [position == choice.chosen for position in range(len(self.levels))],
            }
        )


def gradient_norms(stack: StackedMLP, x: Float[Tensor, "n d"]) -> Float[Tensor, "members n"]:
    """Gradient norms of every member in normalized units: unit box, unit standard deviation.

    Of several outputs, the Frobenius norm of the Jacobian.
    """
    with torch.no_grad():
        if stack.sizes[-1] == 1:
            slopes = stack.value_and_gradient(x[None])[1]
        else:
            slopes = stack.value_and_jacobian(x[None])[1].flatten(2)
        norms: Tensor = 2.0 * slopes.norm(dim=-1)
    return norms


class StrengthSearch:
    """Trains grid x folds on one data set, and extends the grid where the choice is at its edge.

    Args:
        x: inputs in network coordinates.
        y: target in standard deviations; of several columns, a row's error is the mean over them.
        plan: the folds.
        config: the recipe.
        initial: fold members that every strength starts from, instead of fresh weights.
        min_r2: where given, strengths whose out-of-fold R^2 is lower have collapsed and are skipped; where
            all have, the weakest is chosen.
    """

    def __init__(
        self,
        x: Float[Tensor, "n d"],
        y: Float[Tensor, " n"] | Float[Tensor, "n m"],
        plan: FoldPlan,
        config: TrainingConfig,
        initial: StackedMLP | None = None,
        min_r2: float | None = None,
    ) -> None:
        self._x, self._y, self._plan, self._config, self._initial = x, y, plan, config, initial
        self._min_r2 = min_r2
        self.linear = linear_out_of_fold(x, y, plan.held_out)

    def run(
        self, method: Method, strength: str | float, rule: Rule, progress: Callable[[float], None]
    ) -> Outcome:
        """Try the grid (or the one number given) and choose."""
        if strength != "auto":
            level = _level(strength)
            validation = self.train([method.at(level)], progress)
            return Outcome([level], validation, *self.choose(validation, rule))
        positions = method.positions()
        validation = self.train([method.at(method.level(p)) for p in positions], progress)
        choice, linearized = self.choose(validation, rule)
        for _ in range(MAX_EXTENSIONS):
            more = method.extend(positions, positions[choice.chosen])
            if not more:
                break
            extra = self.train([method.at(method.level(p)) for p in more], progress)
            if more[0] < positions[0]:
                positions, validation = more + positions, extra.joined(validation)
            else:
                positions, validation = positions + more, validation.joined(extra)
            choice, linearized = self.choose(validation, rule)
        return Outcome([method.level(p) for p in positions], validation, choice, linearized)

    def choose(self, validation: CrossValidation, rule: Rule) -> tuple[Choice, Bool[Tensor, " strengths"]]:
        """Apply the rule; also say which strengths fitted no more than a plane."""
        errors = row_errors(validation.predictions, self._y)
        linearized = is_linearized(errors, row_errors(self.linear, self._y))
        skipped = validation.failed | linearized
        if self._min_r2 is not None:
            skipped = skipped | (errors.mean(1) > 1.0 - self._min_r2)
        choice = choose_strength(errors, skipped, rule)
        if self._min_r2 is not None and bool(skipped.all()):
            choice = replace(choice, chosen=int((~validation.failed).double().argmax()))
        return choice, linearized

    def train(
        self, strengths: list[Strength], progress: Callable[[float], None] | None = None
    ) -> CrossValidation:
        """Train the given strengths on every fold."""
        return cross_validate(
            self._x, self._y, self._plan, strengths, self._config, initial=self._initial, progress=progress
        )


def _level(strength: str | float) -> float:
    try:
        level = math.nan if isinstance(strength, str) else float(strength)
    except (TypeError, ValueError):
        level = math.nan
    if not 0.0 <= level < math.inf:
        raise InputError(f"strength: expected 'auto' or a number of at least 0, got {strength!r}")
    return level


def progress_bar(show: bool) -> AbstractContextManager[Callable[[float], None]]:
    """A progress bar as a function of the share done; a function that does nothing where none is wanted."""
    if not show:
        return nullcontext(lambda share: None)
    return _Bar()


class _Bar(AbstractContextManager[Callable[[float], None]]):
    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("training grid x folds"), BarColumn(), TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(), transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("fit", total=1.0)

    def __enter__(self) -> Callable[[float], None]:
        self._progress.start()
        return lambda share: self._progress.update(self._task, completed=share)

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()

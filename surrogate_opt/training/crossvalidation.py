"""Grid x folds in one go: every strength trained on every fold, every row predicted by who never saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surrogate_opt.data import early_stopping_slices, fit_linear, make_folds
from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.training.trainer import Members, Progress, TrainingConfig, train

NUM_FOLDS = 5
STOP_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class FoldPlan:
    """Which rows each fold member trains on, stops on and never sees.

    Attributes:
        held_out: ``(F, n)``; each row is held out once in every repeat of the folds.
        train_rows: ``(F, k)``, all folds the same number of rows.
        stop_rows: ``(F, s)``.
        seeds: F of them; what initial weights and minibatch order depend on.
    """

    held_out: Bool[Tensor, "folds n"]
    train_rows: Int[Tensor, "folds k"]
    stop_rows: Int[Tensor, "folds s"]
    seeds: tuple[int, ...]

    @property
    def num_repeats(self) -> int:
        """How often every row is held out."""
        return int(self.held_out[:, 0].sum())

    @property
    def holders(self) -> Int[Tensor, "repeats n"]:
        """The fold members that never saw each row."""
        members = torch.arange(len(self.held_out))[:, None].expand_as(self.held_out)
        return members.T[self.held_out.T].view(-1, self.num_repeats).T.contiguous()


def plan_folds(x: Float[Tensor, "n d"], num_members: int, seed: int) -> FoldPlan:
    """Split the rows into folds, one ensemble member each.

    Args:
        x: inputs; rows with equal inputs stay together.
        num_members: a multiple of 5: repeats of five folds.
        seed: of folds, stopping rows and members.

    Raises:
        InputError: a number of members that is no positive multiple of 5.
    """
    if num_members < NUM_FOLDS or num_members % NUM_FOLDS:
        raise InputError(f"members: expected a positive multiple of {NUM_FOLDS}, got {num_members}")
    held_out = make_folds(len(x), NUM_FOLDS, seed, num_members // NUM_FOLDS, x=x)
    aside = early_stopping_slices(held_out, STOP_SHARE, seed, x=x)
    return FoldPlan(
        held_out=held_out,
        train_rows=_equal_counts(~held_out & ~aside, seed),
        stop_rows=_equal_counts(aside, seed),
        seeds=numbered_seeds(seed, num_members),
    )


def numbered_seeds(seed: int, count: int) -> tuple[int, ...]:
    """Seeds of their own for so many things that are numbered from 0."""
    return tuple((seed * 1_000_003 + number) % 2**63 for number in range(count))


def _equal_counts(mask: Tensor, seed: int) -> Tensor:
    """Row numbers where the mask is set, the surplus of larger folds left out at random."""
    count = int(mask.sum(1).min())
    generator = torch.Generator().manual_seed(seed)
    shuffled = [rows.nonzero()[:, 0][torch.randperm(int(rows.sum()), generator=generator)] for rows in mask]
    return torch.stack([rows[:count].sort().values for rows in shuffled])


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """Every strength's fold members and what they predict for the rows they never saw.

    Attributes:
        strengths: S of them.
        stack: ``S * F`` members, those of one strength together.
        predictions: out-of-fold, mean over repeats, in standard deviations, ``(S, n)``, or ``(S, n, m)`` for
            a target of several columns; NaN where a fold member failed.
        failed: strengths with a failed fold member, ``(S,)``.
    """

    strengths: tuple[Strength, ...]
    stack: StackedMLP
    predictions: Float[Tensor, "strengths n"] | Float[Tensor, "strengths n m"]
    failed: Bool[Tensor, " strengths"]

    @property
    def members_per_strength(self) -> int:
        """F."""
        return self.stack.num_members // len(self.strengths)

    def ensemble(self, position: int) -> StackedMLP:
        """The fold members of one strength."""
        return self.select([position]).stack

    def select(self, positions: list[int]) -> CrossValidation:
        """Some of the strengths, in the given order."""
        count = self.members_per_strength
        return CrossValidation(
            strengths=tuple(self.strengths[p] for p in positions),
            stack=self.stack.select([p * count + fold for p in positions for fold in range(count)]),
            predictions=self.predictions[positions],
            failed=self.failed[positions],
        )

    def joined(self, other: CrossValidation) -> CrossValidation:
        """These strengths followed by another run's, on the same folds."""
        return CrossValidation(
            strengths=self.strengths + other.strengths,
            stack=StackedMLP.concatenate([self.stack, other.stack]),
            predictions=torch.cat([self.predictions, other.predictions]),
            failed=torch.cat([self.failed, other.failed]),
        )


def cross_validate(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"] | Float[Tensor, "n m"],
    plan: FoldPlan,
    strengths: Sequence[Strength],
    config: TrainingConfig,
    *,
    initial: StackedMLP | None = None,
    progress: Progress | None = None,
) -> CrossValidation:
    """Train every strength on every fold.

    Args:
        x: inputs in network coordinates.
        y: target in standard deviations, ``(n,)`` or ``(n, m)``.
        plan: the folds.
        strengths: the grid.
        config: the recipe.
        initial: F networks that every strength starts from, instead of weights drawn by the plan's seeds.
        progress: called with the share of the work done.
    """
    num_folds, num_strengths = len(plan.seeds), len(strengths)
    result = train(
        Members(
            x=x,
            y=y,
            train_rows=plan.train_rows.repeat(num_strengths, 1),
            stop_rows=plan.stop_rows.repeat(num_strengths, 1),
            strengths=[strength for strength in strengths for _ in range(num_folds)],
            seeds=list(plan.seeds) * num_strengths,
        ),
        config,
        initial=None if initial is None else StackedMLP.concatenate([initial] * num_strengths),
        progress=progress,
    )
    outputs = result.stack.forward(x[None].double()).movedim(-1, 0)
    outputs = outputs.reshape(-1, num_strengths, num_folds, len(x))
    outputs = torch.where(result.failed.view(num_strengths, num_folds, 1), torch.nan, outputs)
    predictions = out_of_fold(outputs, plan.held_out)
    return CrossValidation(
        strengths=tuple(strengths),
        stack=result.stack,
        predictions=predictions[0] if y.ndim == 1 else predictions.movedim(0, -1),
        failed=result.failed.view(num_strengths, num_folds).any(1),
    )


def out_of_fold(
    outputs: Float[Tensor, "*strengths folds n"], held_out: Bool[Tensor, "folds n"]
) -> Float[Tensor, "*strengths n"]:
    """Mean over those members that never saw the row."""
    return torch.where(held_out, outputs, 0.0).sum(-2) / held_out.sum(0)


def linear_out_of_fold(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n *m"], held_out: Bool[Tensor, "folds n"]
) -> Float[Tensor, "n *m"]:
    """Least squares with an intercept, fitted anew to the training rows of every fold.

    Args:
        x: inputs, any units.
        y: target, any units, ``(n,)`` or ``(n, m)``.
        held_out: the rows each fold predicts; every row at least once.

    Returns:
        The mean of the predictions by those fits that never saw the row, float64, in units and shape of y.
    """
    if y.ndim == 2:
        return torch.stack([linear_out_of_fold(x, column, held_out) for column in y.unbind(1)], 1)
    return out_of_fold(torch.stack([fit_linear(x[~out], y[~out]).predict(x) for out in held_out]), held_out)

"""What a model is judged on: rows it never saw, what it and a plane predict for them, its training data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surrogate_opt.data import fit_linear, make_folds, nearest_distance, neighbour_pairs
from surrogate_opt.diagnostics import evaluate_values, evaluate_values_and_gradients
from surrogate_opt.errors import InputError
from surrogate_opt.surrogate import Surrogate
from surrogate_opt.training.crossvalidation import NUM_FOLDS, linear_out_of_fold
from surrogate_opt.types import Differentiable

NUM_NEIGHBOURS = 3
"""Neighbours of each row that it is paired with: more add pairs that lie farther apart and share rows."""

_SEEN = 1e-9  # share of the box's diagonal: a hold-out row this near to a training row is that row


@dataclass(frozen=True, kw_only=True, eq=False)
class PairedGradients:
    """Neighbouring rows that the model never saw, and its gradient halfway between them.

    Attributes:
        pairs: indices i < j into the rows, ``(pairs, 2)``.
        step: x_j - x_i, ``(pairs, d)``, raw units.
        gradient: at (x_i + x_j) / 2, of a model that saw neither row, ``(pairs, d)``, raw units.
    """

    pairs: Int[Tensor, "pairs 2"]
    step: Float[Tensor, "pairs d"]
    gradient: Float[Tensor, "pairs d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Evidence rows and what was predicted for them.

    Attributes:
        source: "out of fold" (the model's own record) or "hold-out" (rows that were given).
        target: ``(n,)``, raw units.
        predicted: by models that never saw the row, ``(n,)``.
        linear: least squares' predictions of the same rows, ``(n,)``.
        x: inputs where they are at hand, ``(k, d)``; k is 0 where a model file holds no data.
        y: their targets, ``(k,)``.
        pairs: neighbours among them; None without inputs.
        data: where the model has its data: its training inputs, or the given ones, ``(m, d)``.
        notes: what a reader has to know of these rows.
    """

    source: str
    target: Float[Tensor, " n"]
    predicted: Float[Tensor, " n"]
    linear: Float[Tensor, " n"]
    x: Float[Tensor, "k d"]
    y: Float[Tensor, " k"]
    pairs: PairedGradients | None
    data: Float[Tensor, "m d"]
    notes: tuple[str, ...] = field(default=())


def from_record(surrogate: Surrogate) -> HeldOut:
    """A surrogate's own out-of-fold record.

    Neighbours are looked for among the rows that one member never saw, so that its gradient is judged on
    pairs of which it knows neither row.
    """
    record = surrogate.record
    notes = [] if len(record.x) else ["the model file holds no data: no neighbour pairs, no distances"]
    if 0 < len(record.x) < len(record.target):
        notes.append(f"inputs of {len(record.x)} of the {len(record.target)} training rows are kept")
    return HeldOut(
        source="out of fold",
        target=record.target,
        predicted=record.out_of_fold,
        linear=record.linear_out_of_fold,
        x=record.x,
        y=record.target[record.rows],
        pairs=_pairs_of_members(surrogate) if len(record.x) else None,
        data=record.x,
        notes=tuple(notes),
    )


def _pairs_of_members(surrogate: Surrogate) -> PairedGradients:
    """Neighbours among each member's unseen rows, with that member's gradient."""
    record = surrogate.record
    holders = record.holders[:, record.rows]
    pairs, member = [torch.empty(0, 2, dtype=torch.int64)], [torch.empty(0, dtype=torch.int64)]
    for position in range(surrogate.num_members):
        unseen = (holders == position).any(0).nonzero()[:, 0]
        if len(unseen) < 2:
            continue
        found = unseen[neighbour_pairs(record.x[unseen], surrogate.bounds, NUM_NEIGHBOURS)]
        pairs.append(found)
        member.append(torch.full((len(found),), position))
    both, of = torch.cat(pairs), torch.cat(member)
    first, second = record.x[both[:, 0]], record.x[both[:, 1]]
    gradients = surrogate.members_value_and_gradient((first + second) / 2)[1]
    return PairedGradients(pairs=both, step=second - first, gradient=gradients[of, torch.arange(len(of))])


def from_rows(
    model: Differentiable,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    bounds: Float[Tensor, "2 d"],
    seed: int,
) -> HeldOut:
    """Rows that were given, taken as unseen by the model.

    A surrogate that kept its data is compared with a plane fitted to these; any other model with a plane
    that is fitted to the given rows, out of fold.

    Raises:
        InputError: the model's values are not finite at some row.
    """
    predicted = evaluate_values(model, x)
    if not bool(predicted.isfinite().all()):
        count = int((~predicted.isfinite()).sum())
        raise InputError(f"model: expected finite values at the rows of x; {count} of {len(x)} are not")
    data, notes = x, []
    if isinstance(model, Surrogate) and len(model.record.x):
        record = model.record
        data = record.x
        linear = fit_linear(record.x, record.target[record.rows]).predict(x)
        seen = float((nearest_distance(x, record.x, bounds) < _SEEN).double().mean())
        if seen > 0:
            notes.append(f"{seen:.0%} of the given rows are training rows: on these it is judged in-sample")
        notes += _outside_the_box(model, x)
    else:
        folds = make_folds(len(x), NUM_FOLDS, seed, x=x)
        linear = linear_out_of_fold(x, y, folds)
        notes.append("taken on trust that the model never saw the given rows")
    pairs = neighbour_pairs(x, bounds, NUM_NEIGHBOURS)
    first, second = x[pairs[:, 0]], x[pairs[:, 1]]
    gradient = second[:0] if not len(pairs) else evaluate_values_and_gradients(model, (first + second) / 2)[1]
    return HeldOut(
        source="hold-out",
        target=y,
        predicted=predicted,
        linear=linear,
        x=x,
        y=y,
        pairs=PairedGradients(pairs=pairs, step=second - first, gradient=gradient),
        data=data,
        notes=tuple(notes),
    )


def _outside_the_box(surrogate: Surrogate, x: Float[Tensor, "n d"]) -> list[str]:
    """Which inputs leave the box that the surrogate was made for: other units, or extrapolation."""
    lower, upper = surrogate.bounds
    slack = 1e-6 * (upper - lower)
    outside = (x < lower - slack) | (x > upper + slack)
    count = int(outside.any(1).sum())
    if not count:
        return []
    columns = outside.any(0).nonzero()[:, 0].tolist()
    least, most = x.amin(0), x.amax(0)
    names = ", ".join(
        f"{surrogate.feature_names[column]} ({float(least[column]):.4g} to {float(most[column]):.4g}, box "
        f"{float(lower[column]):.4g} to {float(upper[column]):.4g})"
        for column in columns
    )
    return [f"{count} of {len(x)} given rows lie outside the model's box: {names}"]


def check_together(x: Any, y: Any) -> None:
    """Refuse one of x and y without the other.

    Raises:
        InputError: exactly one was given.
    """
    if (x is None) != (y is None):
        missing = "y" if y is None else "x"
        raise InputError(f"{missing}: expected x and y together; {missing} is missing")

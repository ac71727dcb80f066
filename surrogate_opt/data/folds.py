"""Folds: which rows a member never sees, and which of its training rows decide when it stops."""

from __future__ import annotations

import heapq

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surrogate_opt.data.checks import check_count, check_seed
from surrogate_opt.errors import InputError

_FOLD_STREAM, _SLICE_STREAM = 1, 2


def make_folds(
    n: int, num_folds: int, seed: int, repeats: int = 1, *, x: Float[Tensor, "n d"] | None = None
) -> Bool[Tensor, "members n"]:
    """Split n rows into folds at random, the folds of one repeat after those of another.

    Args:
        n: how many rows.
        num_folds: folds in each repeat, at least 2.
        seed: what the split depends on.
        repeats: how many independent splits.
        x: where given, rows with equal inputs share a fold: repeated experiments would leak otherwise.

    Returns:
        True where a row is held out, ``(repeats * num_folds, n)``. In each repeat every row is held out once;
        sizes differ by at most one unless groups of equal rows do not allow it.

    Raises:
        InputError: fewer different rows than folds, or a count that is too small.
    """
    check_count("num_folds", num_folds, 2)
    check_count("repeats", repeats, 1)
    group = equal_row_groups(n, x)
    sizes = torch.bincount(group)
    if len(sizes) < num_folds:
        raise InputError(
            f"num_folds: expected at most {len(sizes)}, the number of different rows; came {num_folds}"
        )
    generator = _generator(seed, _FOLD_STREAM)
    held_out = torch.zeros(repeats, num_folds, n, dtype=torch.bool)
    for repeat in range(repeats):
        order = torch.randperm(len(sizes), generator=generator)
        order = order[torch.sort(sizes[order], descending=True, stable=True).indices]
        fold = torch.empty(len(sizes), dtype=torch.int64)
        smallest = [(0, k) for k in range(num_folds)]  # (rows so far, fold), a heap
        for member, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
            rows, fold[member] = smallest[0]
            heapq.heapreplace(smallest, (rows + size, int(fold[member])))
        held_out[repeat, fold[group], torch.arange(n)] = True
    return held_out.reshape(-1, n)


def thinned(rows: Float[Tensor, "n *rest"], most: int) -> Float[Tensor, "m *rest"]:
    """At most so many of the rows, evenly taken."""
    return rows[:: max(1, -(-len(rows) // most))]


def early_stopping_slices(
    held_out: Bool[Tensor, "members n"], share: float, seed: int, *, x: Float[Tensor, "n d"] | None = None
) -> Bool[Tensor, "members n"]:
    """Set part of each member's training rows aside to decide when its training stops.

    Args:
        held_out: ``make_folds``' answer, ``(members, n)``.
        share: of the training rows, in [0, 1); 0 sets none aside, any other at least one.
        seed: what the choice depends on; the same seed as the folds' gives an independent draw.
        x: where given, rows with equal inputs stay together, even if that takes some rows more.

    Returns:
        True where a row is set aside, ``(members, n)``; disjoint from ``held_out``.

    Raises:
        InputError: a share outside [0, 1), or nothing left to train on.
    """
    if not 0.0 <= share < 1.0:
        raise InputError(f"share: expected a number in [0, 1); came {share}")
    if held_out.ndim != 2 or held_out.dtype != torch.bool:
        raise InputError(
            f"held_out: expected booleans of shape (members, n); "
            f"came {held_out.dtype} of shape {tuple(held_out.shape)}"
        )
    group = equal_row_groups(held_out.shape[1], x)
    generator = _generator(seed, _SLICE_STREAM)
    aside = torch.zeros_like(held_out)
    if share == 0.0:
        return aside
    if bool(held_out.all(1).any()):
        raise InputError("held_out: expected training rows in every member; one holds every row out")
    for member, training in enumerate(~held_out):
        rank = torch.randperm(int(group.max()) + 1, generator=generator)[group]
        count = max(1, round(share * int(training.sum())))
        aside[member] = training & (rank <= rank[training].sort().values[count - 1])
        if torch.equal(aside[member], training):
            raise InputError(
                f"share: expected to leave rows to train on; {share} of member {member}'s leaves none"
            )
    return aside


def equal_row_groups(n: int, x: Float[Tensor, "n d"] | None) -> Int[Tensor, " n"]:
    """The number of each row's group of equal rows; every row its own where x is not given."""
    if x is None:
        return torch.arange(n)
    if x.ndim != 2 or len(x) != n:
        raise InputError(f"x: expected the shape ({n}, columns); came {tuple(x.shape)}")
    group: Tensor = torch.unique(x, dim=0, return_inverse=True)[1]
    return group


def _generator(seed: int, stream: int) -> torch.Generator:
    """A generator of its own for each use of one seed, so that folds and slices are independent."""
    check_seed(seed)
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))

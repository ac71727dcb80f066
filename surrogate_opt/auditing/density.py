"""Density of data: how much of the box lies farther from the data than the data lie from each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from surrogate_opt.data import nearest_distance

REACH_QUANTILE = 0.95
"""Of the data's own nearest distances: beyond it, a point is lonelier than nearly every row."""

NUM_SLICES = 10
SPARSE_SHARE = 0.1
"""A slice of a range counts as empty with less than this share of the rows that an even spread would give."""

MIN_GAP_SLICES = 2
FEW_VALUES = 8
"""With so few different values an input is a set of levels, and the gaps between them are no news."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The part of one input's range with the least data.

    Attributes:
        name: the input.
        lower: where the longest empty stretch begins, raw units.
        upper: where it ends.
        share_of_range: of the input's range in the box.
        share_of_data: of the rows that lie there.
    """

    name: str
    lower: float
    upper: float
    share_of_range: float
    share_of_data: float


@dataclass(frozen=True, kw_only=True)
class Density:
    """How the data fill the box. Distances are shares of the box's diagonal.

    Attributes:
        reach: 95% quantile of the distance from a row to its nearest different row.
        median_data: median of that distance.
        median_box: median distance from points spread evenly over the box to the nearest row.
        far_share: share of the box farther than ``reach`` from any row.
        num_rows: different rows.
        gaps: for inputs with one, the longest stretch of a fifth of the range or more that is nearly empty.
        levels: inputs that take few different values, with how many.
    """

    reach: float
    median_data: float
    median_box: float
    far_share: float
    num_rows: int
    gaps: tuple[Gap, ...]
    levels: tuple[tuple[str, int], ...]


def own_distances(x: Float[Tensor, "n d"], bounds: Float[Tensor, "2 d"]) -> Float[Tensor, " m"]:
    """From every different row to its nearest other, share of the box's diagonal; empty for one row."""
    unit = torch.unique((x.double() - bounds[0]) / (bounds[1] - bounds[0]), dim=0)
    if len(unit) < 2:
        return torch.empty(0, dtype=torch.float64)
    distance = np.asarray(cKDTree(unit.numpy()).query(unit.numpy(), k=2)[0], dtype=np.float64)[:, 1]
    return torch.from_numpy(distance) / math.sqrt(x.shape[1])


def reach_of(x: Float[Tensor, "n d"], bounds: Float[Tensor, "2 d"]) -> float:
    """The distance beyond which a point lies outside the data; 0 for a single row."""
    distance = own_distances(x, bounds)
    return float(distance.quantile(REACH_QUANTILE)) if len(distance) else 0.0


def measure_density(
    x: Float[Tensor, "n d"],
    bounds: Float[Tensor, "2 d"],
    points: Float[Tensor, "p d"],
    names: tuple[str, ...],
) -> Density | None:
    """How rows of data fill a box; None with fewer than two different rows.

    Args:
        x: the data, raw units.
        bounds: the box, every side longer than 0.
        points: spread evenly over the box.
        names: the inputs' names.
    """
    own = own_distances(x, bounds)
    if not len(own):
        return None
    reach = float(own.quantile(REACH_QUANTILE))
    box = nearest_distance(points, x, bounds)
    gaps, levels = [], []
    for column, name in enumerate(names):
        values = x[:, column]
        distinct = len(torch.unique(values))
        if distinct <= FEW_VALUES:
            levels.append((name, distinct))
        elif gap := _longest_gap(values, bounds[:, column], name):
            gaps.append(gap)
    return Density(
        reach=reach,
        median_data=float(own.median()),
        median_box=float(box.median()),
        far_share=float((box > reach).double().mean()),
        num_rows=len(own),
        gaps=tuple(gaps),
        levels=tuple(levels),
    )


def _longest_gap(values: Float[Tensor, " n"], limits: Float[Tensor, " 2"], name: str) -> Gap | None:
    """The longest run of nearly empty slices."""
    lower, upper = limits.tolist()
    counts, edges = np.histogram(values.numpy(), bins=NUM_SLICES, range=(lower, upper))
    empty = counts < SPARSE_SHARE * len(values) / NUM_SLICES
    best, start = (0, 0), 0
    for end in range(1, NUM_SLICES + 1):
        if not empty[end - 1]:
            start = end
        elif end - start > best[1] - best[0]:
            best = (start, end)
    if best[1] - best[0] < MIN_GAP_SLICES:
        return None
    return Gap(
        name=name,
        lower=float(edges[best[0]]),
        upper=float(edges[best[1]]),
        share_of_range=(best[1] - best[0]) / NUM_SLICES,
        share_of_data=float(counts[best[0] : best[1]].sum()) / len(values),
    )

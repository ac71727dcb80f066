"""Distances to data in the unit box, and pairs of rows that are near each other."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from surrogate_opt.data.checks import check_count
from surrogate_opt.data.folds import equal_row_groups
from surrogate_opt.errors import InputError


def nearest_distance(
    query: Float[Tensor, "*batch d"], data: Float[Tensor, "n d"], bounds: Float[Tensor, "2 d"]
) -> Float[Tensor, "*batch"]:
    """Distance of each point to the nearest row of data, as a share of the box's diagonal.

    That is the Euclidean distance in unit-box units divided by sqrt(d).

    Args:
        query: points, ``(*batch, d)``, raw units.
        data: rows, ``(n, d)``, n at least 1.
        bounds: the box, ``(2, d)``.

    Raises:
        InputError: no data, or points that are not finite.
    """
    if len(data) == 0:
        raise InputError("data: expected at least one row; came none")
    if not bool(torch.isfinite(query).all()):
        raise InputError("query: expected finite points; came nan or inf")
    tree = cKDTree(_unit_box(data, bounds).numpy())
    distance = np.asarray(tree.query(_unit_box(query, bounds).numpy(), k=1)[0], dtype=np.float64)
    return torch.from_numpy(distance.reshape(query.shape[:-1])) / math.sqrt(query.shape[-1])


def neighbour_pairs(
    x: Float[Tensor, "n d"], bounds: Float[Tensor, "2 d"], num_neighbours: int
) -> Int[Tensor, "pairs 2"]:
    """Pairs of rows that are near each other: each row with its nearest others, by distance in the unit box.

    Rows with equal inputs are no neighbours, since no direction joins them; as somebody else's neighbour such
    a group counts once, by its first row.

    Args:
        x: rows, ``(n, d)``, raw units.
        bounds: the box, ``(2, d)``.
        num_neighbours: neighbours per row, at least 1; fewer where there are no more different rows.

    Returns:
        Indices (i, j) with i < j, each pair once, sorted, ``(pairs, 2)``.
    """
    check_count("num_neighbours", num_neighbours, 1)
    points = _unit_box(x, bounds)
    group = equal_row_groups(len(x), points)
    num_groups = int(group.max()) + 1
    rows = torch.arange(len(x))
    first = torch.full((num_groups,), len(x)).scatter_reduce(0, group, rows, "amin")
    nearest = range(2, 2 + min(num_neighbours, num_groups - 1))  # the nearest of all is the row itself
    if not nearest:
        return torch.empty(0, 2, dtype=torch.int64)
    places = points[first].numpy()
    near = torch.from_numpy(np.asarray(cKDTree(places).query(places, k=list(nearest))[1], dtype=np.int64))
    neighbours = first[near[group]]
    pairs = torch.stack([rows[:, None].expand_as(neighbours), neighbours], dim=-1).reshape(-1, 2)
    unique: Tensor = torch.unique(pairs.sort(dim=-1).values, dim=0)
    return unique


def _unit_box(x: Float[Tensor, "*batch d"], bounds: Float[Tensor, "2 d"]) -> Float[Tensor, "*batch d"]:
    """Scaled to [0, 1]^d in float64, on the CPU."""
    box = bounds.detach().double().cpu()
    return (x.detach().double().cpu() - box[0]) / (box[1] - box[0])

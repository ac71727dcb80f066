"""Distances to data and neighbour pairs against brute force."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from surrogate_opt import data
from surrogate_opt.errors import InputError


def _uniform(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _brute_distance(query: Tensor, points: Tensor, bounds: Tensor) -> Tensor:
    gap = (query[..., None, :] - points) / (bounds[1] - bounds[0])
    return gap.square().mean(-1).sqrt().amin(-1)


@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nearest_distance_agrees_with_brute_force(batch: tuple[int, ...], dtype: torch.dtype) -> None:
    bounds = torch.tensor([[-3.0, 0.0], [5.0, 1e-3]], dtype=torch.float64)
    points = torch.lerp(bounds[0], bounds[1], _uniform(40, 2))
    query = (
        torch.lerp(bounds[0], bounds[1], _uniform(math.prod(batch), 2, seed=1)).reshape(*batch, 2).to(dtype)
    )
    distance = data.nearest_distance(query, points, bounds)
    assert distance.shape == batch
    assert distance.dtype == torch.float64
    torch.testing.assert_close(
        distance, _brute_distance(query.double(), points, bounds), rtol=1e-9, atol=1e-12
    )


def test_nearest_distance_at_data_and_across_the_box() -> None:
    bounds = torch.tensor([[0.0] * 4, [10.0] * 4], dtype=torch.float64)
    corner = bounds[:1]
    assert data.nearest_distance(corner, corner, bounds).tolist() == [0.0]
    assert data.nearest_distance(bounds[1:], corner, bounds).tolist() == [1.0]


def test_nearest_distance_refuses() -> None:
    bounds = torch.tensor([[0.0], [1.0]])
    with pytest.raises(InputError, match="data"):
        data.nearest_distance(torch.zeros(1, 1), torch.zeros(0, 1), bounds)
    with pytest.raises(InputError, match="query"):
        data.nearest_distance(torch.tensor([[math.nan]]), torch.zeros(1, 1), bounds)


@pytest.mark.parametrize("num_neighbours", [1, 3, 100])
def test_neighbour_pairs_agree_with_brute_force(num_neighbours: int) -> None:
    bounds = torch.tensor([[0.0, 0.0], [1.0, 100.0]], dtype=torch.float64)
    x = _uniform(25, 2) * bounds[1]
    distance = torch.cdist(x / bounds[1], x / bounds[1]).fill_diagonal_(math.inf)
    expected = set()
    for i, row in enumerate(distance):
        for j in row.argsort()[: min(num_neighbours, 24)].tolist():
            expected.add((min(i, j), max(i, j)))
    assert data.neighbour_pairs(x, bounds, num_neighbours).tolist() == [list(p) for p in sorted(expected)]


def test_equal_rows_are_no_neighbours() -> None:
    bounds = torch.tensor([[0.0], [1.0]])
    x = torch.tensor([[0.5], [0.5], [0.9], [0.5]])
    assert data.neighbour_pairs(x, bounds, 2).tolist() == [[0, 2], [1, 2], [2, 3]]
    assert data.neighbour_pairs(x[:2], bounds, 2).shape == (0, 2)
    with pytest.raises(InputError, match="num_neighbours"):
        data.neighbour_pairs(x, bounds, 0)

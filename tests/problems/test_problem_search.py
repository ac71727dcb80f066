"""The search for optima: known minima, faces and corners, and where a sum of sines is lowest."""

from __future__ import annotations

import math

import pytest
import torch
from surrogate_problems.search import minimize_in_box, polish, sobol_points
from surrogate_problems.sine_optimum import grid_minima, point_at_bound

BOX = torch.tensor([[-1.0, 10.0, -2000.0], [2.0, 10.5, 1000.0]], dtype=torch.float64)


def quadratic(center):
    scale = torch.tensor([1.0, 30.0, 1e-3], dtype=torch.float64)

    def value_and_gradient(x):
        z = (x - center) * scale
        return z.square().sum(-1), 2.0 * z * scale

    return value_and_gradient


@pytest.mark.parametrize(
    "center",
    [[0.3, 10.1, -500.0], [-1.0, 10.5, 1000.0], [5.0, 10.2, 0.0], [-9.0, 99.0, 9999.0]],
    ids=["interior", "corner", "beyond a face", "beyond a corner"],
)
def test_quadratic_in_any_units(center):
    center = torch.tensor(center, dtype=torch.float64)
    expected = center.clamp(BOX[0], BOX[1])
    x, value = minimize_in_box(quadratic(center), BOX, num_samples=256, num_starts=16, num_steps=50)
    torch.testing.assert_close((x - expected) / (BOX[1] - BOX[0]), torch.zeros_like(x), rtol=0, atol=1e-6)
    assert value == pytest.approx(quadratic(center)(expected[None])[0].item(), abs=1e-9)
    assert bool(((x >= BOX[0]) & (x <= BOX[1])).all())


def rastrigin(x):
    phase = 2.0 * math.pi * x
    value = (x.square() - 10.0 * torch.cos(phase) + 10.0).sum(-1)
    return value, 2.0 * x + 20.0 * math.pi * torch.sin(phase)


def test_many_local_minima():
    """Rastrigin in 8 dimensions has 10^8 local minima in this box; the lowest is 0, off the centre."""
    shift = torch.linspace(-1.7, 2.1, 8, dtype=torch.float64)
    box = torch.tensor([[-5.0] * 8, [5.0] * 8], dtype=torch.float64)
    x, value = minimize_in_box(lambda z: rastrigin(z - shift), box)
    assert value == pytest.approx(0.0, abs=1e-9)
    torch.testing.assert_close(x, shift, rtol=0, atol=1e-6)


def test_search_is_deterministic():
    box = torch.tensor([[-5.0] * 3, [5.0] * 3], dtype=torch.float64)
    first, again = (minimize_in_box(rastrigin, box, num_samples=128, num_starts=8) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert first[1] == again[1]


def test_values_that_are_not_numbers_are_passed_over():
    def value_and_gradient(x):
        value = torch.where(x[:, 0] < 0.0, math.nan, (x - 0.25).square().sum(-1))
        return value, torch.where(x[:, :1] < 0.0, math.nan, 2.0 * (x - 0.25))

    box = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    x, value = minimize_in_box(value_and_gradient, box, num_samples=256, num_starts=32)
    assert value == pytest.approx(0.0, abs=1e-12)
    torch.testing.assert_close(x, torch.full((2,), 0.25, dtype=torch.float64), rtol=0, atol=1e-6)


def test_polish_keeps_a_start_it_cannot_improve():
    start = torch.zeros(1, 2, dtype=torch.float64)
    box = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    x, value = polish(lambda z: (z.abs().sum(-1), z.sign()), box, start)
    assert torch.equal(x, start[0])
    assert value == 0.0


def test_sobol_points_are_repeatable():
    assert torch.equal(sobol_points(16, 3, seed=1), sobol_points(16, 3, seed=1))
    assert not torch.equal(sobol_points(16, 3, seed=1), sobol_points(16, 3, seed=2))
    assert sobol_points(16, 3, seed=1).dtype == torch.float64


# Sums of sines


def test_bound_is_reached_by_the_least_norm_solution():
    frequencies = torch.tensor([[4.0, 0.0, 0.0], [0.0, -3.0, 0.0]], dtype=torch.float64)
    x = point_at_bound(frequencies)
    assert x is not None
    torch.testing.assert_close(torch.sin(frequencies @ x), -torch.ones(2, dtype=torch.float64))


def test_bound_is_reached_by_the_linear_program_only():
    """The least-norm solution leaves the box in x_1; leaning more on x_2 stays inside."""
    frequencies = torch.tensor([[1.3, 0.3]], dtype=torch.float64)
    least_norm = torch.linalg.pinv(frequencies) @ torch.full((1,), -math.pi / 2, dtype=torch.float64)
    assert least_norm.abs().max().item() > 1.0
    x = point_at_bound(frequencies)
    assert x is not None
    assert x.abs().max().item() <= 1.0
    assert torch.sin(frequencies @ x).item() == pytest.approx(-1.0, abs=1e-15)


@pytest.mark.parametrize(
    "frequencies",
    [
        [[1.5, 0.0]],  # |w.x| <= 1.5 < pi/2
        [[3.0, 0.0], [-3.0, 0.1]],  # one phase within reach each; their sum wants 0.1 x_2 = -pi
        [[2.0], [3.0]],
    ],
    ids=["too slow", "in each other's way", "more sines than inputs"],
)
def test_bound_is_out_of_reach(frequencies):
    assert point_at_bound(torch.tensor(frequencies, dtype=torch.float64)) is None


@pytest.mark.parametrize("num_inputs", [1, 2, 3])
def test_grid_leads_to_the_minimum(num_inputs):
    generator = torch.Generator().manual_seed(num_inputs)
    frequencies = 4.0 * torch.randn(5, num_inputs, generator=generator, dtype=torch.float64)
    box = torch.tensor([[-1.0] * num_inputs, [1.0] * num_inputs], dtype=torch.float64)

    def value_and_gradient(x):
        phase = x @ frequencies.T
        return torch.sin(phase).sum(-1), torch.cos(phase) @ frequencies

    starts = grid_minima(frequencies)
    assert starts is not None
    assert len(starts) >= 1
    _, by_grid = polish(value_and_gradient, box, starts)
    _, by_search = minimize_in_box(value_and_gradient, box)
    assert by_grid == pytest.approx(by_search, abs=1e-9)


def test_grid_knows_its_limits():
    assert grid_minima(torch.ones(5, 4, dtype=torch.float64)) is None
    assert grid_minima(torch.full((5, 2), 1e3, dtype=torch.float64)) is None

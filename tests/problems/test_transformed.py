"""Instances of BoTorch's functions: optimum kept, gradients right, each seed another function."""

from __future__ import annotations

import pytest
import torch
from botorch.utils.testing import (
    BaseTestProblemTestCaseMixIn,
    BotorchTestCase,
    SyntheticTestFunctionTestCaseMixin,
)
from surrogate_problems.botorch_functions import BotorchFunction
from surrogate_problems.problem import ProblemError
from surrogate_problems.search import minimize_in_box, polish
from surrogate_problems.transformed import ROTATED, TransformedFunction

STUDIED = {
    "branin": 2,
    "hartmann": 6,
    "levy": 10,
    "ackley": 10,
    "rosenbrock": 10,
    "styblinski_tang": 10,
    "rastrigin": 5,
    "michalewicz": 5,
    "griewank": 6,
    "egg_holder": 2,
}
EACH = pytest.mark.parametrize(("name", "dim"), STUDIED.items(), ids=STUDIED)
CROPPED = pytest.mark.parametrize(
    ("name", "dim"), [(name, dim) for name, dim in STUDIED.items() if name not in ROTATED]
)


class TestBotorchContract(BotorchTestCase, BaseTestProblemTestCaseMixIn, SyntheticTestFunctionTestCaseMixin):
    functions = [  # noqa: RUF012  # BoTorch's mixin wants a plain list
        *(TransformedFunction(name, dim, seed=3) for name, dim in STUDIED.items()),
        TransformedFunction("ackley", 3, negate=True, noise_std=0.1),
    ]


@EACH
def test_no_search_falls_below_the_optimum(name, dim):
    problem = TransformedFunction(name, dim, seed=100)
    reach = 1e-9 * problem.output_std
    values = problem.value(problem.optimizers)
    assert values.max().item() == pytest.approx(problem.optimal_value, abs=reach)
    # An eighth of the usual effort, and a polish from the minimizers themselves.
    _, found = minimize_in_box(
        problem._value_and_gradient,
        problem._exact_bounds,
        num_samples=1024,
        num_starts=32,
        num_steps=100,
        num_polished=8,
    )
    _, polished = polish(problem._value_and_gradient, problem._exact_bounds, problem.optimizers)
    assert min(found, polished) >= problem.optimal_value - reach


@pytest.mark.parametrize(("name", "dim"), [("branin", 2), ("hartmann", 6), ("egg_holder", 2), ("levy", 3)])
def test_a_search_finds_the_optimum(name, dim):
    problem = TransformedFunction(name, dim, seed=7)
    x, found = minimize_in_box(problem._value_and_gradient, problem._exact_bounds)
    assert found == pytest.approx(problem.optimal_value, abs=1e-8 * problem.output_std)
    lower, upper = problem._exact_bounds
    distance = ((x - problem.optimizers) / (upper - lower)).norm(dim=1)
    assert distance.min() < 1e-3


@EACH
def test_values_are_the_published_ones_elsewhere(name, dim):
    problem, published = TransformedFunction(name, dim, seed=1), BotorchFunction(name, dim)
    assert torch.equal(problem.bounds, published.bounds)
    x, y = problem.sample(64, seed=2)
    assert torch.equal(y, published.value(problem.to_published(x)))
    assert not torch.allclose(y, published.value(x))
    problem.value(x.float())
    assert torch.equal(problem.value(x), y), "evaluation in float32 leaves the float64 function alone"


@EACH
def test_gradients_agree_with_central_differences(name, dim):
    problem = TransformedFunction(name, dim, seed=4)
    x, _ = problem.sample(20, seed=5)
    width = problem.bounds[1] - problem.bounds[0]
    step = 1e-6 * width
    shifted = torch.diag_embed(step)
    rise = problem.value(x[:, None] + shifted) - problem.value(x[:, None] - shifted)
    value, gradient = problem.value_and_gradient(x)
    assert torch.equal(value, problem.value(x))
    largest = gradient.abs().max().item()
    torch.testing.assert_close(gradient, rise / (2.0 * step), rtol=1e-5, atol=1e-6 * largest)


@EACH
def test_a_seed_is_an_instance(name, dim):
    x, y = TransformedFunction(name, dim, seed=11).sample(40, seed=0)
    assert torch.equal(y, TransformedFunction(name, dim, seed=11).value(x))
    others = [TransformedFunction(name, dim, seed=seed).value(x) for seed in range(12, 20)]
    assert all(not torch.allclose(y, other) for other in others)


@EACH
def test_the_minimizer_lies_in_the_box_and_off_its_center(name, dim):
    places = []
    for seed in range(100, 110):
        problem = TransformedFunction(name, dim, seed=seed)
        lower, upper = problem.bounds
        centered = (2.0 * problem.optimizers - lower - upper) / (upper - lower)
        assert (centered.abs() <= 1.0).all()
        assert (centered.abs().amax(dim=1) >= 0.1).all()
        if name != "egg_holder":  # its minimum is on the wall
            assert (centered[0].abs() < 1.0 - 1e-9).all()
        places.append(centered[0])
    assert torch.pdist(torch.stack(places)).min() > 1e-3


def test_rotation_keeps_distances_and_sets_the_place_of_every_input():
    problem = TransformedFunction("ackley", 6, seed=2)
    x, _ = problem.sample(30, seed=1)
    torch.testing.assert_close(torch.pdist(problem.to_published(x)), torch.pdist(x))
    half_width = problem.bounds[1, 0].item()
    place = problem.optimizers[0].abs() / half_width
    assert ((place >= 0.2 - 1e-12) & (place <= 0.7 + 1e-12)).all()


@pytest.mark.parametrize("name", ROTATED)
def test_a_rotated_function_is_nowhere_below_its_minimum_far_outside_its_box(name):
    published = BotorchFunction(name, 4)
    generator = torch.Generator().manual_seed(0)
    spread = published.bounds[1].max() * torch.tensor([0.01, 0.1, 1.0, 10.0])
    x = torch.randn(4, 20_000, 4, generator=generator, dtype=torch.float64) * spread[:, None, None]
    assert published.value(x).min() >= published.optimal_value - 1e-9


@CROPPED
def test_a_cropped_box_is_a_part_of_the_published_one(name, dim):
    for seed in range(5):
        problem = TransformedFunction(name, dim, seed=seed)
        lower, upper = problem._exact_bounds
        corners = torch.stack([lower, upper])
        mapped = problem.to_published(corners)
        part, whole = mapped.sort(dim=0).values, corners
        tolerance = 1e-12 * (upper - lower)
        assert (part[0] >= whole[0] - tolerance).all()
        assert (part[1] <= whole[1] + tolerance).all()
        torch.testing.assert_close(part[1] - part[0], 0.9 * (whole[1] - whole[0]))


@CROPPED
def test_a_cropped_function_keeps_the_range(name, dim):
    published = BotorchFunction(name, dim)
    for seed in range(5):
        problem = TransformedFunction(name, dim, seed=seed)
        assert 0.4 < problem.output_std / published.output_std < 1.5
        assert problem.optimal_value == published.optimal_value


def test_all_minimizers_in_the_box_are_kept():
    # Branin has three; the crop may cut two of them off.
    counts = {len(TransformedFunction("branin", seed=seed).optimizers) for seed in range(30)}
    assert max(counts) == 3
    assert min(counts) >= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("nonsense", 2, 0), "name"), (("branin", 3, 0), "dim"), (("branin", 2, -1), "seed")],
)
def test_what_does_not_fit_is_named(arguments, words):
    with pytest.raises(ProblemError, match=words):
        TransformedFunction(*arguments)

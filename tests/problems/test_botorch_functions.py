"""BoTorch's functions as problems: same values, published optima met or undercut by rounding only."""

from __future__ import annotations

import pytest
import torch
from botorch.test_functions import synthetic
from botorch.utils.testing import (
    BaseTestProblemTestCaseMixIn,
    BotorchTestCase,
    SyntheticTestFunctionTestCaseMixin,
)
from scipy.optimize import differential_evolution
from surrogate_problems.botorch_functions import (
    BOTORCH_FUNCTIONS,
    BotorchFunction,
    autograd_value_and_gradient,
)

from surrogate_opt.types import Differentiable

EACH_NAME = pytest.mark.parametrize("name", BOTORCH_FUNCTIONS)


class TestBotorchContract(BotorchTestCase, BaseTestProblemTestCaseMixIn, SyntheticTestFunctionTestCaseMixin):
    functions = [  # noqa: RUF012  # BoTorch's mixin wants a plain list
        *(BotorchFunction(name) for name in BOTORCH_FUNCTIONS),
        BotorchFunction("hartmann", 3, negate=True, noise_std=0.1),
    ]


@EACH_NAME
def test_values_are_botorchs(name):
    problem, original = BotorchFunction(name), BOTORCH_FUNCTIONS[name]()
    assert torch.equal(problem.bounds, original.bounds)
    x, y = problem.sample(50, seed=1)
    sign = 1.0 if original.is_minimization_problem else -1.0
    assert torch.equal(y, sign * original(x))
    single = problem.value(x.float())
    assert single.dtype == torch.float32
    assert torch.equal(problem.value(x), y)  # evaluation in float32 left the float64 function alone


@EACH_NAME
def test_optimum_matches_the_published_one(name):
    problem, original = BotorchFunction(name), BOTORCH_FUNCTIONS[name]()
    sign = 1.0 if original.is_minimization_problem else -1.0
    assert problem.optimal_value == pytest.approx(sign * original.optimal_value, rel=1e-4, abs=1e-6)
    values = problem.value(problem.sample(20_000, seed=2)[0])
    assert problem.optimal_value <= values.min().item() + 1e-12
    assert problem.optimum_source == "literature"


@pytest.mark.parametrize(("name", "dim", "count"), [("branin", 2, 3), ("holder_table", 2, 4)])
def test_all_minimizers_are_kept(name, dim, count):
    problem = BotorchFunction(name)
    assert problem.optimizers.shape == (count, dim)


@pytest.mark.parametrize(
    ("dim", "minimum"), [(5, -4.687658), (10, -9.66015)], ids=["michalewicz5", "michalewicz10"]
)
def test_search_finds_minima_published_without_a_minimizer(dim, minimum):
    problem = BotorchFunction("michalewicz", dim)
    assert problem.optimum_source == "search"
    assert problem.optimal_value == pytest.approx(minimum, abs=1e-5)
    assert problem.value(problem.optimizers)[0].item() == pytest.approx(problem.optimal_value, abs=1e-12)


def test_search_finds_a_minimum_botorch_does_not_know():
    problem = BotorchFunction("hartmann", 4)
    assert problem.optimum_source == "search"
    rival = differential_evolution(
        lambda x: problem.value(torch.from_numpy(x.T)).numpy(),
        [(0.0, 1.0)] * 4,
        rng=0,
        tol=1e-10,
        vectorized=True,
        updating="deferred",
    )
    assert problem.optimal_value == pytest.approx(rival.fun, abs=1e-9)


def test_maximization_is_turned_round():
    problem = BotorchFunction("cosine")
    assert problem.optimal_value == pytest.approx(-0.8)
    assert problem.is_minimization_problem
    assert problem.value(torch.zeros(8, dtype=torch.float64)).item() == pytest.approx(-0.8)


def test_gradient_of_rosenbrock_written_out():
    problem = BotorchFunction("rosenbrock", 2)
    x = problem.sample(30, seed=3)[0]
    a, b = x.T
    expected = torch.stack([-400.0 * a * (b - a**2) - 2.0 * (1.0 - a), 200.0 * (b - a**2)], dim=1)
    value, gradient = problem.value_and_gradient(x.reshape(5, 6, 2))
    torch.testing.assert_close(gradient, expected.reshape(5, 6, 2))
    assert value.shape == (5, 6)
    assert not value.requires_grad
    assert isinstance(problem, Differentiable)
    assert problem.gradient_source == "autograd"


def test_autograd_works_inside_no_grad():
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    with torch.no_grad():
        value, gradient = autograd_value_and_gradient(lambda z: z.square().sum(-1), x)
    assert torch.equal(value, torch.tensor([5.0, 10.0]))
    assert torch.equal(gradient, 2.0 * x)
    assert not x.requires_grad


def test_every_continuous_unconstrained_function_is_listed():
    found = {
        kind
        for kind in vars(synthetic).values()
        if isinstance(kind, type)
        and issubclass(kind, synthetic.SyntheticTestFunction)
        and not issubclass(kind, synthetic.ConstrainedBaseTestProblem)
        and kind is not synthetic.SyntheticTestFunction
    }
    left_out = {kind.__name__ for kind in found - set(BOTORCH_FUNCTIONS.values())}
    assert left_out <= {"AckleyMixed", "Labs", "TrajectoryPlanning"}  # discrete, discrete, no gradient

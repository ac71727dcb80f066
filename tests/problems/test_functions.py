"""The engineering functions against formulas written apart and published values; lookup by name."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from botorch.utils.testing import (
    BaseTestProblemTestCaseMixIn,
    BotorchTestCase,
    SyntheticTestFunctionTestCaseMixin,
)
from surrogate_problems.botorch_functions import BOTORCH_FUNCTIONS, BotorchFunction
from surrogate_problems.functions import (
    ENGINEERING_FUNCTIONS,
    Borehole,
    OTLCircuit,
    Piston,
    WingWeight,
    function_names,
    get_function,
)
from surrogate_problems.problem import ProblemError

from surrogate_opt.types import Differentiable

EACH_FUNCTION = pytest.mark.parametrize(
    "function", ENGINEERING_FUNCTIONS.values(), ids=ENGINEERING_FUNCTIONS.keys()
)


def borehole(row):
    rw, r, tu, hu, tl, hl, length, kw = row
    log_ratio = np.log(r / rw)
    inner = 1 + 2 * length * tu / (log_ratio * rw**2 * kw) + tu / tl
    return 2 * np.pi * tu * (hu - hl) / (log_ratio * inner)


def wing_weight(row):
    area, fuel, aspect, sweep, pressure, taper, thickness, load, gross, paint = row
    angle = sweep * np.pi / 180
    log_weight = (
        np.log(0.036)
        + 0.758 * np.log(area)
        + 0.0035 * np.log(fuel)
        + 0.6 * np.log(aspect / np.cos(angle) ** 2)
        + 0.006 * np.log(pressure)
        + 0.04 * np.log(taper)
        - 0.3 * np.log(100 * thickness / np.cos(angle))
        + 0.49 * np.log(load * gross)
    )
    return np.exp(log_weight) + area * paint


def piston(row):
    mass, surface, volume0, spring, pressure0, ambient, filling = row
    a = pressure0 * surface + 19.62 * mass - spring * volume0 / surface
    volume = (
        surface / (2 * spring) * (np.sqrt(a**2 + 4 * spring * pressure0 * volume0 / filling * ambient) - a)
    )
    stiffness = spring + surface**2 * pressure0 * volume0 / filling * ambient / volume**2
    return 2 * np.pi * np.sqrt(mass / stiffness)


def otl_circuit(row):
    rb1, rb2, rf, rc1, rc2, beta = row
    vb1 = 12 * rb2 / (rb1 + rb2)
    gain = beta * (rc2 + 9)
    first = (vb1 + 0.74) * gain / (gain + rf)
    second = 11.35 * rf / (gain + rf)
    third = 0.74 * rf * gain / ((gain + rf) * rc1)
    return first + second + third


WRITTEN_APART = {
    "borehole": borehole,
    "wing_weight": wing_weight,
    "piston": piston,
    "otl_circuit": otl_circuit,
}

# +1: the output rises with the input, -1: it falls, 0: neither.
DIRECTIONS = {
    "borehole": (1, -1, 1, 1, 1, -1, -1, 1),
    "wing_weight": (1, 1, 1, 0, 1, 1, -1, 1, 1, 1),
    "otl_circuit": (-1, 1, 1, -1, -1, -1),
}


class TestBotorchContract(BotorchTestCase, BaseTestProblemTestCaseMixIn, SyntheticTestFunctionTestCaseMixin):
    functions = [  # noqa: RUF012  # BoTorch's mixin wants a plain list
        *(get_function(name) for name in ENGINEERING_FUNCTIONS),
        *(get_function(name, negate=True, noise_std=0.05) for name in ENGINEERING_FUNCTIONS),
    ]


@pytest.mark.parametrize("name", ENGINEERING_FUNCTIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-4)])
def test_formula(name, dtype, tolerance):
    function = get_function(name)
    x, _ = function.sample(200, seed=1)
    corners = function.bounds[torch.randint(2, (50, function.dim)), torch.arange(function.dim)]
    x = torch.cat([x, corners])
    expected = torch.tensor([WRITTEN_APART[name](row) for row in x.numpy()])
    got = function.value(x.to(dtype))
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=0)


def test_published_wing_weight():
    """The unpainted baseline of Gramacy, Surrogates (2020): 233.9 lb, to more digits as spotoptim has it."""
    unit = torch.tensor([0.48, 0.4, 0.38, 0.5, 0.62, 0.344, 0.4, 0.37, 0.38, 0.0], dtype=torch.float64)
    wing = WingWeight()
    x = wing.bounds[0] + unit * (wing.bounds[1] - wing.bounds[0])
    x[-1] = 0.0
    assert wing.value(x).item() == pytest.approx(233.90840542, abs=1e-7)


@pytest.mark.parametrize(
    ("function", "mean", "std"),
    [(Borehole, 77.6, 45.5), (WingWeight, 268.1, 48.1), (Piston, 0.462, 0.139), (OTLCircuit, 5.44, 1.14)],
)
def test_moments_under_uniform_inputs(function, mean, std):
    _, y = function().sample(100_000, seed=2)
    assert y.mean().item() == pytest.approx(mean, rel=0.01)
    assert y.std().item() == pytest.approx(std, rel=0.02)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_directions(name):
    function = get_function(name)
    gradient = function.value_and_gradient(function.sample(5000, seed=3)[0])[1]
    for column, direction in zip(gradient.T, DIRECTIONS[name], strict=True):
        if direction:
            assert bool((direction * column > 0).all())
        else:
            assert bool((column > 0).any())
            assert bool((column < 0).any())


@EACH_FUNCTION
def test_optimum_is_lowest(function):
    """Against many samples, and every corner with each sweep of the wing at zero."""
    truth = function()
    lower, upper = truth.bounds
    values = truth.value(truth.sample(100_000, seed=4)[0])
    columns = [(low, high, 0.0) if low < 0 < high else (low, high) for low, high in truth.bounds.T.tolist()]
    corners = torch.tensor(list(itertools.product(*columns)), dtype=torch.float64)
    lowest = min(values.min().item(), truth.value(corners).min().item())
    assert truth.optimal_value <= lowest
    assert truth.optimal_value == pytest.approx(
        lowest, rel=1e-9
    )  # known here: a corner, or that with sweep 0
    assert truth.value(truth.optimizers)[0].item() == pytest.approx(truth.optimal_value, rel=1e-12)
    assert bool(((truth.optimizers >= lower) & (truth.optimizers <= upper)).all())


def test_sources_of_the_optimum():
    sources = {name: get_function(name).optimum_source for name in ENGINEERING_FUNCTIONS}
    assert sources.pop("piston") == "search"
    assert set(sources.values()) == {"closed form"}


@EACH_FUNCTION
def test_gradient_is_the_slope(function):
    truth = function()
    lower, upper = truth.bounds
    x = truth.sample(20, seed=5)[0].clamp(lower + 1e-3 * (upper - lower), upper - 1e-3 * (upper - lower))
    offsets = torch.diag(1e-5 * (upper - lower))
    rise = truth.value(x[:, None] + offsets) - truth.value(x[:, None] - offsets)
    value, gradient = truth.value_and_gradient(x)
    torch.testing.assert_close(
        gradient * (upper - lower) / truth.output_std, rise / 2e-5 / truth.output_std, rtol=0, atol=1e-6
    )
    torch.testing.assert_close(value, truth.value(x))
    assert not gradient.requires_grad


@EACH_FUNCTION
def test_names_bounds_and_protocol(function):
    truth = function()
    assert len(truth.input_names) == len(set(truth.input_names)) == truth.dim == truth.bounds.shape[1]
    assert truth.output_name not in truth.input_names
    assert bool((truth.bounds[0] < truth.bounds[1]).all())
    assert isinstance(truth, Differentiable)
    assert truth.gradient_source == "autograd"
    assert truth.value(truth.bounds.reshape(2, 1, -1)).shape == (2, 1)


def test_bounds_survive_float32():
    moved = Borehole().to(torch.float32).to(torch.float64)
    assert torch.equal(moved.sample(10)[0], Borehole().sample(10)[0])
    assert moved.optimal_value == Borehole().optimal_value


# Lookup by name


@pytest.mark.parametrize("name", [*function_names(), "hartmann3", "hartmann6", "ackley10", "rosenbrock10"])
def test_every_name_gives_a_problem(name):
    problem = get_function(name)
    x, y = problem.sample(16, noise_std=0.1, seed=0)
    assert x.shape == (16, problem.dim)
    assert bool(y.isfinite().all())
    assert len(problem.input_names) == problem.dim


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Wing-Weight", WingWeight),
        ("wingweight10", WingWeight),
        ("OTL_CIRCUIT", OTLCircuit),
        ("Borehole8", Borehole),
        ("Six Hump Camel", BotorchFunction),
    ],
)
def test_spelling_does_not_matter(name, expected):
    assert isinstance(get_function(name), expected)


@pytest.mark.parametrize(("name", "dim"), [("levy10", 10), ("hartmann3", 3), ("cosine8", 8), ("branin2", 2)])
def test_trailing_digits_are_the_dimension(name, dim):
    assert get_function(name).dim == dim


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("borehol", "name: expected one of borehole, .*three_hump_camel, got 'borehol'"),
        ("", "name: expected one of .* got ''"),
        ("10levy", "name: expected one of .* got '10levy'"),
        ("borehole7", "name: borehole has 8 inputs, got 'borehole7'"),
        ("branin3", "dim: branin has 2 inputs, got 3"),
        ("hartmann5", "dim: hartmann is not defined for 5 inputs"),
        ("powell6", "dim: powell needs at least 4 inputs in steps of 4, got 6"),
        ("rosenbrock1", "dim: rosenbrock needs at least 2 inputs"),
        ("ackley0", "dim: ackley needs at least 1 inputs"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(ProblemError, match=message):
        get_function(name)


def test_bad_name_of_an_adapter():
    with pytest.raises(ProblemError, match="name: expected one of ackley"):
        BotorchFunction("borehole")


def test_noise_is_in_output_standard_deviations():
    truth = get_function("borehole", noise_std=0.02)
    assert truth.noise_std == pytest.approx(0.02 * 45.5, rel=0.01)
    assert math.isclose(get_function("hartmann6").output_std, 0.39, rel_tol=0.05)
    assert set(BOTORCH_FUNCTIONS) < set(function_names())

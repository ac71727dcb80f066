"""The public minimize: every method, kind of model and argument, against known minima and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.test_functions import Branin
from loop_problems import BOX as TENSOR_BOX
from loop_problems import Bowl, Holed, Members, Rosenbrock, Waves, sobol
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.optimize import minimize as scipy_minimize

from surrogate_opt.adapters import value_and_gradient_for_scipy
from surrogate_opt.errors import InputError
from surrogate_opt.loops import (
    AdamConfig,
    DescentConfig,
    LBFGSBConfig,
    SLSQPConfig,
    lipschitz_step,
    minimize,
)

BOX = TENSOR_BOX.numpy()
METHODS = ["adam", "gradient_descent", "lbfgsb", "slsqp"]
BOWL = Bowl(torch.tensor([0.3, 5.0, -1.0]).double(), torch.tensor([1.0, 0.5, 2.0]).double())
EXPECTED = np.array([0.3, 2.0, 0.0])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_minimum_in_the_box(method):
    result = minimize(BOWL, BOX, method=method, starts=8)
    np.testing.assert_allclose(result.x, EXPECTED, atol=5e-3)
    assert isinstance(result.x, np.ndarray)
    assert isinstance(result.ends, np.ndarray)
    assert result.fun == pytest.approx(float(BOWL.value(torch.tensor(result.x))), rel=1e-12)
    assert result.fun == min(result.end_values)
    assert result.ends.shape == (8, 3)
    assert result.trajectories.x.shape[1:] == (8, 3)
    assert result.method == method
    assert result.feasible == (True,) * 8
    np.testing.assert_array_equal(result.bounds, BOX)


@pytest.mark.parametrize("method", ["lbfgsb", "slsqp"])
def test_rosenbrock_as_scipy_finds_it(method):
    bounds = torch.tensor([[-2.0] * 3, [2.0, 0.5, 2.0]]).double()
    result = minimize(Rosenbrock(), bounds.numpy(), method=method, starts=16)
    expected = min(
        (
            scipy_minimize(
                value_and_gradient_for_scipy(Rosenbrock()),
                start.numpy(),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds.T.numpy(),
                tol=1e-12,
            )
            for start in sobol(16, bounds)
        ),
        key=lambda run: run.fun,
    )
    np.testing.assert_allclose(result.x, expected.x, atol=1e-3)
    assert result.fun == pytest.approx(expected.fun, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_maximize_is_minimize_upside_down(method):
    class Hill(Waves):
        def function(self, x):
            return -BOWL.function(x)

    down, up = (
        minimize(BOWL, BOX, method=method, starts=4),
        minimize(Hill(), BOX, method=method, starts=4, maximize=True),
    )
    np.testing.assert_array_equal(up.ends, down.ends)
    np.testing.assert_array_equal(up.end_values, -down.end_values)
    np.testing.assert_array_equal(up.followed_values, down.followed_values)
    assert up.fun == -down.fun == max(up.end_values)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
@pytest.mark.parametrize("method", METHODS)
def test_units_of_the_output_do_not_matter(method, factor):
    result = minimize(Bowl(BOWL.centre, BOWL.curvature, factor), BOX, method=method, starts=4)
    np.testing.assert_allclose(result.x, EXPECTED, atol=5e-3)


def test_starts_come_from_the_seed():
    first, again, other = (minimize(Waves(), BOX, starts=4, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.trajectories.x, again.trajectories.x)
    assert not torch.equal(first.trajectories.start, other.trajectories.start)


def test_torch_in_torch_out_numpy_in_numpy_out():
    points = sobol(3)
    for bounds, starts, kind in [
        (TENSOR_BOX, 3, torch.Tensor),
        (BOX, points, torch.Tensor),
        (BOX.tolist(), points.numpy(), np.ndarray),
    ]:
        result = minimize(Waves(), bounds, starts=starts)
        arrays = (result.x, result.ends, result.end_values, result.bounds, result.candidates().x)
        assert all(isinstance(array, kind) for array in arrays)
        assert result.trajectories.x.dtype == torch.float64


def test_fixed_inputs_stay():
    result = minimize(BOWL, BOX, method="lbfgsb", starts=4, fixed={1: -0.5, 2: 4.0})
    np.testing.assert_allclose(result.x, [0.3, -0.5, 4.0], atol=1e-6)
    assert (result.ends[:, 1:] == [-0.5, 4.0]).all()
    np.testing.assert_array_equal(result.bounds, [[-1.0, -0.5, 4.0], [1.0, -0.5, 4.0]])


def test_constraints_and_the_best_feasible_point():
    ball = Bowl(torch.zeros(3).double(), torch.ones(3).double())
    constraint = LinearConstraint([1.0, 1.0, 1.0], 1.5, np.inf)
    result = minimize(ball, BOX, method="SLSQP", starts=6, constraints=constraint)
    np.testing.assert_allclose(result.x, [0.5] * 3, atol=1e-5)
    assert all(result.feasible)
    sphere = NonlinearConstraint(lambda x: ((x - 1) ** 2).sum(), -np.inf, 0.75)
    result = minimize(ball, BOX, method="slsqp", starts=6, constraints=[sphere])
    np.testing.assert_allclose(result.x, [0.5] * 3, atol=1e-5)


def test_without_a_feasible_point_the_one_that_breaks_least_is_best():
    ball = Bowl(torch.zeros(3).double(), torch.ones(3).double())
    never = LinearConstraint([1.0, 0.0, 0.0], 50, np.inf)
    result = minimize(ball, BOX, method="slsqp", starts=6, constraints=never)
    assert not any(result.feasible)
    assert result.x[0] == result.ends[:, 0].max()
    assert len(result.candidates().start) == 0
    assert set(result.statuses) == {"failed"}


def test_statuses():
    assert set(minimize(BOWL, BOX, method="lbfgsb", starts=4).statuses) == {"converged"}
    short = LBFGSBConfig(max_steps=2)
    assert set(minimize(Waves(), BOX, method="L-BFGS-B", starts=4, config=short).statuses) == {"max_steps"}
    holed = minimize(Holed(edge=0.2), BOX, starts=[[0.9, 0.1, 0.1], [-0.9, 0.0, 0.0]])
    assert holed.statuses == ("failed", "failed")
    assert np.isfinite(holed.fun)
    assert holed.x[0] >= 0.2


def test_a_model_that_is_nowhere_finite_fails_in_the_result():
    result = minimize(Holed(edge=9.0), BOX, starts=3)
    assert set(result.statuses) == {"failed"}
    assert np.isnan(result.fun)
    assert len(result.candidates().start) == 0


def test_candidates_are_distinct_and_sorted():
    result = minimize(Waves(), BOX, method="lbfgsb", starts=64)
    chosen = result.candidates(num=4, min_distance=0.1)
    unit = chosen.x / (BOX[1] - BOX[0])
    distance = np.sqrt(((unit[:, None] - unit[None]) ** 2).mean(-1)) + np.eye(len(unit))
    assert 1 < len(chosen.start) <= 4
    assert distance.min() >= 0.1
    assert (np.diff(chosen.value) >= 0).all()
    np.testing.assert_array_equal(chosen.x[0], result.x)
    np.testing.assert_array_equal(chosen.x, result.ends[list(chosen.start)])
    # Every end point that was passed over is near a better candidate, or came after the last one.
    for i, value in enumerate(result.end_values):
        near = np.sqrt((((result.ends[i] - chosen.x) / (BOX[1] - BOX[0])) ** 2).mean(-1))
        assert value >= chosen.value[-1] or near[chosen.value <= value].min() < 0.1
    assert len(result.candidates(num=100, min_distance=0.0).start) == 64
    up = minimize(Waves(), BOX, method="lbfgsb", starts=64, maximize=True).candidates()
    assert (np.diff(up.value) <= 0).all()


def test_pessimistic_guard_is_followed_in_both_senses():
    bounds = [[-1.0] * 3, [1.0] * 3]
    for sign in (1, -1):
        result = minimize(
            Members(), bounds, method="lbfgsb", starts=8, guard="pessimistic", maximize=sign == -1
        )
        values, _ = Members().members_value_and_gradient(torch.tensor(result.ends))
        std = values.std(0).numpy()
        mean = values.mean(0).numpy()
        np.testing.assert_allclose(result.end_values, mean, atol=1e-12)
        np.testing.assert_allclose(result.followed_values, sign * mean + std, atol=1e-12)
        assert result.fun == result.end_values[np.argmin(result.followed_values)]


def test_configs_reach_their_loop():
    assert len(minimize(BOWL, BOX, starts=2, config=AdamConfig(steps=7)).trajectories.x) == 8
    step = lipschitz_step(BOWL, BOX, scale=1.0)
    config = DescentConfig(step_size=step, steps=5)
    assert len(minimize(BOWL, BOX, method="gradient_descent", starts=2, config=config).trajectories.x) == 6
    config = SLSQPConfig(max_steps=3)
    assert len(minimize(BOWL, BOX, method="slsqp", starts=2, config=config).trajectories.x) == 4


def branin_data():
    problem = Branin()
    x = sobol(40, problem.bounds)
    return problem, x, problem(x).unsqueeze(-1)


def gaussian_process():
    problem, x, y = branin_data()
    return SingleTaskGP(x, y, input_transform=Normalize(2), outcome_transform=Standardize(1)), problem.bounds


def torch_module():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    return net, torch.tensor([[-2.0, -2.0], [2.0, 2.0]])


KINDS = {
    "gaussian process": gaussian_process,
    "torch module": torch_module,
    "test function": lambda: (Branin(), Branin().bounds),
    "torch callable": lambda: (lambda x: (x**2).sum(-1).cos(), torch.tensor([[-2.0, -1.0], [2.0, 3.0]])),
    "array callable": lambda: (lambda x: np.cos((x**2).sum(-1)), [[-2.0, -1.0], [2.0, 3.0]]),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_every_kind_of_model(make):
    model, bounds = make()
    result = minimize(model, np.asarray(bounds), method="lbfgsb", starts=8)
    lower, upper = np.asarray(bounds)
    assert ((result.ends >= lower) & (result.ends <= upper)).all()
    values = result.trajectories.value
    assert (values[-1] <= values[0]).all()
    assert (values[-1] < values[0]).any()
    assert "converged" in result.statuses


def test_the_models_own_bounds_are_the_default():
    result = minimize(Branin(), method="lbfgsb", starts=8)
    assert result.fun == pytest.approx(0.397887, abs=1e-5)
    assert isinstance(result.x, np.ndarray)


BAD = {
    "no bounds": ({"bounds": None}, "bounds: expected shape .* got none"),
    "a row of bounds": ({"bounds": [0.0, 1.0]}, r"bounds: expected shape \(2, d\), got \(2,\)"),
    "crossed bounds": ({"bounds": [[0.0, 2.0], [1.0, 1.0]]}, "lower <= upper, got 2 > 1 for input 1"),
    "infinite bounds": ({"bounds": [[0.0], [np.inf]]}, "bounds: expected finite limits"),
    "bounds of words": ({"bounds": "wide"}, "bounds: expected numbers"),
    "another method": ({"method": "newton"}, "method: expected one of adam"),
    "a method that is no word": ({"method": 3}, "method: expected one of adam"),
    "constraints without slsqp": (
        {"constraints": [LinearConstraint([1, 1, 1], 0, 1)]},
        "constraints: expected method 'slsqp' with constraints, got method 'adam'",
    ),
    "no starts": ({"starts": 0}, "starts: expected 1 or more"),
    "starts that are a flag": ({"starts": True}, "starts: expected"),
    "starts of words": ({"starts": "many"}, "starts: expected a number or points"),
    "one point": ({"starts": [0.0, 0.0, 0.0]}, "starts: expected a number or shape"),
    "starts of another dim": ({"starts": np.zeros((2, 4))}, "starts: expected shape"),
    "a start that is NaN": ({"starts": np.full((2, 3), np.nan)}, "starts: expected finite"),
    "another guard": ({"guard": "brave"}, "guard: expected 'pessimistic'"),
    "a guard without members": ({"guard": "pessimistic"}, "several members"),
    "an unknown input fixed": ({"fixed": {3: 0.0}}, "fixed: expected input numbers from 0 to 2, got 3"),
    "fixed outside": ({"fixed": {0: 7.0}}, "fixed: expected a value from -1 to 1 for input 0, got 7"),
    "fixed to NaN": ({"fixed": {0: np.nan}}, "fixed: expected a value"),
    "another method's config": ({"config": LBFGSBConfig()}, "config: expected AdamConfig"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named(change, message):
    arguments = {"bounds": BOX, "starts": 2, **change}
    with pytest.raises(InputError, match=message) as caught:
        minimize(Waves(), arguments.pop("bounds"), **arguments)
    assert "\n" not in str(caught.value)


def test_bounds_of_another_dim_than_the_models_own():
    with pytest.raises(InputError, match=r"bounds: expected shape \(2, 2\), got \(2, 3\)"):
        minimize(Branin(), BOX)


@pytest.mark.parametrize(
    ("settings", "name"), [({"num": 0}, "num"), ({"min_distance": -1.0}, "min_distance")]
)
def test_bad_candidates_are_named(settings, name):
    with pytest.raises(InputError, match=name):
        minimize(BOWL, BOX, starts=2).candidates(**settings)

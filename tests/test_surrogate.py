"""Surrogate: predictions and gradients in raw units, kinds and shapes of arrays, CV+ intervals, chunks."""

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogate_opt import surrogate as surrogate_module
from surrogate_opt.errors import InputError
from surrogate_opt.fitting import fit
from surrogate_opt.networks import ACTIVATIONS
from surrogate_opt.networks import stack as stack_module
from surrogate_opt.types import Differentiable, DifferentiableEnsemble

FUNCTIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
    "poly": lambda z: z + 0.1 * z**2,
}


def points_in(surrogate, *batch, seed=1):
    lower, upper = surrogate.bounds
    unit = torch.rand(*batch, len(lower), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return lower + unit * (upper - lower)


def by_hand(surrogate, member, x):
    """The member's prediction, scaling and network written out in differentiable torch."""
    lower, upper = surrogate.bounds
    stack = surrogate.stack
    h = (x - (lower + upper) / 2) / ((upper - lower) / 2)
    for layer in range(stack.num_layers):
        h = h @ stack.weights[layer][member] + stack.biases[layer][member, 0]
        if layer < stack.num_layers - 1:
            h = FUNCTIONS[stack.activation.name](h)
    return h[..., 0] * surrogate.record.target.std(correction=0) + surrogate.record.target.mean()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (6,), (6, 5, 4)])
def test_members_mean_and_gradient_agree_with_autograd(make_surrogate, activation, hidden):
    surrogate = make_surrogate(activation=activation, hidden=hidden)
    x = points_in(surrogate, 9)
    leaf = x.clone().requires_grad_()
    expected = torch.stack([by_hand(surrogate, member, leaf) for member in range(surrogate.num_members)])
    tolerance = {"rtol": 1e-7, "atol": 1e-7}  # the polynomial begins at 0.1 in single precision
    torch.testing.assert_close(surrogate.members(x), expected.detach(), **tolerance)
    mean, std = surrogate.predict(x)
    torch.testing.assert_close(mean, expected.mean(0).detach(), **tolerance)
    torch.testing.assert_close(std, expected.std(0).detach(), rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(expected.mean(0).sum(), leaf, retain_graph=True)
    torch.testing.assert_close(surrogate.gradient(x), gradient, **tolerance)
    values, gradients = surrogate.members_value_and_gradient(x)
    torch.testing.assert_close(values, surrogate.members(x))
    for member in (0, 7):
        (gradient,) = torch.autograd.grad(expected[member].sum(), leaf, retain_graph=True)
        torch.testing.assert_close(gradients[member], gradient, **tolerance)


def test_gradient_agrees_with_central_differences(make_surrogate):
    surrogate = make_surrogate()
    x = points_in(surrogate, 5)
    value, gradient = surrogate.value_and_gradient(x)
    torch.testing.assert_close(value, surrogate.value(x))
    for axis, width in enumerate((surrogate.bounds[1] - surrogate.bounds[0]).tolist()):
        step = torch.zeros(3).double()
        step[axis] = 1e-5 * width
        difference = (surrogate.value(x + step) - surrogate.value(x - step)) / (2e-5 * width)
        torch.testing.assert_close(gradient[:, axis], difference, rtol=1e-6, atol=1e-6 / width)


METHODS = {  # name: number of leading member axes and trailing input axes of each answer
    "members": [(1, 0)],
    "predict": [(0, 0), (0, 0)],
    "value": [(0, 0)],
    "gradient": [(0, 1)],
    "value_and_gradient": [(0, 0), (0, 1)],
    "members_value_and_gradient": [(1, 0), (1, 1)],
    "interval": [(0, 0), (0, 0)],
    "distance_to_data": [(0, 0)],
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("batch", [(), (1,), (4,), (0,), (2, 3), (2, 1, 3)])
@pytest.mark.filterwarnings("ignore:std:UserWarning")  # of no points at all
def test_shapes_and_kinds_of_arrays(make_surrogate, name, batch):
    surrogate = make_surrogate()
    x = points_in(surrogate, *batch)
    method = getattr(surrogate, name)
    answers, arrays = method(x), method(x.numpy())
    if len(METHODS[name]) == 1:
        answers, arrays = (answers,), (arrays,)
    flat = method(x.reshape(-1, 3))
    flat = flat if isinstance(flat, tuple) else (flat,)
    for (members, inputs), answer, array, rows in zip(METHODS[name], answers, arrays, flat, strict=True):
        assert isinstance(answer, torch.Tensor)
        assert isinstance(array, np.ndarray)
        assert answer.dtype == torch.float64
        assert not answer.requires_grad
        assert answer.shape == (surrogate.num_members,) * members + batch + (3,) * inputs
        np.testing.assert_array_equal(array, answer.numpy())
        torch.testing.assert_close(answer.reshape(rows.shape), rows)


def test_it_is_what_diagnostics_and_loops_ask_for(make_surrogate):
    surrogate = make_surrogate()
    assert isinstance(surrogate, Differentiable)
    assert isinstance(surrogate, DifferentiableEnsemble)
    assert surrogate.gradient_source == "analytic"
    assert "dreg" in repr(surrogate)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-1][:, ::-1],
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(np.float32),
        lambda a: np.ascontiguousarray(a),
    ],
    ids=["reversed", "twice reversed", "fortran", "float32", "read-only"],
)
def test_any_numpy_array_will_do(make_surrogate, view):
    surrogate = make_surrogate()
    x = view(points_in(surrogate, 4).numpy())
    x.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = surrogate.value(x)
    expected = surrogate.value(torch.tensor(np.array(x, dtype=np.float64)))
    np.testing.assert_array_equal(got, expected.numpy())


def test_what_comes_in_is_left_alone(make_surrogate):
    surrogate = make_surrogate()
    x = points_in(surrogate, 4).requires_grad_()
    before = x.detach().clone()
    surrogate.value_and_gradient(x)
    surrogate.interval(x)
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (4, 3, 4)])
def test_wrong_shapes_are_named(make_surrogate, shape):
    with pytest.raises(InputError, match=r"x: expected the shape \(\.\.\., 3\), got "):
        make_surrogate().value(np.zeros(shape))


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_wrong_levels_are_named(make_surrogate, level):
    surrogate = make_surrogate()
    with pytest.raises(InputError, match="level: expected a number between 0 and 1"):
        surrogate.interval(points_in(surrogate, 2), level)


def test_chunks_give_the_same_answers(make_surrogate, monkeypatch):
    surrogate = make_surrogate()
    x = points_in(surrogate, 100)
    methods = [*METHODS, "derivative_proxy", "members_derivative_proxy"]
    whole = {name: getattr(surrogate, name)(x) for name in methods}
    monkeypatch.setattr(stack_module, "_CACHED_NUMBERS", 1)
    monkeypatch.setattr(surrogate_module, "_CHUNK_NUMBERS", 7 * len(surrogate.record.target))
    assert len(surrogate.stack.chunks(x[None])) > 2
    for name in methods:
        torch.testing.assert_close(getattr(surrogate, name)(x), whole[name], rtol=1e-13, atol=1e-13)


def test_derivative_proxy_is_the_penalty_of_every_layer(make_surrogate):
    """Without a hidden layer it is the squared norm of the gradient in network coordinates."""
    surrogate = make_surrogate(hidden=())
    x = points_in(surrogate, 4)
    half_width = (surrogate.bounds[1] - surrogate.bounds[0]) / 2
    gradients = surrogate.members_value_and_gradient(x)[1] * half_width / surrogate.output_scale
    expected = gradients.square().sum(-1).mean(1)
    torch.testing.assert_close(surrogate.members_derivative_proxy(x), expected)
    torch.testing.assert_close(surrogate.derivative_proxy(x), expected.mean())


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)))
def test_rows_do_not_see_each_other(make_surrogate, order):
    surrogate = make_surrogate()
    x = points_in(surrogate, 6)
    torch.testing.assert_close(surrogate.gradient(x[list(order)]), surrogate.gradient(x)[list(order)])
    torch.testing.assert_close(
        torch.stack(surrogate.interval(x[list(order)])), torch.stack(surrogate.interval(x))[:, list(order)]
    )


def literal_cv_plus(surrogate, x, level):
    """Barber et al. 2021, Section 3, word by word: one row and one point after the other."""
    alpha, record = 1.0 - level, surrogate.record
    n = len(record.target)
    lower, upper = [], []
    for point in x:
        left, right = [], []
        for i in range(n):
            prediction = np.mean([float(surrogate.members(point)[k]) for k in record.holders[:, i].tolist()])
            residual = abs(float(record.target[i]) - float(record.out_of_fold[i]))
            left.append(prediction - residual)
            right.append(prediction + residual)
        # the floor(alpha (n + 1))-th and ceil((1 - alpha) (n + 1))-th smallest, infinite where there is none
        low, high = math.floor(alpha * (n + 1) + 1e-9), math.ceil((1.0 - alpha) * (n + 1) - 1e-9)
        low, high = min(low, n), max(high, 1)  # a level of nearly nothing
        lower.append(sorted(left)[low - 1] if low >= 1 else -math.inf)
        upper.append(sorted(right)[high - 1] if high <= n else math.inf)
    return torch.tensor(lower).double(), torch.tensor(upper).double()


@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("level", [1e-15, 0.05, 0.5, 0.7, 0.9, 0.97, 0.99])
def test_interval_agrees_with_the_paper_word_by_word(make_surrogate, repeats, level):
    surrogate = make_surrogate(repeats=repeats, n=37)
    x = points_in(surrogate, 4)
    lower, upper = surrogate.interval(x, level)
    expected = literal_cv_plus(surrogate, x, level)
    torch.testing.assert_close(lower, expected[0])
    torch.testing.assert_close(upper, expected[1])


@pytest.mark.parametrize(
    ("n", "level"), [(19, 0.95), (9, 0.7), (9, 0.9), (99, 0.55), (99, 0.07), (999, 0.999)]
)
def test_a_rank_that_is_a_whole_number_is_not_rounded_up(make_surrogate, n, level):
    surrogate = make_surrogate(n=n)
    x = points_in(surrogate, 3)
    expected = literal_cv_plus(surrogate, x[:1], level)
    lower, upper = surrogate.interval(x[:1], level)
    torch.testing.assert_close(lower, expected[0])
    torch.testing.assert_close(upper, expected[1])


def test_intervals_are_nested_and_do_not_depend_on_the_order_of_the_data(make_surrogate):
    surrogate = make_surrogate()
    x = points_in(surrogate, 6)
    ends = [torch.stack(surrogate.interval(x, level)) for level in (0.5, 0.8, 0.9, 0.999)]
    for inner, outer in pairwise(ends):
        assert (outer[0] <= inner[0]).all()
        assert (outer[1] >= inner[1]).all()
    assert torch.isinf(ends[-1]).all()
    assert (ends[-1][0] < ends[-1][1]).all()


def noisy_sine(n, seed):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1.0, 1.0, (n, 2))
    return x, np.sin(3.0 * x[:, 0]) + x[:, 1] ** 2 + 0.2 * generator.normal(size=n)


def test_interval_covers_new_measurements_about_as_often_as_it_says():
    shares = []
    for seed in range(3):
        surrogate = fit(
            *noisy_sine(200, seed), penalty="none", hidden=(16,), epochs=40, learning_rate=2e-2, seed=seed
        )
        x, y = noisy_sine(2000, 100 + seed)
        for level in (0.5, 0.9):
            lower, upper = surrogate.interval(x, level)
            shares.append(((lower <= y) & (y <= upper)).mean() - level)
    # 600 calibration rows leave a standard error of 2% at 50%, 1.2% at 90%; CV+ errs on the wide side
    assert abs(np.mean(shares[0::2])) < 0.07
    assert abs(np.mean(shares[1::2])) < 0.045


def test_the_record_says_how_well_it_fits(make_surrogate):
    record = make_surrogate().record
    error = (record.target - record.out_of_fold).numpy()
    linear = (record.target - record.linear_out_of_fold).numpy()
    y = record.target.numpy()
    assert record.rmse == pytest.approx(math.sqrt((error**2).mean()))
    assert record.r2 == pytest.approx(1.0 - (error**2).sum() / ((y - y.mean()) ** 2).sum())
    assert record.nonlinear_skill == pytest.approx(1.0 - (error**2).mean() / (linear**2).mean())
    assert make_surrogate().output_scale == pytest.approx(y.std())


def test_distance_to_data(make_surrogate):
    surrogate = make_surrogate()
    data = surrogate.record.x
    assert (surrogate.distance_to_data(data) < 1e-12).all()
    x = points_in(surrogate, 5)
    width = surrogate.bounds[1] - surrogate.bounds[0]
    expected = torch.cdist(x / width, data / width).min(1).values / math.sqrt(3)
    torch.testing.assert_close(surrogate.distance_to_data(x), expected, rtol=1e-6, atol=1e-9)

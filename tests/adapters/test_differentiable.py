"""Callables and modules that as_differentiable takes, against closed forms and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from adapter_points import BOUNDS, SHAPES, formula, points, truth
from torch import nn

from surrogate_opt.adapters import as_differentiable
from surrogate_opt.adapters.differentiable import evaluation_mode
from surrogate_opt.errors import InputError
from surrogate_opt.types import Differentiable


class Formula(nn.Module):
    def __init__(self, column):
        super().__init__()
        self.column = column

    def forward(self, x):
        return formula(x).unsqueeze(-1) if self.column else formula(x)


class Detached(nn.Module):
    """Values with a graph to a parameter, none to the inputs."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1).double())

    def forward(self, x):
        return self.factor * formula(x.detach())


@torch.no_grad()
def without_graph(x):
    return formula(x)


def on_arrays(x):
    assert type(x) is np.ndarray
    assert x.dtype == np.float64
    return (np.sin(x) * x[:, :1]).sum(-1)


def spoiling_its_input(x):
    value = (np.sin(x) * x[:, :1]).sum(-1)
    x += 1.0
    return value


KINDS = {
    "torch callable": (formula, "autograd"),
    "torch callable of a column": (lambda x: formula(x).unsqueeze(-1), "autograd"),
    "torch module": (Formula(column=False), "autograd"),
    "torch module of a column": (Formula(column=True), "autograd"),
    "array callable": (on_arrays, "central differences"),
    "array callable of a column": (lambda x: on_arrays(x)[:, None], "central differences"),
    "array callable of a list": (lambda x: on_arrays(np.asarray(x)).tolist(), "central differences"),
    "spoiling its input": (spoiling_its_input, "central differences"),
    "torch without a graph": (without_graph, "central differences"),
    "module that detaches": (Detached(), "central differences"),
    "torch in, array out": (lambda x: formula(x).detach().numpy(), "central differences"),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("model", "source"), KINDS.values(), ids=KINDS)
def test_values_and_gradients(model, source, shape):
    adapted = as_differentiable(model, bounds=BOUNDS)
    assert isinstance(adapted, Differentiable)
    assert adapted.gradient_source == source
    x = points(*shape)
    before = x.clone()
    value, gradient = adapted.value_and_gradient(x)
    expected_value, expected_gradient = truth(x)
    assert value.dtype == gradient.dtype == torch.float64
    assert not value.requires_grad
    assert not gradient.requires_grad
    torch.testing.assert_close(value, expected_value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(adapted.value(x), expected_value, rtol=1e-12, atol=1e-12)
    # Steps of 6e-6 widths: truncation step^2 and rounding eps/step are both under 1e-8.
    tolerance = 1e-12 if source == "autograd" else 1e-7
    torch.testing.assert_close(gradient, expected_gradient, rtol=tolerance, atol=tolerance)
    assert torch.equal(x, before)


def test_a_differentiable_passes_through():
    adapted = as_differentiable(formula, bounds=BOUNDS)
    assert as_differentiable(adapted) is adapted


def test_central_differences_stay_in_the_box():
    seen = []

    def recorded(x):
        seen.append(x.copy())
        return on_arrays(x)

    adapted = as_differentiable(recorded, bounds=BOUNDS)
    corners = BOUNDS[torch.tensor([[0, 0, 0], [1, 1, 1], [0, 1, 0]]), torch.arange(3)]
    _, gradient = adapted.value_and_gradient(corners)
    everything = np.concatenate(seen)
    assert (everything >= BOUNDS[0].numpy()).all()
    assert (everything <= BOUNDS[1].numpy()).all()
    # One-sided at a limit: an error of half the step times the curvature.
    torch.testing.assert_close(gradient, truth(corners)[1], rtol=1e-4, atol=1e-4)


def test_central_differences_outside_the_box_and_for_a_fixed_input():
    fixed = BOUNDS.clone()
    fixed[:, 2] = 2.0
    adapted = as_differentiable(on_arrays, bounds=fixed)
    outside = torch.tensor([[-3.0, 12.0, 2.0], [3.0, -1.0, 2.0]]).double()
    _, gradient = adapted.value_and_gradient(outside)
    expected = truth(outside)[1]
    torch.testing.assert_close(gradient[:, :2], expected[:, :2], rtol=1e-3, atol=1e-3)
    assert (gradient[:, 2] == 0).all()


def test_central_differences_of_float32_values_take_longer_steps():
    adapted = as_differentiable(lambda x: on_arrays(x).astype(np.float32), bounds=BOUNDS)
    x = points(50, 3)
    _, gradient = adapted.value_and_gradient(x)
    # eps^(2/3) of float32 is 2e-5, times values up to 10 over widths down to 0.5 and a curvature of 10.
    torch.testing.assert_close(gradient, truth(x)[1], rtol=5e-3, atol=5e-3)


def test_central_differences_in_blocks(monkeypatch):
    adapted = as_differentiable(on_arrays, bounds=BOUNDS)
    x = points(2, 9, 3)
    whole = adapted.value_and_gradient(x)
    monkeypatch.setattr("surrogate_opt.adapters.evaluated._MAX_POINTS", 14)
    torch.testing.assert_close(adapted.value_and_gradient(x), whole, rtol=0, atol=0)


def test_a_kink_gets_autograds_side_or_the_mean_slope():
    at_kink = torch.zeros(1, 1).double()
    box = [[-1.0], [1.0]]
    by_autograd = as_differentiable(lambda x: x.abs().sum(-1), bounds=box)
    by_differences = as_differentiable(lambda x: np.abs(x).sum(-1), bounds=box)
    assert by_autograd.gradient_source == "autograd"
    assert by_autograd.value_and_gradient(at_kink)[1].item() == 0.0
    assert by_differences.value_and_gradient(at_kink)[1].item() == 0.0


def test_without_bounds_torch_functions_alone():
    x = points(4, 3)
    adapted = as_differentiable(formula)
    torch.testing.assert_close(adapted.value_and_gradient(x), truth(x))
    with pytest.raises(InputError, match=r"without a graph; give bounds"):
        as_differentiable(without_graph).value_and_gradient(x)
    torch.testing.assert_close(as_differentiable(without_graph).value(x), formula(x))


def test_a_module_is_evaluated_in_evaluation_mode_which_is_undone():
    module = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    module[1].eval()  # frozen by its user
    adapted = as_differentiable(module, bounds=BOUNDS)
    x = points(6, 3)
    value, gradient = adapted.value_and_gradient(x)
    assert torch.equal(adapted.value(x), value)
    assert [part.training for part in module] == [True, False, True, True]
    assert module.training
    assert int(module[1].num_batches_tracked) == 0
    with evaluation_mode(module):
        leaf = x.float().requires_grad_()
        expected = module(leaf).squeeze(-1)
    torch.testing.assert_close(value, expected.detach().double())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), leaf)[0].double())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_the_mode_comes_back_after_an_error():
    module = nn.Linear(2, 1)
    with pytest.raises(RuntimeError), evaluation_mode(module):
        module(torch.zeros(1, 5))
    assert module.training


class Predictor:
    def predict(self, x):
        return x


BAD = {
    "a number": (lambda: as_differentiable(3.0), "model: expected a Differentiable, .* got float"),
    "a regressor": (lambda: as_differentiable(Predictor()), r"got Predictor \(pass its predict method\)"),
    "one value for all": (
        lambda: as_differentiable(lambda x: x.sum(), bounds=BOUNDS),
        r"model: expected values of shape \(2,\) or \(2, 1\) for points of shape \(2, 3\), got \(\)",
    ),
    "one value for all, arrays": (
        lambda: as_differentiable(lambda x: np.sin(x).sum(), bounds=BOUNDS),
        r"got \(1,\)",
    ),
    "transposed, as many points as inputs": (
        lambda: as_differentiable(lambda x: np.sin(x).sum(0), bounds=BOUNDS[:, :2]),
        r"model: expected values of shape \(3,\)",
    ),
    "two columns": (
        lambda: as_differentiable(nn.Linear(3, 2), bounds=BOUNDS),
        r"got \(2, 2\)",
    ),
    "words": (
        lambda: as_differentiable(lambda x: ["a"] * len(x), bounds=BOUNDS),
        "model: expected numbers",
    ),
    "a bug": (
        lambda: as_differentiable(lambda x: x.thickness, bounds=BOUNDS),
        "got a callable that fails on float64 tensors .* and on arrays",
    ),
    "bounds that cross": (
        lambda: as_differentiable(formula, bounds=BOUNDS.flip(0)),
        "bounds: expected lower <= upper",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_bad_models_are_named(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)

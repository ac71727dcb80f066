"""BoTorch's models and test functions as Differentiables, against BoTorch itself and finite differences."""

from __future__ import annotations

import pytest
import torch
from adapter_points import BOUNDS, SHAPES, formula, points, truth
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.ensemble import EnsembleModel
from botorch.models.transforms import Log, Normalize, Standardize
from botorch.test_functions import Branin, Hartmann, Rosenbrock

from surrogate_opt.adapters import as_differentiable
from surrogate_opt.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::botorch.exceptions.warnings.InputDataWarning")


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("make", [Branin, Hartmann, lambda **k: Rosenbrock(dim=4, **k)])
def test_botorch_test_functions_without_noise(make, negate):
    problem = make(noise_std=5.0, negate=negate)
    adapted = as_differentiable(problem)
    x = points(7, problem.dim, bounds=problem.bounds)
    leaf = x.clone().requires_grad_()
    expected = problem.evaluate_true(leaf) * (-1 if negate else 1)
    value, gradient = adapted.value_and_gradient(x)
    assert adapted.gradient_source == "autograd"
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), leaf)[0])
    assert adapted.value(x[0]).shape == ()


def training_data(dtype=torch.float64):
    x = points(30, 3, seed=5)
    return x.to(dtype), (10 + formula(x)).unsqueeze(-1).to(dtype)


def transformed_gp(dtype=torch.float64, **transforms):
    x, y = training_data(dtype)
    transforms.setdefault("outcome_transform", Standardize(1))
    return SingleTaskGP(x, y, input_transform=Normalize(3), **transforms)


def gp_in_training_mode():
    model = transformed_gp()
    model.train()
    return model


GAUSSIAN_PROCESSES = {
    "standardized": transformed_gp,
    "plain": lambda: transformed_gp(outcome_transform=None),
    "log": lambda: transformed_gp(outcome_transform=Log()),
    "in training mode": gp_in_training_mode,
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("make", GAUSSIAN_PROCESSES.values(), ids=GAUSSIAN_PROCESSES)
def test_posterior_mean_of_a_gaussian_process(make, shape):
    model = make()
    mode = model.training
    adapted = as_differentiable(model)
    x = points(*shape)
    value, gradient = adapted.value_and_gradient(x)
    assert model.training == mode
    flat = x.reshape(-1, 1, 3)  # BoTorch's own answer, one point at a time
    torch.testing.assert_close(value, model.posterior(flat).mean.detach().reshape(shape[:-1]))
    torch.testing.assert_close(adapted.value(x), value)
    for i in range(3):
        step = torch.zeros(3).double()
        step[i] = 1e-5 * (BOUNDS[1, i] - BOUNDS[0, i])
        slope = (adapted.value(x + step) - adapted.value(x - step)) / (2 * step[i])
        torch.testing.assert_close(gradient[..., i], slope, rtol=1e-4, atol=1e-4)


def test_a_float32_gaussian_process_answers_in_float64():
    value, gradient = as_differentiable(transformed_gp(torch.float32)).value_and_gradient(points(5, 3))
    assert value.dtype == gradient.dtype == torch.float64
    expected, expected_gradient = as_differentiable(transformed_gp()).value_and_gradient(points(5, 3))
    torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-2, atol=1e-2)


def test_an_ensemble_model_follows_its_mean():
    class Members(EnsembleModel):
        def __init__(self):
            super().__init__()
            self._num_outputs = 1

        def forward(self, X):
            value = formula(X).unsqueeze(-1)
            return torch.stack([value, 3 * value], dim=-3)

    x = points(5, 3)
    value, gradient = as_differentiable(Members()).value_and_gradient(x)
    torch.testing.assert_close(value, 2 * truth(x)[0])
    torch.testing.assert_close(gradient, 2 * truth(x)[1])


def test_a_model_of_two_outputs_is_refused():
    x, y = training_data()
    model = ModelListGP(SingleTaskGP(x, y), SingleTaskGP(x, y))
    with pytest.raises(InputError, match="model: expected one output, got a BoTorch model of 2"):
        as_differentiable(model)

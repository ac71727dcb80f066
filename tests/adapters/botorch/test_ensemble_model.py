"""The ensemble as a BoTorch model: the shared checks, the surrogate's own figures, and what it refuses."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from botorch.acquisition import LogExpectedImprovement
from ensemble_cases import BOX, SCALING, make_case, output_of, stack_of
from model_checks import (
    ACQUISITIONS,
    CHECKS,
    check_acquisition,
    check_files_restore_identical_posteriors,
)

from surrogate_opt.adapters import as_differentiable
from surrogate_opt.adapters.botorch.ensemble import EnsembleSurrogate
from surrogate_opt.adapters.botorch.members import VARIANCE_FLOOR, OutputMembers
from surrogate_opt.errors import InputError


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("activation", ["silu", "poly"])
def test_check(check, activation):
    check(make_case(activation))


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_acquisition_functions(name):
    check_acquisition(make_case(), name)


@pytest.mark.parametrize("activation", ["silu", "poly"])
def test_files(tmp_path, activation):
    check_files_restore_identical_posteriors(make_case(activation), tmp_path)


def test_moments_are_the_members_own():
    stack, x = stack_of(), make_case().points(5, 1)
    members = SCALING.raw_target(stack.forward(SCALING.unit(x[:, 0])[None])[..., 0])
    posterior = EnsembleSurrogate([OutputMembers(stack, SCALING, calibration=1.7)]).posterior(x)
    floor = VARIANCE_FLOOR * SCALING.y_std**2
    torch.testing.assert_close(posterior.mean[:, 0, 0], members.mean(0))
    torch.testing.assert_close(posterior.variance[:, 0, 0], 1.7**2 * members.var(0) + floor)


def test_a_chosen_output_is_that_output():
    case = make_case()
    x = case.points(3, 2)
    whole, second = case.pair.posterior(x), case.pair.posterior(x, output_indices=[1])
    assert torch.equal(second.mean, whole.mean[..., 1:])
    assert torch.equal(second.variance, whole.variance[..., 1:])


def test_gradients_stay_finite_where_all_members_agree():
    one = stack_of(2)
    twins = one.select([0] * 5)
    model = EnsembleSurrogate([OutputMembers(twins, SCALING)])
    x = make_case().points(6, 1).requires_grad_()
    posterior = model.posterior(x)
    floor = VARIANCE_FLOOR * SCALING.y_std**2
    torch.testing.assert_close(posterior.variance, torch.full_like(posterior.variance, floor))
    values = LogExpectedImprovement(model, best_f=posterior.mean.max().item() + SCALING.y_std)(x)
    gradient = torch.autograd.grad(values.sum(), x)[0] * (BOX[1] - BOX[0])
    assert values.isfinite().all()
    assert gradient.abs().max() < 1e8  # (distance / deviation)^2 is 1e6; without the floor 1e13


def test_the_model_owns_its_parameters():
    stack, x = stack_of(), make_case().points(2, 1)
    model = EnsembleSurrogate([OutputMembers(stack, SCALING)])
    before = model.posterior(x).mean
    twin = copy.deepcopy(model)
    stack.flat.zero_()
    assert torch.equal(model.posterior(x).mean, before)
    twin.load_state_dict(make_case().other.state_dict())
    assert not torch.allclose(twin.posterior(x).mean, before)
    assert torch.equal(model.posterior(x).mean, before)
    model.load_state_dict(twin.state_dict(), assign=True)
    assert torch.equal(model.posterior(x).mean, twin.posterior(x).mean)


@pytest.mark.parametrize("convert", [torch.nn.Module.float, torch.nn.Module.half], ids=["float", "half"])
def test_conversions_change_nothing(convert):
    case = make_case()
    x = case.points(3, 2)
    before = case.pair.posterior(x).mean
    convert(case.pair)
    assert torch.equal(case.pair.posterior(x).mean, before)


def test_an_audit_takes_the_model():
    case = make_case()
    adapted, x = as_differentiable(case.model), case.points(7)
    assert adapted.gradient_source == "autograd"
    torch.testing.assert_close(adapted.value(x), case.model.posterior(x).mean[:, 0])


def broken(stack):
    stack.flat[0] = torch.nan
    return stack


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OutputMembers(stack_of(1), SCALING), "stack: expected at least 2 members, .* got 1"),
        (lambda: OutputMembers(stack_of(sizes=(3, 4, 2)), SCALING), "stack: expected one output, got 2"),
        (lambda: OutputMembers(broken(stack_of()), SCALING), "stack: expected finite parameters"),
        (lambda: OutputMembers(stack_of(sizes=(2, 4, 1)), SCALING), r"scaling: .* of shape \(2,\)"),
        (lambda: OutputMembers(stack_of(), replace(SCALING, y_std=0.0)), "scaling.y_std: .* got 0.0"),
        (lambda: output_of(calibration=0.0), "calibration: expected a finite number above 0, got 0.0"),
        (lambda: output_of(variance_floor=-1.0), "variance_floor: .* got -1.0"),
        (lambda: EnsembleSurrogate([]), "outputs: expected at least one"),
        (
            lambda: EnsembleSurrogate([output_of(), OutputMembers(stack_of(5), SCALING)]),
            r"outputs: expected the same num_members in each, got \[6, 5\]",
        ),
        (
            lambda: make_case().model.posterior(torch.zeros(3, dtype=torch.float64)),
            r"X: expected the shape \(..., q, 3\), got \(3,\)",
        ),
        (lambda: make_case().model.posterior(torch.zeros(4, 2)), r"X: expected .* got \(4, 2\)"),
        (
            lambda: make_case().model.posterior(BOX, observation_noise=torch.ones(2, 1)),
            "observation_noise: expected True or False",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make()

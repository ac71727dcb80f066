"""The Bayesian last layer as a BoTorch model: the shared checks, its own figures, and what it refuses."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
from botorch.acquisition.objective import ScalarizedPosteriorTransform
from botorch.sampling import ListSampler, SobolQMCNormalSampler
from last_layer_cases import (
    BOX,
    SCALING,
    WAVES,
    columns_of,
    make_case,
    model_of,
    regression_of,
    rows_of,
    stack_of,
)
from model_checks import (
    ACQUISITIONS,
    CHECKS,
    check_acquisition,
    check_files_restore_identical_posteriors,
)
from safetensors import safe_open
from safetensors.torch import save_file

from surrogate_opt.adapters import as_differentiable
from surrogate_opt.adapters.botorch.files import load_model, save_model
from surrogate_opt.adapters.botorch.last_layer import JITTER
from surrogate_opt.adapters.botorch.last_layer_features import (
    FeatureRegression,
    hidden_features,
    trend_features,
)
from surrogate_opt.adapters.botorch.last_layer_head import Head
from surrogate_opt.errors import InputError, ModelFileError

# BoTorch's ModelList of any two models has a posterior that only a ListSampler can draw from
OWN_CHECKS = {name: check for name, check in CHECKS.items() if name != "samplers_made_by_hand"}


@pytest.mark.parametrize("check", OWN_CHECKS.values(), ids=OWN_CHECKS)
def test_check(check):
    check(make_case())


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_acquisition_functions(name):
    check_acquisition(make_case(), name)


def test_files(tmp_path):
    check_files_restore_identical_posteriors(make_case(), tmp_path)


def test_samplers_made_by_hand():
    case = make_case()
    x = case.points(3, 2)
    posterior = case.model.posterior(x)
    samples = SobolQMCNormalSampler(torch.Size([2048]), seed=0)(posterior)[..., 0]
    covariance = posterior.distribution.covariance_matrix
    std = posterior.variance[..., 0].sqrt()
    # quasi-Monte Carlo: the mean of 2,048 draws is far nearer than std / sqrt(2048)
    residual = (samples - posterior.mean[..., 0]) / std
    torch.testing.assert_close(residual.mean(0), torch.zeros_like(std), rtol=0, atol=0.02)
    correlation = torch.einsum("sbi,sbj->bij", residual, residual) / 2048
    expected = covariance / (std[..., :, None] * std[..., None, :])
    torch.testing.assert_close(correlation, expected, rtol=0, atol=0.05)
    both = ListSampler(*[SobolQMCNormalSampler(torch.Size([4]), seed=seed) for seed in (0, 1)])
    assert both(case.pair.posterior(x)).shape == (4, 3, 2, 2)


def test_features_are_the_last_hidden_layer_beside_a_trend():
    stack, u = stack_of(num_members=2), rows_of(7)[0]
    hidden = u
    members = []
    for member in range(2):
        hidden = u
        for layer in range(2):
            hidden = torch.tanh(hidden @ stack.weights[layer][member] + stack.biases[layer][member])
        members.append(hidden)
    torch.testing.assert_close(hidden_features(stack, u), torch.cat(members, 1) / 4.0)  # sqrt(16)
    trend = trend_features(u)
    torch.testing.assert_close(trend[:, :3], u / 3**0.5)
    torch.testing.assert_close(trend[:, 3], (u * u).sum(1) / 3.0)
    assert (trend[:, 4] == 1.0).all()


def test_moments_are_the_heads_in_raw_units():
    base, x = regression_of(*rows_of()), make_case().points(5)
    columns = torch.cat(columns_of(stack_of(), base.center, SCALING.unit(x)), 1)
    posterior = make_case().model.posterior(x)
    torch.testing.assert_close(posterior.mean[:, 0], 2.0 + 0.7 * columns @ base.head_mean)
    covariance = 0.7**2 * columns @ base.head_root.T @ base.head_root @ columns.T
    jitter = 0.7**2 * JITTER * torch.eye(5).double()
    torch.testing.assert_close(posterior.distribution.covariance_matrix, covariance + jitter)


def test_observation_noise_is_added_where_asked_for():
    case = make_case()
    x = case.points(4, 2)
    latent, noisy = (case.model.posterior(x, observation_noise=noise) for noise in (False, True))
    added = noisy.distribution.covariance_matrix - latent.distribution.covariance_matrix
    torch.testing.assert_close(added, 0.7**2 * 0.02 * torch.eye(2).double().expand(4, 2, 2))
    assert torch.equal(noisy.mean, latent.mean)


def test_posterior_transforms():
    case = make_case()
    x = case.points(2, 3)
    transform = ScalarizedPosteriorTransform(torch.tensor([-2.0]).double(), offset=1.0)
    plain, transformed = case.model.posterior(x), case.model.posterior(x, posterior_transform=transform)
    torch.testing.assert_close(transformed.mean, 1.0 - 2.0 * plain.mean)
    torch.testing.assert_close(transformed.variance, 4.0 * plain.variance)


def test_the_model_owns_its_parameters():
    stack, x = stack_of(), make_case().points(2, 1)
    model = model_of()
    before = model.posterior(x).mean
    twin = copy.deepcopy(model)
    twin.load_state_dict(make_case().other.state_dict())
    assert not torch.allclose(twin.posterior(x).mean, before)
    assert torch.equal(model.posterior(x).mean, before)
    model.load_state_dict(twin.state_dict(), assign=True)
    assert torch.equal(model.posterior(x).mean, twin.posterior(x).mean)
    head = Head(mean=twin.base.head_mean.clone(), root=twin.base.head_root.clone(), noise=0.1)
    base = FeatureRegression(stack, SCALING, WAVES, twin.base.center, head)
    values = base(x)[0]
    stack.flat.zero_()
    head.mean.zero_()
    assert torch.equal(base(x)[0], values)


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


CUTS = {
    "a missing tensor": lambda tensors, about: tensors.pop("base.center"),
    "another architecture": lambda tensors, about: about.update(num_members=3),
    "an unknown activation": lambda tensors, about: about.update(activation="soft"),
    "nan": lambda tensors, about: tensors["base.head_root"].fill_(torch.nan),
    "no noise": lambda tensors, about: tensors["base.noise"].zero_(),
    "half an observation": lambda tensors, about: tensors.update(observed_y=torch.ones(2).double()),
}


@pytest.mark.parametrize("change", CUTS.values(), ids=CUTS)
def test_damaged_files_are_refused(tmp_path, change):
    path = tmp_path / "model"
    save_model(model_of(), path)
    with safe_open(path, framework="pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    about = json.loads(metadata["about"])
    change(tensors, about)
    save_file(tensors, path, metadata | {"about": json.dumps(about)})
    with pytest.raises(ModelFileError, match=r"model: .* is damaged") as error:
        load_model(path)
    assert "\n" not in str(error.value)


def parts(**changes):
    base = regression_of(*rows_of())
    head = Head(mean=base.head_mean, root=base.head_root, noise=0.1)
    standard = {"stack": stack_of(), "scaling": SCALING, "waves": WAVES, "center": base.center, "head": head}
    return standard | {name: change(standard[name]) for name, change in changes.items()}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: FeatureRegression(**parts(stack=lambda stack: stack_of(sizes=(3, 1)))),
            r"stack: expected networks with a hidden layer, got the sizes \(3, 1\)",
        ),
        (
            lambda: FeatureRegression(**parts(center=lambda center: center[1:])),
            r"center: expected the shape \(44,\), got \(43,\)",
        ),
        (
            lambda: FeatureRegression(
                **parts(waves=lambda waves: replace(waves, frequencies=waves.frequencies.T))
            ),
            r"waves.frequencies: expected the shape \(3, 12\), got \(12, 3\)",
        ),
        (
            lambda: FeatureRegression(**parts(head=lambda head: replace(head, mean=head.mean * torch.nan))),
            "head.mean: expected finite numbers",
        ),
        (
            lambda: FeatureRegression(**parts(head=lambda head: replace(head, noise=0.0))),
            "head.noise: .* 0.0",
        ),
        (
            lambda: FeatureRegression(**parts(scaling=lambda scaling: replace(scaling, upper=scaling.lower))),
            "scaling: expected lower < upper",
        ),
        (lambda: make_case().model.posterior(BOX[0]), r"X: expected the shape \(..., q, 3\), got \(3,\)"),
        (lambda: make_case().model.posterior(BOX, output_indices=[1]), r"outputs: expected \[0\], .* \[1\]"),
        (lambda: make_case().model.subset_output([0, 0]), r"outputs: expected \[0\], .* got \[0, 0\]"),
        (
            lambda: make_case().model.posterior(BOX, observation_noise=torch.ones(2, 1)),
            "observation_noise: expected True or False",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make()

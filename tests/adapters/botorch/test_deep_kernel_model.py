"""The deep kernel: the shared checks, its training against gpytorch, and the choice of its strength."""

import math

import gpytorch
import pytest
import torch
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from model_checks import (
    ACQUISITIONS,
    CHECKS,
    ModelCase,
    check_acquisition,
    check_files_restore_identical_posteriors,
)
from surrogate_problems.transformed import TransformedFunction

from surrogate_opt.adapters.botorch.calibration import coverage
from surrogate_opt.adapters.botorch.deep_kernel import DeepKernelGP
from surrogate_opt.adapters.botorch.deep_kernel_fitter import (
    GRID_POSITIONS,
    DeepKernelFitter,
    DeepKernelRecipe,
)
from surrogate_opt.adapters.botorch.deep_kernel_training import (
    DeepKernel,
    initial_kernel,
    log_prior,
    predict,
    split_features,
    train_deep_kernel,
)
from surrogate_opt.adapters.botorch.files import save_model
from surrogate_opt.adapters.botorch.registry import join_models
from surrogate_opt.adapters.botorch.warping import new_extractor, warp, warp_and_penalty
from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.penalties import Strength

BOX = torch.tensor([[-1.0, 10.0, 0.0], [3.0, 30.0, 0.5]], dtype=torch.float64)
QUICK = DeepKernelRecipe(hidden=(6,), first_iterations=15, fold_iterations=5, later_iterations=5)


def data(n=14, seed=0, noise=0.05):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(n, 3, generator=generator, dtype=torch.float64)
    y = torch.sin(4.0 * unit[:, 0]) + unit[:, 1] * unit[:, 2]
    return unit, y + noise * torch.randn(n, generator=generator, dtype=torch.float64)


def kernel_of(seed=0, scale=1.0, activation="silu"):
    start = initial_kernel(new_extractor(3, (8, 8), activation, seed))
    start.stack.flat.mul_(3.0)
    wiggle = torch.linspace(-0.5, 0.5, 6, dtype=torch.float64) + 0.1 * seed
    hyperparameters = start.hyperparameters - 1.0 + wiggle
    return DeepKernel(stack=start.stack, strength=Strength(), hyperparameters=scale * hyperparameters)


def model_of(seed=0, calibration=1.0, target=0):
    unit, y = data()
    x = BOX[0] + (BOX[1] - BOX[0]) * unit
    y = [y, torch.cos(3.0 * unit[:, 1]) - y][target]
    return DeepKernelGP(x, y[:, None], bounds=BOX, kernel=kernel_of(seed), calibration=calibration)


def make_case():
    return ModelCase(
        model=model_of(calibration=1.3),
        pair=join_models([model_of(), model_of(1, calibration=0.8, target=1)]),
        other=model_of(2, calibration=0.5),
        bounds=BOX,
        can_be_conditioned=True,
    )


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_check(check):
    check(make_case())


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_acquisition_functions(name):
    check_acquisition(make_case(), name)


def test_files(tmp_path):
    check_files_restore_identical_posteriors(make_case(), tmp_path)


def test_outputs_that_are_not_there_are_refused():
    for outputs in ([1], [0, 0], []):
        with pytest.raises(InputError, match=r"outputs: expected \[0\], all that a deep kernel has, got"):
            model_of().subset_output(outputs)


def test_a_model_that_was_conditioned_is_not_saved_without_its_observations(tmp_path):
    case = make_case()
    x, y = case.points(2), torch.ones(2, 1, dtype=torch.float64)
    case.model.posterior(x)  # BoTorch conditions models that have predicted
    conditioned = case.model.condition_on_observations(x, y)
    message = r"model: expected the 14 rows that it was fitted to, got one conditioned on 16; save it before"
    with pytest.raises(InputError, match=message):
        save_model(conditioned, tmp_path / "model.safetensors")
    save_model(case.model, tmp_path / "model.safetensors")


def test_without_an_extractor_it_is_a_single_task_gp():
    unit, y = data()
    x = BOX[0] + (BOX[1] - BOX[0]) * unit
    start = initial_kernel(new_extractor(3, (4,), "silu", 0))
    start.stack.flat.zero_()
    start.hyperparameters[-1] = -50.0  # no trend
    ours = DeepKernelGP(x, y[:, None], bounds=BOX, kernel=start)
    theirs = SingleTaskGP(
        x, y[:, None], input_transform=Normalize(3, bounds=BOX), outcome_transform=Standardize(1)
    )
    theirs.covar_module.lengthscale = start.hyperparameters[:3].exp()
    theirs.likelihood.noise = start.noise
    theirs.mean_module.constant.data = start.mean.clone()
    queries = make_case().points(5, 3)
    one, other = ours.posterior(queries), theirs.posterior(queries)
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(one.variance, other.variance, rtol=1e-6, atol=1e-9)


def test_the_objective_is_gpytorchs_likelihood_and_priors():
    """Minus the log posterior of a SingleTaskGP with its default priors, up to the priors' constant."""
    unit, y = data()
    standardized = (y - y.mean()) / y.std()
    differences = []
    for shift in (0.0, 0.7):
        start = initial_kernel(new_extractor(3, (4,), "silu", 0))
        hyperparameters = start.hyperparameters + shift
        hyperparameters[-1] = 0.0
        model = SingleTaskGP(unit, standardized[:, None], outcome_transform=None)
        model.covar_module.lengthscale = hyperparameters[:3].exp()
        model.likelihood.noise = hyperparameters[3].exp()
        model.mean_module.constant.data = hyperparameters[4].clone()
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        model.train()
        theirs = mll(model(*model.train_inputs), model.train_targets) * len(y)
        z = 0.5 * (2.0 * unit - 1.0) * torch.exp(-hyperparameters[:3])
        matrix = torch.exp(-0.5 * torch.cdist(z, z).square())
        matrix += hyperparameters[3].exp() * torch.eye(len(y), dtype=torch.float64)
        mean = hyperparameters[4].expand(len(y))
        likelihood = torch.distributions.MultivariateNormal(mean, matrix).log_prob(standardized)
        difference = theirs - likelihood - log_prior(hyperparameters)
        differences.append(float(difference.detach()))
    assert differences[0] == pytest.approx(differences[1], abs=1e-8)


def test_the_trends_log_variance_is_normal():
    hyperparameters = initial_kernel(new_extractor(3, (4,), "silu", 0)).hyperparameters
    values = torch.linspace(-4.0, 3.0, 5, dtype=torch.float64)
    found = torch.stack([log_prior(torch.cat([hyperparameters[:-1], value[None]])) for value in values])
    expected = torch.distributions.Normal(0.0, 2.0).log_prob(values)
    torch.testing.assert_close(found - found[0], expected - expected[0])


def test_calibration_scales_deviations_and_leaves_the_mean():
    x = make_case().points(4, 2)
    plain, spread = model_of().posterior(x), model_of(calibration=1.7).posterior(x)
    torch.testing.assert_close(spread.mean, plain.mean, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(spread.variance, 1.7**2 * plain.variance, rtol=1e-6, atol=1e-9)


def test_predictions_for_choosing_are_the_models_own():
    unit, y = data()
    kernel, queries = (
        kernel_of(),
        torch.rand(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)),
    )
    standardized = (y - y.mean()) / y.std()
    mean, variance = predict(kernel, 2.0 * unit - 1.0, standardized, 2.0 * queries - 1.0)
    box = torch.stack([torch.zeros(3), torch.ones(3)]).double()
    posterior = DeepKernelGP(unit, y[:, None], bounds=box, kernel=kernel).posterior(
        queries, observation_noise=True
    )
    torch.testing.assert_close(y.mean() + y.std() * mean, posterior.mean[:, 0])
    torch.testing.assert_close(y.var() * variance, posterior.variance[:, 0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "strength", [Strength(dreg=0.3), Strength(igp=0.2), Strength(dreg=0.1, igp=0.5, spectral_bound=0.6)]
)
@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_penalties_on_the_extractor_are_those_of_full_jacobians(strength, activation):
    stack = new_extractor(3, (5, 4), activation, 1)
    stack.flat.mul_(4.0)
    x = 2.0 * torch.rand(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1.0
    bound = strength.spectral_bound
    weights = [w[0] / max(1.0, float(torch.linalg.svdvals(w[0])[0]) / bound) for w in stack.weights]

    def layers(point):
        h, locals_ = point, []
        for layer, (weight, bias) in enumerate(zip(weights, stack.biases, strict=True)):
            last = layer == len(weights) - 1

            def step(h, weight=weight, bias=bias, last=last):
                z = h @ weight + bias[0, 0]
                return z if last else getattr(torch.nn.functional, activation)(z)

            locals_.append(torch.autograd.functional.jacobian(step, h).square().sum())
            h = step(h)
        return h, torch.stack(locals_).mean()

    dreg = torch.stack([layers(point)[1] for point in x]).mean()
    igp = torch.stack(
        [torch.autograd.functional.jacobian(lambda p: layers(p)[0], point).square().sum() for point in x]
    ).mean()
    warped, penalty = warp_and_penalty(stack, x, strength)
    torch.testing.assert_close(penalty, strength.dreg * dreg + strength.igp * igp)
    torch.testing.assert_close(warped, x + torch.stack([layers(point)[0] for point in x]))


def test_training_lowers_the_objective_and_control_flattens_the_extractor():
    unit, y = data(30)
    x, standardized = 2.0 * unit - 1.0, (y - y.mean()) / y.std()
    start = initial_kernel(new_extractor(3, (8,), "silu", 0))
    bends = []
    for level in (1e-3, 10.0):
        trained = train_deep_kernel(x, standardized, start, Strength(dreg=level), 60)
        moved = warp(trained.stack, x) - x
        bends.append(float((moved - moved.mean(0)).norm()))
    assert bends[1] < 1e-3 < 0.1 < bends[0]


def test_trend_and_lengthscales_are_where_they_belong():
    z = torch.tensor([[0.5, -1.0, 0.25]], dtype=torch.float64)
    hyperparameters = torch.tensor([0.0, math.log(2.0), math.log(0.5), -3.0, 0.1, math.log(4.0)]).double()
    scaled, trend = split_features(z, hyperparameters)
    torch.testing.assert_close(scaled, torch.tensor([[0.25, -0.25, 0.25]]).double())
    expected = torch.cat([z / math.sqrt(3.0), z.square().sum(-1, keepdim=True) / 3.0], -1)
    torch.testing.assert_close(trend, 2.0 * expected)


def branin(n, seed=0):
    problem = TransformedFunction("branin", 2, seed=seed)
    x = torch.rand(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    lower, upper = problem.bounds
    return x, problem.value(lower + (upper - lower) * x)


def test_an_extractor_is_used_where_held_out_rows_are_better_off_and_covers_them():
    """Branin bends along a parabola, which no lengthscale follows."""
    x, y = branin(240)
    errors = {}
    for strength in ("auto", 10.0):
        model = DeepKernelFitter(strength=strength).fit(x[:40], y[:40], choose_strength=True)
        posterior = model.posterior(x[40:])
        mean, std = posterior.mean[:, 0].detach(), posterior.variance[:, 0].sqrt().detach()
        errors[strength] = float((mean - y[40:]).square().mean())
        if strength == "auto":
            assert coverage(mean, std, y[40:], 0.95) > 0.75
    assert errors["auto"] < 0.5 * errors[10.0]


def test_no_extractor_is_used_where_held_out_rows_are_worse_off():
    unit, _ = data(30)
    noise = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    fitter = DeepKernelFitter(recipe=QUICK)
    fitter.fit(unit, noise, choose_strength=True)
    assert fitter.state().about["level"] == pytest.approx(10.0 ** (-4.0 + 0.5 * (GRID_POSITIONS[-1] - 1)))


def test_a_restored_fitter_goes_on_as_if_nothing_had_been():
    unit, y = data(24)
    first = DeepKernelFitter(recipe=QUICK)
    first.fit(unit[:20], y[:20], choose_strength=True)
    second = DeepKernelFitter(recipe=QUICK)
    second.restore(first.state())
    queries = unit[:5, None]
    one = first.fit(unit, y, choose_strength=False).posterior(queries)
    other = second.fit(unit, y, choose_strength=False).posterior(queries)
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.variance, other.variance)
    fresh = DeepKernelFitter(recipe=QUICK).fit(unit, y, choose_strength=False).posterior(queries)
    assert not torch.equal(one.mean, fresh.mean)


@pytest.mark.parametrize("penalty", ["none", "dreg", "igp", "sn", "dreg+igp"])
def test_every_penalty_gives_a_model(penalty):
    unit, y = data(16)
    model = DeepKernelFitter(penalty=penalty, recipe=QUICK).fit(unit, y, choose_strength=True)
    assert model.posterior(unit[:3]).variance.isfinite().all()


def test_penalties_of_other_losses_are_refused_at_once():
    with pytest.raises(InputError, match=r"expected one of none, dreg, .* for a deep kernel, got 'dropout'"):
        DeepKernelFitter(penalty="dropout")


@pytest.mark.parametrize("y", [torch.ones(6).double(), torch.ones(1).double()], ids=["constant", "one row"])
def test_targets_that_cannot_be_fitted_are_a_training_error(y):
    with pytest.raises(TrainingError, match="targets: expected at least two values that differ"):
        DeepKernelFitter(recipe=QUICK).fit(data(len(y))[0], y, choose_strength=True)


def test_many_rows_are_conditioned_on_exactly():
    unit, y = data(900)
    fitter = DeepKernelFitter(recipe=QUICK)
    model = fitter.fit(unit, y, choose_strength=True)
    covariance = model.covar_module(unit).to_dense().detach()
    covariance = covariance + model.likelihood.noise.detach() * torch.eye(900, dtype=torch.float64)
    standardized = (y - y.mean()) / y.std()
    weights = torch.linalg.solve(covariance, standardized - model.mean_module.constant.detach())
    queries = data(5, seed=9)[0]
    expected = (
        model.mean_module.constant.detach() + model.covar_module(queries, unit).to_dense().detach() @ weights
    )
    found = (model.posterior(queries).mean[:, 0].detach() - y.mean()) / y.std()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)

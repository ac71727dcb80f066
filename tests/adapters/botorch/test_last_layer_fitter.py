"""The last layer as a loop's model: honest residuals, calibration, and refits that go on where they were."""

from __future__ import annotations

import pytest
import torch
from last_layer_cases import gaussian

from surrogate_opt.adapters.botorch import last_layer_fitter
from surrogate_opt.adapters.botorch.calibration import coverage
from surrogate_opt.adapters.botorch.last_layer_fitter import LastLayerFitter, held_out_errors
from surrogate_opt.adapters.botorch.last_layer_head import HeadScales
from surrogate_opt.adapters.botorch.refitting import RefitRecipe
from surrogate_opt.errors import InputError
from surrogate_opt.training.crossvalidation import out_of_fold

RECIPE = RefitRecipe(hidden=(16, 16), activation="tanh", members=5, first_steps=150, later_steps=30)
SCALES = HeadScales(feature_variance=2.0, trend_variance=0.3, noise=0.05)
FOLDS = torch.arange(20) % 5


def truth(x):
    return 40.0 + 3.0 * torch.sin(6.0 * (x - 0.5) @ (gaussian(5, 4, seed=3) / 2.0).T).sum(-1)


def points(n, seed=0):
    return torch.rand(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fitter(recipe=RECIPE, **options):
    return LastLayerFitter(strength=1e-3, recipe=recipe, **options)


def assert_equal_posteriors(model, other):
    x = points(6, seed=9)
    assert torch.equal(model.posterior(x).mean, other.posterior(x).mean)
    assert torch.equal(model.posterior(x).variance, other.posterior(x).variance)


@pytest.mark.parametrize("repeats", [1, 2])
def test_held_out_errors_are_those_of_dense_processes(repeats):
    """Member by member: the process on its features and the shared ones, from the rows it was trained on."""
    hidden, trend, y = gaussian(20, 5 * repeats * 3) / 4.0, gaussian(20, 2, seed=1), gaussian(20, seed=2)
    shared = gaussian(20, 4, seed=4) / 2.0
    folds = torch.stack([FOLDS, FOLDS.flip(0)])[:repeats]
    held_out = torch.cat([of_repeat == torch.arange(5)[:, None] for of_repeat in folds])
    residuals, deviations = held_out_errors(hidden, shared, trend, y, held_out, SCALES)
    assert residuals.shape == deviations.shape == (20 * repeats,)
    for member, out in enumerate(held_out):
        own = hidden[:, 3 * member : 3 * member + 3]
        kernel = 2.0 * (5 * repeats * own @ own.T + shared @ shared.T) + 0.3 * trend @ trend.T
        noisy = kernel + 0.05 * torch.eye(20).double()
        weights = torch.linalg.solve(noisy[~out][:, ~out], kernel[~out][:, out]).T
        mine = slice(4 * member, 4 * member + 4)
        torch.testing.assert_close(residuals[mine], y[out] - weights @ y[~out])
        variance = (noisy[out][:, out] - weights @ kernel[~out][:, out]).diagonal()
        torch.testing.assert_close(deviations[mine], variance.sqrt())


def test_the_rows_held_out_are_those_that_members_never_saw(monkeypatch):
    handed = {}

    def watch(fitted, *, seed):
        handed.update(fitted=fitted)
        return original(fitted, seed=seed)

    original = last_layer_fitter.last_layer_of
    monkeypatch.setattr(last_layer_fitter, "last_layer_of", watch)
    recipe = RefitRecipe(hidden=(8,), activation="tanh", members=10, first_steps=20, trend=False)
    x = points(23)
    fitter(recipe).fit(x, truth(x), choose_strength=True)
    fitted = handed["fitted"]
    outputs = fitted.stack.forward(fitted.x[None])[..., 0]
    torch.testing.assert_close(fitted.y - out_of_fold(outputs, fitted.held_out), fitted.residuals)


def test_intervals_cover_what_they_say():
    x, new = points(60, seed=60), points(1000, seed=1000)
    y, expected = truth(x), truth(new)
    model = fitter().fit(x, y, choose_strength=True)
    posterior = model.posterior(new[:, None])
    mean, std = posterior.mean[:, 0, 0].detach(), posterior.variance[:, 0, 0].sqrt().detach()
    assert (mean - expected).square().mean().sqrt() < 0.4 * expected.std()
    assert 0.4 < coverage(mean, std, expected, 0.5) < 0.75
    assert coverage(mean, std, expected, 0.95) > 0.87


def test_without_calibration_the_intervals_of_a_bowl_would_be_far_too_wide(monkeypatch):
    def deviations():
        y = (x - 0.4).square().sum(1)
        posterior = fitter().fit(x, y, choose_strength=True).posterior(new[:, None])
        return posterior.variance[:, 0, 0].sqrt().detach()

    x, new = points(40, seed=60), points(200, seed=1000)
    calibrated = deviations()
    monkeypatch.setattr(last_layer_fitter, "calibration_scale", lambda *args: 1.0)
    own = deviations()
    ratio = own / calibrated
    torch.testing.assert_close(ratio, ratio.mean().expand(200), rtol=0.02, atol=0)  # but for the jitter
    assert ratio.mean() > 2.0


def test_refits_go_on_where_they_were():
    x = points(40)
    y = truth(x)
    first = fitter()
    first.fit(x[:35], y[:35], choose_strength=True)
    second = fitter()
    second.restore(first.state())
    model = first.fit(x, y, choose_strength=False)
    assert_equal_posteriors(second.fit(x, y, choose_strength=False), model)
    afresh = fitter().fit(x, y, choose_strength=False)
    assert not torch.allclose(afresh.posterior(x).mean, model.posterior(x).mean)


def test_the_seed_decides():
    x = points(25)
    models = [fitter(seed=seed).fit(x, truth(x), choose_strength=True) for seed in (3, 3, 4)]
    assert_equal_posteriors(models[0], models[1])
    assert not torch.allclose(models[0].posterior(x).mean, models[2].posterior(x).mean)


def test_nothing_to_start_from_before_the_first_fit():
    assert fitter().state().tensors == {}


def test_an_unknown_penalty_is_refused():
    with pytest.raises(InputError, match="drag"):
        LastLayerFitter(penalty="drag")

"""Conditioning of the last layer: the head that had seen the rows, in batches; fantasies and lookahead."""

from __future__ import annotations

import pytest
import torch
from botorch.acquisition import qKnowledgeGradient
from botorch.sampling import SobolQMCNormalSampler
from last_layer_cases import BOX, SCALING, make_case, model_of, regression_of, rows_of
from model_checks import sampler
from torch.distributions import Normal

from surrogate_opt.adapters.botorch.files import load_model, save_model
from surrogate_opt.adapters.botorch.last_layer import JITTER, LastLayerModel
from surrogate_opt.errors import InputError


def observed(num_rows, seed=40):
    """Further rows, raw units."""
    u, y = rows_of(num_rows, seed=seed)
    return SCALING.raw(u), SCALING.raw_target(y)[:, None]


def moments(model, x):
    posterior = model.posterior(x)
    return posterior.mean, posterior.distribution.covariance_matrix


def assert_same(model, other, x):
    for mine, theirs in zip(moments(model, x), moments(other, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-9)


def test_conditioning_is_a_head_that_had_seen_the_rows():
    base, (u, y) = regression_of(*rows_of()), rows_of()
    more_u, more_y = rows_of(6, seed=40)
    together = LastLayerModel(
        regression_of(torch.cat([u, more_u]), torch.cat([y, more_y]), center=base.center)
    )
    x, _ = observed(5, seed=60)
    conditioned = LastLayerModel(base).condition_on_observations(*observed(6))
    assert_same(conditioned, together, x)
    assert not torch.allclose(moments(conditioned, x)[0], moments(LastLayerModel(base), x)[0], rtol=1e-3)


def test_conditioning_twice_is_conditioning_once():
    model, (x, y), (points, _) = model_of(), observed(6), observed(4, seed=60)
    in_two = model.condition_on_observations(x[4:], y[4:]).condition_on_observations(x[:4], y[:4])
    assert_same(in_two, model.condition_on_observations(x, y), points)
    assert in_two.observed_x.shape == (6, 3)
    assert model.observed_x.shape == (0, 3)


def test_a_row_seen_again_is_half_the_noise():
    """Equal rows are an average with half the noise, and no singular system."""
    model, (x, y), (points, _) = model_of(), observed(1), observed(3, seed=60)
    twice = model.condition_on_observations(x.expand(2, -1), torch.cat([y - 0.2, y + 0.2]))
    covariance = model.posterior(torch.cat([x, points])).distribution.covariance_matrix
    noise = 0.5 * model.base.noise * SCALING.y_std**2
    gain = covariance[1:, 0] / (covariance[0, 0] - JITTER * SCALING.y_std**2 + noise)
    before = model.posterior(torch.cat([x, points])).mean[:, 0]
    expected = before[1:] + gain * (y[0, 0] - before[0])
    torch.testing.assert_close(twice.posterior(points).mean[:, 0], expected)


def test_batches_of_observations():
    """Targets (2, 4, k) at points (4, k): every element is what it alone would be."""
    model, (points, _) = model_of(), observed(3, seed=60)
    x = observed(8)[0].view(4, 2, 3)
    y = observed(16, seed=41)[1].view(2, 4, 2, 1)
    model_in_batch = model.condition_on_observations(x, y)
    assert model_in_batch.batch_shape == (2, 4)
    mean, covariance = moments(model_in_batch, points)
    assert mean.shape == (2, 4, 3, 1)
    pointwise = points.expand(2, 4, 3, 3) + torch.linspace(0.0, 0.1, 4)[None, :, None, None].double()
    own = moments(model_in_batch, pointwise)[0]
    for first in range(2):
        for second in range(4):
            alone = model.condition_on_observations(x[second], y[first, second])
            expected = moments(alone, points)
            torch.testing.assert_close(mean[first, second], expected[0])
            torch.testing.assert_close(covariance[first, second], expected[1], rtol=1e-8, atol=1e-10)
            torch.testing.assert_close(own[first, second], alone.posterior(pointwise[first, second]).mean)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
@pytest.mark.parametrize("q", [1, 3])
def test_shapes_of_fantasies(batch, q):
    case = make_case()
    fantasies = case.model.fantasize(case.points(*batch, q), SobolQMCNormalSampler(torch.Size([5]), seed=0))
    assert fantasies.batch_shape == (5, *batch)
    assert fantasies.num_outputs == 1
    assert fantasies.posterior(case.points(2, seed=3)).mean.shape == (5, *batch, 2, 1)
    x = case.points(5, *batch, 2, seed=3)
    assert fantasies.posterior(x).mean.shape == fantasies.posterior(x).variance.shape == (5, *batch, 2, 1)
    again = fantasies.fantasize(
        case.points(*batch, 1, seed=4), SobolQMCNormalSampler(torch.Size([2]), seed=1)
    )
    assert again.batch_shape == (2, 5, *batch)
    assert again.posterior(x).mean.shape == (2, 5, *batch, 2, 1)
    pair = case.pair.fantasize(case.points(*batch, q), SobolQMCNormalSampler(torch.Size([5]), seed=0))
    assert pair.posterior(x).mean.shape == (5, *batch, 2, 2)


def test_fantasies_at_no_points_have_their_batch():
    case = make_case()
    fantasies = case.model.condition_on_observations(case.points(4, 0), torch.zeros(2, 4, 0, 1).double())
    posterior, before = fantasies.posterior(case.points(3)), case.model.posterior(case.points(3))
    assert torch.equal(posterior.mean, before.mean.expand(2, 4, 3, 1))
    assert torch.equal(posterior.variance, before.variance.expand(2, 4, 3, 1))


def test_fantasies_keep_the_laws_of_total_mean_and_variance():
    model, (points, _) = model_of(), observed(4, seed=60)
    fantasies = model.fantasize(observed(2)[0], SobolQMCNormalSampler(torch.Size([4096]), seed=0))
    before, after = model.posterior(points), fantasies.posterior(points)
    std = before.variance.sqrt()
    # 4,096 Sobol draws: errors of some thousandths
    torch.testing.assert_close(
        (after.mean.mean(0) - before.mean) / std, torch.zeros_like(std), rtol=0, atol=0.01
    )
    total = after.variance.mean(0) + after.mean.var(0)
    torch.testing.assert_close(total / before.variance, torch.ones_like(std), rtol=0, atol=0.02)
    assert (after.variance.mean(0) < 0.98 * before.variance).any()


def test_gradients_by_where_observations_are_made():
    model, (points, _), (x, y) = model_of(), observed(3, seed=60), observed(2)

    def outcome(at):
        after = model.condition_on_observations(at, y).posterior(points)
        return after.mean.sum() + after.variance.sum()

    leaf = x.clone().requires_grad_()
    gradient = torch.autograd.grad(outcome(leaf), leaf)[0]
    for row in range(2):
        for column, width in enumerate(BOX[1] - BOX[0]):
            step = torch.zeros_like(x)
            step[row, column] = 1e-5 * width
            slope = (outcome(x + step) - outcome(x - step)) / 2e-5
            torch.testing.assert_close(gradient[row, column] * width, slope, rtol=1e-5, atol=1e-7)


def test_the_knowledge_gradient_is_what_correlations_say():
    """One evaluation moves all means along their covariances with it (Frazier et al. 2009)."""
    model = LastLayerModel(regression_of(*rows_of(3)))
    choices, point = observed(30, seed=60)[0], observed(1)[0]
    joint = model.posterior(torch.cat([point, choices]))
    mean, covariance = joint.mean[:, 0].detach(), joint.distribution.covariance_matrix.detach()
    noise = model.base.noise * SCALING.y_std**2
    slopes = covariance[1:, 0] / (covariance[0, 0] + noise).sqrt()
    draws = SobolQMCNormalSampler(torch.Size([256]), seed=0)
    acquisition = qKnowledgeGradient(model, sampler=draws, num_fantasies=256)
    fantasies = model.fantasize(point[None], draws)
    found = fantasies.posterior(choices.expand(256, 1, -1, -1)).mean[:, 0, :, 0].argmax(1)
    value = acquisition(torch.cat([point, choices[found]])[None])
    quantiles = Normal(0.0, 1.0).icdf((torch.arange(20_000).double() + 0.5) / 20_000)
    expected = (mean[1:] + slopes * quantiles[:, None]).amax(1).mean()
    assert expected > mean[1:].max() + 0.04
    # 256 Sobol draws are off by some hundredths of a standard deviation
    assert value.item() == pytest.approx(expected.item(), abs=0.02 * slopes.max().item())


def test_knowledge_gradient_with_pending_points():
    case = make_case()
    pending = case.points(1, seed=5)
    acquisition = qKnowledgeGradient(case.model, sampler=sampler(), num_fantasies=32, X_pending=pending)
    x, value = case.optimize(acquisition)
    assert x.shape == (1, 3)
    jointly = qKnowledgeGradient(case.model, sampler=sampler(), num_fantasies=32)
    later = case.points(1, 32, seed=6)
    together = torch.cat([x[None], pending[None], later], 1)
    torch.testing.assert_close(acquisition(torch.cat([x[None], later], 1)), jointly(together))
    assert value > acquisition(torch.cat([x[None], later], 1))


def test_a_conditioned_model_is_stored_with_its_observations(tmp_path):
    model, (points, _) = model_of().condition_on_observations(*observed(3)), observed(4, seed=60)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    for mine, theirs in zip(moments(model, points), moments(loaded, points), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m, x, y: m.condition_on_observations(x[:, :2], y), r"X: expected the shape \(..., q, 3\)"),
        (lambda m, x, y: m.condition_on_observations(x, y[:2]), r"Y: expected the shape \(..., 3, 1\)"),
        (lambda m, x, y: m.condition_on_observations(x, y[:, 0]), r"Y: expected .* got \(3,\)"),
        (lambda m, x, y: m.condition_on_observations(x, y, noise=y), "expected X and Y alone, got noise"),
        (
            lambda m, x, y: m.condition_on_observations(x.expand(2, 3, 3), y.expand(4, 3, 1)),
            r"observations: expected batches that can be broadcast, got \(2,\) and \(4,\)",
        ),
        (
            lambda m, x, y: m.fantasize(x, sampler(), observation_noise=y),
            "fantasize: expected X and a sampler alone, got observation_noise",
        ),
        (lambda m, x, y: LastLayerModel(m.base, x, y), r"observed_y: expected the shape \(..., 3\)"),
        (lambda m, x, y: LastLayerModel(m.base, y, y[:, 0]), "observed_x: expected the shape"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make(model_of(), *observed(3))

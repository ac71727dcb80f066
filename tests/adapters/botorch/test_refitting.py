"""Refits of fold members: folds that stay, warm starts that keep the function, states that go on."""

from dataclasses import replace

import pytest
import torch
from botorch.acquisition import LogExpectedImprovement

from surrogate_opt.adapters.botorch.calibration import coverage
from surrogate_opt.adapters.botorch.ensemble_fitter import EnsembleFitter
from surrogate_opt.adapters.botorch.refitting import FoldRefitter, RefitRecipe
from surrogate_opt.adapters.botorch.trend import trend_features
from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.training.trainer import Members, train

QUICK = RefitRecipe(hidden=(8,), members=5, first_steps=30, later_steps=10, trend=False)


def data(n, seed=0):
    x = torch.rand(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x, 100.0 + 5.0 * torch.sin(3.0 * x[:, 0]) + 10.0 * x[:, 1] * x[:, 2]


def refitter(strength=1e-3, penalty="dreg", recipe=QUICK, seed=0):
    return FoldRefitter(recipe, penalty=penalty, strength=strength, seed=seed)


def test_rows_keep_their_folds_and_every_five_share_out_all_folds():
    x, y = data(23)
    one, other = (
        refitter(recipe=RefitRecipe(hidden=(8,), members=10, first_steps=2, later_steps=2)),
        refitter(recipe=RefitRecipe(hidden=(8,), members=10, first_steps=2, later_steps=2)),
    )
    one.refit(x[:11], y[:11], choose_strength=True)
    before = one.state().tensors["folds"]
    one.refit(x, y, choose_strength=False)
    after = one.state().tensors["folds"]
    assert torch.equal(after[:11], before)
    other.refit(x, y, choose_strength=True)
    assert torch.equal(other.state().tensors["folds"], after)  # however many rows came at once
    for repeat in range(2):
        for block in range(4):
            assert after[5 * block : 5 * block + 5, repeat].sort().values.tolist() == [0, 1, 2, 3, 4]
    assert not torch.equal(after[:, 0], after[:, 1])


def test_equal_rows_share_their_folds():
    x, y = data(12)
    x[7], x[11] = x[2], x[2]
    fitted = refitter()
    fitted.refit(x, y, choose_strength=True)
    folds = fitted.state().tensors["folds"]
    assert torch.equal(folds[7], folds[2])
    assert torch.equal(folds[11], folds[2])


def test_residuals_are_those_of_members_that_never_saw_the_row():
    """A row that no other explains: members that see it follow it, its residual must not know."""
    x, y = data(20)
    y[4] += 500.0
    recipe = RefitRecipe(hidden=(32,), members=5, first_steps=2000, later_steps=500, trend=False)
    fitter = refitter(recipe=recipe, strength=0.0)
    for choose in (True, False, False):
        fitted = fitter.refit(x, y, choose_strength=choose)
        seen = fitted.stack.forward(fitted.x[None])[..., 0]
        fold = int(fitter.state().tensors["folds"][4, 0])
        others = [member for member in range(5) if member != fold]
        assert (seen[others, 4] - fitted.y[4]).abs().max() < 0.6
        assert fitted.residuals[4] > 3.0
        torch.testing.assert_close(fitted.residuals[4], fitted.y[4] - seen[fold, 4])


def test_a_warm_start_keeps_the_function_when_the_target_is_rescaled():
    x, y = data(20)
    still = RefitRecipe(
        hidden=(8,),
        members=5,
        first_steps=50,
        later_steps=1,
        learning_rate=1e-12,
        weight_decay=0.0,
        trend=False,
    )
    fitter = refitter(recipe=still)
    first = fitter.refit(x[:15], y[:15], choose_strength=True)
    second = fitter.refit(x, 3.0 * y, choose_strength=False)
    assert first.scaling.y_std != pytest.approx(second.scaling.y_std)

    def raw(fitted):
        return fitted.scaling.raw_target(fitted.stack.forward(fitted.scaling.unit(x)[None])[..., 0])

    torch.testing.assert_close(raw(second), raw(first), rtol=1e-5, atol=1e-3)


def test_a_later_fit_starts_from_the_last_one():
    x, y = data(20)
    warm, cold = refitter(), refitter()
    warm.refit(x, y, choose_strength=True)
    error = [warm.refit(x, y, choose_strength=False).residuals.square().mean() for _ in range(20)][-1]
    assert error < 0.75 * cold.refit(x, y, choose_strength=True).residuals.square().mean()


def test_the_strength_is_chosen_when_asked_and_kept_otherwise():
    x, y = data(30)
    fitter = refitter(strength="auto")
    first = fitter.refit(x, y, choose_strength=True).level
    assert fitter.refit(x, y, choose_strength=False).level == first
    assert refitter(strength=0.03).refit(x, y, choose_strength=True).level == 0.03


def test_replicates_share_a_fold_and_leave_five():
    x, y = data(6)
    for rows in (
        torch.cat([torch.arange(5), torch.zeros(9, dtype=torch.int64)]),
        torch.arange(6).repeat_interleave(3),
    ):
        fitted = refitter().refit(x[rows], y[rows], choose_strength=True)
        assert fitted.held_out.any(1).all()
        assert fitted.residuals.isfinite().all()


def test_a_trend_is_left_to_the_trend():
    """A bowl and a plane need no network, and residuals know that the trend had seen the row."""
    x, _ = data(40)
    y = 1e3 + 50.0 * (x - 0.3).square().sum(1)
    fitted = refitter(recipe=replace(QUICK, trend=True)).refit(x, y, choose_strength=True)
    trend = trend_features(2.0 * x - 1.0) @ fitted.trend
    assert (trend - y).abs().max() < 0.05 * y.std()
    assert torch.equal(refitter().refit(x, y, choose_strength=True).trend, torch.zeros(5).double())


def test_where_nothing_is_learned_control_is_given_up_rather_than_the_spread():
    x, _ = data(30)
    noise = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert refitter(strength="auto").refit(x, noise, choose_strength=True).level == 0.0


@pytest.mark.parametrize("make", [lambda: EnsembleFitter(strength="auto", recipe=QUICK)], ids=["ensemble"])
def test_a_restored_fitter_goes_on_as_if_nothing_had_been(make):
    x, y = data(24)
    first, second = make(), make()
    first.fit(x[:20], y[:20], choose_strength=True)
    second.restore(first.state())
    one = first.fit(x, y, choose_strength=False).posterior(x[:4, None])
    other = second.fit(x, y, choose_strength=False).posterior(x[:4, None])
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.variance, other.variance)
    fresh = make()
    fresh.restore(make().state())  # of a fitter that has fitted nothing
    third = fresh.fit(x, y, choose_strength=False).posterior(x[:4, None])
    assert not torch.equal(third.mean, one.mean)


def test_seeds_decide():
    x, y = data(20)
    fits = [refitter(seed=seed).refit(x, y, choose_strength=True).stack.flat for seed in (0, 0, 1)]
    assert torch.equal(fits[0], fits[1])
    assert not torch.equal(fits[0], fits[2])


@pytest.mark.parametrize("penalty", ["none", "dreg", "igp", "sn", "dreg+igp"])
def test_every_penalty_gives_an_ensemble_that_acquisitions_can_climb(penalty):
    x, y = data(16)
    model = EnsembleFitter(penalty=penalty, recipe=QUICK).fit(x, y, choose_strength=True)
    leaf = x[:3, None].clone().requires_grad_()
    value = LogExpectedImprovement(model, best_f=float(y.max()))(leaf)
    assert torch.autograd.grad(value.sum(), leaf)[0].isfinite().all()


def test_an_ensemble_learns_and_covers_what_it_has_not_seen():
    x, y = data(260)
    model = EnsembleFitter(strength=1e-3).fit(x[:60], y[:60], choose_strength=True)
    posterior = model.posterior(x[60:, None])
    mean, std = posterior.mean[:, 0, 0], posterior.variance[:, 0, 0].sqrt()
    assert (mean - y[60:]).square().mean() < 0.05 * y[60:].var()
    assert coverage(mean, std, y[60:], 0.95) > 0.8


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (data(20)[0], torch.ones(20).double(), "targets: expected values that differ"),
        (data(3)[0], data(3)[1], "rows: expected at least 5 different ones"),
        (data(1)[0].expand(9, 3), data(9)[1], "rows: expected at least 5 different ones"),
    ],
    ids=["constant target", "three rows", "one point"],
)
def test_what_cannot_be_fitted_is_a_training_error(x, y, message):
    with pytest.raises(TrainingError, match=message):
        refitter().refit(x, y, choose_strength=True)


def test_an_unknown_penalty_is_named():
    with pytest.raises(InputError, match="penalty: expected one of"):
        EnsembleFitter(penalty="dregg")


def test_initial_networks_of_another_size_are_refused():
    x, y = data(10)
    members = Members(
        x=x, y=y, train_rows=torch.arange(8)[None], stop_rows=torch.arange(8, 10)[None],
        strengths=[Strength()], seeds=[0],
    )  # fmt: skip
    with pytest.raises(InputError, match=r"initial: expected 1 networks of sizes \(3, 8, 1\), got 2 of"):
        train(members, QUICK.config(8, 5), initial=StackedMLP((3, 4, 1), 2))

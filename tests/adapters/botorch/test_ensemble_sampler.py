"""Samples of ensembles: all members, the same in every t-batch element, as averages written out."""

from __future__ import annotations

import pytest
import torch
from botorch.acquisition.monte_carlo import (
    qExpectedImprovement,
    qNoisyExpectedImprovement,
    qSimpleRegret,
)
from botorch.posteriors.ensemble import EnsemblePosterior
from botorch.sampling import IIDNormalSampler
from botorch.sampling.get_sampler import get_sampler
from botorch.sampling.index_sampler import IndexSampler
from botorch.utils.sampling import manual_seed
from ensemble_cases import make_case

from surrogate_opt.adapters.botorch.sampler import AllMembersSampler, EnsembleSurrogatePosterior
from surrogate_opt.errors import InputError

VALUES = torch.randn(2, 3, 5, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FLOOR = torch.tensor([0.1, 0.2], dtype=torch.float64)
POSTERIOR = EnsembleSurrogatePosterior(VALUES, FLOOR)


@pytest.mark.parametrize("sample_shape", [[512], [3], [4, 2]], ids=str)
def test_every_member_comes_once_whatever_was_asked_for(sample_shape):
    sampler = get_sampler(POSTERIOR, sample_shape=torch.Size(sample_shape), seed=1)
    assert isinstance(sampler, AllMembersSampler)
    assert sampler.sample_shape == (5,)
    assert torch.equal(sampler(POSTERIOR), VALUES.movedim(-3, 0))


def test_botorchs_ensembles_keep_their_sampler():
    assert isinstance(get_sampler(EnsemblePosterior(VALUES), sample_shape=torch.Size([3])), IndexSampler)


def test_the_moments_are_those_of_the_samples():
    samples = AllMembersSampler(5)(POSTERIOR)
    torch.testing.assert_close(POSTERIOR.mean, samples.mean(0))
    torch.testing.assert_close(POSTERIOR.variance, samples.var(0, correction=0) + FLOOR)


def test_the_sampler_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    get_sampler(POSTERIOR, sample_shape=torch.Size([3]))(POSTERIOR)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_number_of_members_is_refused():
    with pytest.raises(InputError, match="posterior: expected 4 members, got 5"):
        AllMembersSampler(4)(POSTERIOR)


@pytest.mark.parametrize("sample_shape", [[2, 5], [7], [1], []], ids=str)
def test_draws_are_whole_members_each_once_before_any_twice(sample_shape):
    with manual_seed(3):
        draws = POSTERIOR.rsample(torch.Size(sample_shape))
    shape = sample_shape or [1]
    assert draws.shape == (*shape, 2, 3, 4, 2)
    drawn = [
        [member for member in range(5) if torch.equal(draw, VALUES[:, :, member])]
        for draw in draws.reshape(-1, 2, 3, 4, 2)
    ]
    assert all(len(members) == 1 for members in drawn)
    first_round = [members[0] for members in drawn[:5]]
    assert len(set(first_round)) == len(first_round)


def test_draws_of_one_member_are_uniform():
    with manual_seed(0):
        first = torch.stack([POSTERIOR.rsample(torch.Size([1]))[0, 0, 0, 0, 0] for _ in range(1000)])
    counts = (first[:, None] == VALUES[0, 0, :, 0, 0]).sum(0)
    assert counts.sum() == 1000
    assert ((counts - 200).abs() < 4 * (1000 * 0.2 * 0.8) ** 0.5).all()  # four standard deviations


def test_normal_base_samples_have_the_members_covariance():
    draws = IIDNormalSampler(torch.Size([40_000]), seed=0)(POSTERIOR)[:, 1, 2].flatten(1)
    members = VALUES[1, 2].flatten(1)
    expected = torch.cov(members.T, correction=0)
    # entries of a covariance of n draws deviate by about sqrt(2 / n) of the variances
    torch.testing.assert_close(torch.cov(draws.T), expected, rtol=0, atol=0.04 * float(expected.max()))


def test_whole_number_base_samples_pick_members():
    numbers = torch.randint(5, (7, 2, 3), generator=torch.Generator().manual_seed(0))
    draws = POSTERIOR.rsample_from_base_samples(torch.Size([7]), numbers)
    assert torch.equal(draws[4, 1, 2], VALUES[1, 2, numbers[4, 1, 2]])


@pytest.mark.filterwarnings("ignore::botorch.exceptions.warnings.NumericsWarning")
def test_monte_carlo_acquisitions_are_means_over_the_members():
    case = make_case()
    x, baseline = case.points(4, 2), case.points(6, seed=3)
    values = case.model(x)[..., 0]  # (4, K, 2)
    best = float(values.mean()) - 0.1
    improvement = (values.amax(-1) - best).clamp_min(0.0).mean(-1)
    torch.testing.assert_close(qExpectedImprovement(case.model, best)(x), improvement)
    torch.testing.assert_close(qSimpleRegret(case.model)(x), values.amax(-1).mean(-1))
    incumbents = case.model(baseline)[..., 0].amax(-1)  # one a member
    noisy = (values.amax(-1) - incumbents).clamp_min(0.0).mean(-1)
    torch.testing.assert_close(qNoisyExpectedImprovement(case.model, baseline)(x), noisy)


def test_the_default_sampler_of_botorch_would_move_the_other_restarts():
    """What the sampler is there for: with IndexSampler an equal point gets another value beside others."""
    posterior = make_case().model.posterior(make_case().points(1, 1).expand(6, 1, -1))
    drawn = IndexSampler(torch.Size([3]), seed=0)(posterior).mean(0)
    assert len(drawn.unique()) > 1
    assert len(AllMembersSampler(6)(posterior).mean(0).unique()) == 1

"""Acquisitions against closed forms, and their optimization against functions with a known maximum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models import ModelListGP
from loop_fitters import SMALL, Planes, RoughProcess
from scipy import stats

from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian import AcquisitionBudget
from surrogate_opt.loops.bayesian.acquisition import CONFIDENCE, check_acquisition, make_acquisition
from surrogate_opt.loops.bayesian.domain import SAME_POINT, as_domain
from surrogate_opt.loops.bayesian.numerics import NumericalError
from surrogate_opt.loops.bayesian.proposals import (
    Search,
    maximize_acquisition,
    next_sobol_point,
    thompson_point,
)
from surrogate_opt.loops.bayesian.table import ModelTable

UNIT = as_domain([[0.0, 0.0], [1.0, 1.0]])
NONE = torch.empty(0, 2).double()
POINTS = UNIT.sobol(7, seed=11)


def table(feasible: bool = True, outputs: int = 1) -> ModelTable:
    x = UNIT.sobol(10, seed=3)
    y = torch.stack([torch.sin(5 * x.sum(1)), x[:, 0] - 0.4, x[:, 1] - 0.7][:outputs], 1)
    holds = (y[:, 1:] <= 0).all(1) & feasible
    return ModelTable(
        x=x,
        outputs=y,
        units=torch.ones(outputs).double(),
        columns=tuple(range(outputs)),
        finite=torch.ones(10).bool(),
        feasible=holds,
    )


def model_of(data: ModelTable):
    models = [RoughProcess(0).fit(data.x, y, choose_strength=True) for y in data.outputs.T]
    return models[0] if len(models) == 1 else ModelListGP(*models)


def moments(model, points=POINTS):
    with torch.no_grad():
        posterior = model.posterior(points[:, None])
        return posterior.mean[:, 0].numpy(), posterior.variance[:, 0].sqrt().numpy()


def value(name, data, pending=NONE, budget=SMALL):
    acquisition = make_acquisition(name, model_of(data), data, pending, budget, seed=0)
    with torch.no_grad():
        return acquisition(POINTS[:, None]).numpy()


def log_expected_improvement(mean, std, best):
    z = (mean - best) / std
    return np.log(std * (z * stats.norm.cdf(z) + stats.norm.pdf(z)))


def test_log_ei_is_the_closed_form_over_the_best_observation():
    data = table()
    mean, std = (moment[:, 0] for moment in moments(model_of(data)))
    expected = log_expected_improvement(mean, std, data.outputs.max().item())
    np.testing.assert_allclose(value("log_ei", data), expected, rtol=1e-6)


def test_ucb_and_mean_are_their_formulas():
    data = table()
    mean, std = (moment[:, 0] for moment in moments(model_of(data)))
    np.testing.assert_allclose(value("ucb", data), mean + math.sqrt(CONFIDENCE) * std, rtol=1e-9)
    np.testing.assert_allclose(value("mean", data), mean, rtol=1e-9)


def test_constraints_weight_the_improvement_over_the_best_feasible_by_their_probability():
    data = table(outputs=3)
    mean, std = moments(model_of(data))
    best = data.outputs[data.feasible, 0].max().item()
    holds = stats.norm.logcdf(-mean[:, 1:] / std[:, 1:]).sum(1)
    expected = log_expected_improvement(mean[:, 0], std[:, 0], best) + holds
    np.testing.assert_allclose(value("log_ei", data), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["log_ei", "qlog_ei", "qlog_nei"])
def test_without_a_feasible_value_the_probability_of_feasibility_is_maximized(name):
    data = table(feasible=False, outputs=3)
    mean, std = moments(model_of(data))
    expected = stats.norm.logcdf(-mean[:, 1:] / std[:, 1:]).sum(1)
    np.testing.assert_allclose(value(name, data), expected, rtol=1e-6)


# 4096 samples of a smoothed improvement: within some hundredths of the closed form where that is not tiny
@pytest.mark.parametrize(("name", "exact"), [("qlog_ei", "log_ei"), ("qlog_nei", "log_ei"), ("qucb", "ucb")])
def test_sampled_acquisitions_come_close_to_the_closed_forms(name, exact):
    many = AcquisitionBudget(num_samples=4096)
    expected, found = value(exact, table()), value(name, table(), budget=many)
    tolerance = 0.2 if name == "qlog_nei" else 0.05  # the best value is uncertain, by the model's noise
    likely = expected > np.quantile(expected, 0.7)
    np.testing.assert_allclose(found[likely], expected[likely], atol=tolerance)


@pytest.mark.parametrize("name", ["log_ei", "qlog_ei", "qlog_nei", "ucb", "qucb", "mean"])
def test_no_acquisition_gains_anything_from_a_point_that_is_pending(name):
    """Beside a pending point, evaluating it once more is worth less than the best of the others."""
    data = table()
    first = maximize_acquisition(
        make_acquisition(name, model_of(data), data, NONE, SMALL, seed=0),
        Search(domain=UNIT, taken=NONE, best=data.best_points, budget=SMALL, seed=0),
    )
    pending = first[None]
    second = maximize_acquisition(
        make_acquisition(name, model_of(data), data, pending, SMALL, seed=0),
        Search(domain=UNIT, taken=pending, best=data.best_points, budget=SMALL, seed=0),
    )
    assert (first - second).abs().max() > SAME_POINT


def test_ensembles_refuse_the_knowledge_gradient():
    with pytest.raises(InputError, match="acquisition: expected one that needs no fantasies"):
        make_acquisition("knowledge_gradient", Planes(2), table(), NONE, SMALL, seed=0)
    with pytest.raises(InputError, match="acquisition: expected one that needs no fantasies"):
        check_acquisition("knowledge_gradient", "ensemble", 0)


def test_unknown_names_and_constraints_that_cannot_be_used_are_refused():
    with pytest.raises(InputError, match="did you mean 'log_ei'"):
        check_acquisition("logei", "gp", 0)
    with pytest.raises(InputError, match="with constraints; came 'ucb'"):
        check_acquisition("ucb", "gp", 1)


class Bowl(AcquisitionFunction):
    """-|x - center|^2, NaN within a distance of another point."""

    def __init__(self, center, hole=None):
        super().__init__(model=Planes(len(center)))
        self.center = torch.tensor(center).double()
        self.hole = hole

    def forward(self, X):
        x = X.squeeze(-2)
        found = -((x - self.center) ** 2).sum(-1)
        if self.hole is None:
            return found
        return torch.where((x - torch.tensor(self.hole)).norm(dim=-1) < 0.3, torch.nan, found)


def search(acquisition, domain, taken=None, best=None):
    nothing = torch.empty(0, domain.dim).double()
    return maximize_acquisition(
        acquisition,
        Search(
            domain=domain,
            taken=nothing if taken is None else taken,
            best=nothing if best is None else best,
            budget=SMALL,
            seed=5,
        ),
    )


def test_the_maximum_is_found_inside_and_at_the_bounds():
    domain = as_domain([[0.0] * 3, [1.0] * 3])
    found = search(Bowl([0.3, 1.7, -0.2]), domain)
    torch.testing.assert_close(found, torch.tensor([0.3, 1.0, 0.0]).double(), atol=1e-5, rtol=0)


def test_a_narrow_peak_is_found_from_a_start_near_the_best_evaluation():
    domain = as_domain([[0.0] * 8, [1.0] * 8])
    center = torch.full((8,), 0.37).double()

    class Peak(Bowl):
        def forward(self, X):  # flat beyond rounding, outside of a ball that Sobol points miss
            return torch.exp(100.0 * super().forward(X))

    near = (center + 0.02)[None]
    torch.testing.assert_close(search(Peak(center.tolist()), domain, best=near), center, atol=1e-3, rtol=0)


def test_a_taken_maximum_gives_way_to_a_point_beyond_the_tolerance():
    center = torch.tensor([[0.5, 0.5]]).double()
    found = search(Bowl([0.5, 0.5]), UNIT, taken=center)
    assert (found - center).abs().max() > SAME_POINT
    assert (found - center).norm() < 0.2


def test_nan_values_are_passed_over():
    found = search(Bowl([0.5, 0.5], hole=[0.5, 0.5]), UNIT)
    assert 0.3 <= (found - 0.5).norm() < 0.5
    with pytest.raises(NumericalError):
        search(Bowl([0.5, math.nan]), UNIT)


def test_integers_reach_the_best_of_all_combinations():
    """Rounding the relaxed maximum of a narrow slanted valley lands far from the best integer pair."""
    domain = as_domain([[0, 0, 0.0], [300, 300, 1.0]], [0, 1])

    class Valley(Bowl):
        def forward(self, X):
            a, b, c = (X.squeeze(-2) * torch.tensor([300, 300, 1])).unbind(-1)
            return -((a - b - 0.4) ** 2) - 0.02 * (a - 123.5) ** 2 - (c - 0.25 - a / 1000) ** 2

    found = domain.to_raw(search(Valley([0.0] * 3), domain))
    a, b = np.meshgrid(np.arange(301), np.arange(301), indexing="ij")
    best = (-((a - b - 0.4) ** 2) - 0.02 * (a - 123.5) ** 2).max()
    x, y, z = found.tolist()
    assert (x, y) == (round(x), round(y))
    assert -((x - y - 0.4) ** 2) - 0.02 * (x - 123.5) ** 2 == pytest.approx(best)
    assert z == pytest.approx(0.25 + x / 1000, abs=1e-4)


def test_small_integer_domains_are_searched_point_by_point():
    domain = as_domain([[0, 0], [9, 9]], [0, 1])
    scores = torch.randn(10, 10, generator=torch.Generator().manual_seed(2)).double()

    class Scores(Bowl):
        def forward(self, X):
            cell = (X.squeeze(-2) * 9).round().long()
            return scores[cell[..., 0], cell[..., 1]]

    order = scores.flatten().argsort(descending=True)
    taken = torch.stack([order // 10, order % 10], 1).double() / 9
    for rank in (0, 1, 99):
        found = (search(Scores([0.0, 0.0]), domain, taken=taken[:rank]) * 9).round().long()
        assert scores[tuple(found.tolist())] == scores.flatten()[order[rank]]
    with pytest.raises(InputError, match="all 100 are evaluated or pending"):
        search(Scores([0.0, 0.0]), domain, taken=taken)


def test_thompson_sampling_takes_each_point_as_often_as_it_is_the_best():
    """With two candidates left, the share is the probability that one exceeds the other."""
    domain = as_domain([[0, 0], [1, 1]], [0, 1])
    data = table()
    model = model_of(data)
    taken = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double()
    pair = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double()
    with torch.no_grad():
        joint = model.posterior(pair).distribution
    contrast = np.array([-1.0, 1.0])
    mean, covariance = joint.mean.numpy().ravel(), joint.covariance_matrix.numpy()
    expected = stats.norm.cdf(contrast @ mean / math.sqrt(contrast @ covariance @ contrast))

    def draw(seed):
        return thompson_point(model, Search(domain=domain, taken=taken, best=NONE, budget=SMALL, seed=seed))

    draws = [draw(seed).sum().item() == 2 for seed in range(100)]
    assert abs(np.mean(draws) - expected) < 4 * math.sqrt(0.25 / 100)


def test_the_next_sobol_point_passes_over_those_taken_and_counts_them():
    sequence = UNIT.sobol(4, seed=1)
    point, used = next_sobol_point(UNIT, sequence[[0, 1]], seed=1, first=0)
    assert torch.equal(point, sequence[2])
    assert used == 3

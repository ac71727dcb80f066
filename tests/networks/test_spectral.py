"""Spectral norms and power iteration against singular value decompositions, at degenerate matrices too."""

import math

import pytest
import torch

from surrogate_opt.networks import PowerIteration, spectral_norms


def _orthogonal(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(rows, columns, generator=generator, dtype=torch.float64))[0]


def _random(rows, columns, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


MATRICES = {
    "random": _random(6, 4),
    "wide": _random(3, 7),
    "one column": _random(5, 1),
    "one row": _random(1, 5),
    "rank one": _random(6, 1, 1) @ _random(1, 4, 2),
    "equal singular values": 1.7 * _orthogonal(6, 4, 3),
    "two leading ones": _orthogonal(6, 4, 4) @ torch.diag(torch.tensor([3.0, 3.0, 1.0, 0.5])).double(),
    "tiny": 1e-12 * _random(6, 4),
    "huge": 1e12 * _random(6, 4),
    "a zero column": torch.cat([torch.zeros(6, 1).double(), _random(6, 3)], 1),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_norm_agrees_with_the_decomposition(name, dtype, tolerance):
    weight = MATRICES[name][None].to(dtype)
    left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
    torch.testing.assert_close(spectral_norms(weight).double(), values[:, 0], rtol=tolerance, atol=0)
    state = PowerIteration.start(weight, 500)
    torch.testing.assert_close(state.norm[:, 0, 0].double(), values[:, 0], rtol=tolerance, atol=0)
    # the singular vectors lie in the leading space: with several leading values they are not unique
    leading = values[0] > values[0, 0] * (1 - 1e-6)
    for vector, basis in ((state.left, left[0]), (state.right, right[0].T)):
        share = (vector[0].double() @ basis[:, leading]).norm()
        torch.testing.assert_close(share, torch.tensor(1.0).double(), rtol=0, atol=1e-4)


def test_one_stack_of_different_matrices():
    weight = torch.stack([_random(6, 4), torch.zeros(6, 4).double(), 5.0 * _orthogonal(6, 4, 9)])
    expected = torch.linalg.svdvals(weight)[:, 0]
    torch.testing.assert_close(spectral_norms(weight), expected)
    torch.testing.assert_close(PowerIteration.start(weight, 500).norm[:, 0, 0], expected)


def test_a_zero_matrix_is_left_alone():
    weight = torch.zeros(1, 3, 2)
    state = PowerIteration.start(weight)
    bound = torch.ones(1, 1, 1)
    assert spectral_norms(weight).tolist() == [0.0]
    assert state.norm.item() < 1e-20
    shrinkage = state.shrinkage(bound)
    assert shrinkage.tolist() == [[[1.0]]]
    gradient = torch.randn(1, 3, 2, generator=torch.Generator().manual_seed(0))
    before = gradient.clone()
    state.pull_back(gradient, weight, shrinkage)
    assert torch.equal(gradient, before)


def test_what_is_not_finite_has_no_norm_and_spoils_no_other():
    weight = torch.stack([_random(4, 3), _random(4, 3)])
    weight[0, 1, 1] = math.nan
    norms = spectral_norms(weight)
    assert math.isnan(norms[0])
    assert norms[1] == spectral_norms(weight[1:])[0]


@pytest.mark.parametrize("bound", [0.3, 2.0, 1e6])
def test_shrinkage_and_its_pull_back(bound):
    """Autograd through W min(1, c / sigma), at members whose norm is above and below the bound."""
    weight = torch.stack([_random(5, 4), 0.1 * _random(5, 4, 1)]).requires_grad_()
    gradient = torch.stack([_random(5, 4, 2), _random(5, 4, 3)])
    c = torch.full((2, 1, 1), bound, dtype=torch.float64)
    norm = torch.linalg.matrix_norm(weight, ord=2)[:, None, None]
    (weight * (c / norm).clamp_max(1.0) * gradient).sum().backward()
    with torch.no_grad():
        state = PowerIteration.start(weight, 500)
        shrinkage = state.shrinkage(c)
        assert (spectral_norms(weight * shrinkage) <= bound * (1 + 1e-12)).all()
        state.pull_back(gradient, weight, shrinkage)
        torch.testing.assert_close(gradient, weight.grad, rtol=1e-9, atol=1e-12)


def test_an_infinite_bound_changes_nothing():
    weight, gradient = _random(5, 4)[None], _random(5, 4, 2)[None]
    state = PowerIteration.start(weight)
    shrinkage = state.shrinkage(torch.full((1, 1, 1), math.inf, dtype=torch.float64))
    assert torch.equal(weight * shrinkage, weight)
    before = gradient.clone()
    state.pull_back(gradient, weight, shrinkage)
    assert torch.equal(gradient, before)

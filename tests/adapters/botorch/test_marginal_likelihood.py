"""The closed form against torch's multivariate normal, its gradient against autograd and differences."""

import pytest
import torch

from surrogate_opt.adapters.botorch.marginal_likelihood import (
    kernel_matrix,
    negative_log_likelihood,
    squared_exponential,
)


def arguments(batch=(), n=9, p=3, r=2, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*batch, *shape, generator=generator, dtype=torch.float64)

    noise = 0.05 + torch.rand(batch, generator=generator, dtype=torch.float64)
    return draw(n, p), draw(n, r), noise, draw(n)


def dense(z, t, noise, residual):
    """The same by autograd through everything."""
    n = z.shape[-2]
    matrix = torch.exp(-0.5 * (z[..., :, None, :] - z[..., None, :, :]).square().sum(-1)) + t @ t.mT
    matrix = matrix + noise[..., None, None] * torch.eye(n, dtype=torch.float64)
    return -torch.distributions.MultivariateNormal(torch.zeros_like(residual), matrix).log_prob(residual)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("r", [0, 2])
def test_value_and_gradient_are_those_of_the_dense_normal(batch, r):
    ours = [a.requires_grad_() for a in arguments(batch, r=r)]
    theirs = [a.detach().clone().requires_grad_() for a in ours]
    value, truth = negative_log_likelihood(*ours), dense(*theirs)
    torch.testing.assert_close(value, truth)
    weight = torch.linspace(0.5, 2.0, truth.numel(), dtype=torch.float64).view(truth.shape)
    found = torch.autograd.grad((weight * value).sum(), ours)
    expected = torch.autograd.grad((weight * truth).sum(), theirs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_gradient_at_equal_points():
    z, t, noise, residual = arguments()
    z[1], t[1] = z[0], t[0]
    leaves = [a.requires_grad_() for a in (z, t, noise, residual)]
    assert torch.autograd.gradcheck(negative_log_likelihood, leaves)


def test_a_matrix_that_is_not_positive_definite_raises():
    z, t, noise, residual = arguments()
    with pytest.raises(torch.linalg.LinAlgError):
        negative_log_likelihood(z, t, noise - 10.0, residual)


def test_the_kernel_between_two_sets():
    z, t, _, _ = arguments()
    pairs = torch.exp(-0.5 * torch.cdist(z[:4], z).square()) + t[:4] @ t.T
    torch.testing.assert_close(kernel_matrix(z[:4], t[:4], z, t), pairs)
    assert (squared_exponential(1e4 + z, 1e4 + z) <= 1.0).all()  # rounding must not lift it above 1

"""The random cosines against the kernel that they stand for."""

from __future__ import annotations

import math

import torch

from surrogate_opt.adapters.botorch.fourier_features import LENGTH_SCALE, NUM_WAVES, FourierFeatures


def points(seed=0, dim=6):
    return 2.0 * torch.rand(20, dim, generator=torch.Generator().manual_seed(seed)).double() - 1.0


def test_products_are_the_rbf_kernel():
    """Over 200 draws; a single draw errs by about 1 / sqrt(256)."""
    u = points()
    draws = torch.stack([FourierFeatures.draw(6, seed=seed)(u) for seed in range(200)])
    assert draws.shape == (200, 20, NUM_WAVES)
    kernel = torch.exp(-0.5 * (torch.cdist(u, u) / (LENGTH_SCALE * math.sqrt(6.0))).square())
    found = draws @ draws.mT
    torch.testing.assert_close(found.mean(0), kernel, rtol=0, atol=0.02)
    assert (found - kernel).square().mean().sqrt() < 1.5 / math.sqrt(NUM_WAVES)


def test_the_seed_decides():
    first, again, other = (FourierFeatures.draw(3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.frequencies, again.frequencies)
    assert torch.equal(first.phases, again.phases)
    assert not torch.allclose(first.frequencies, other.frequencies)

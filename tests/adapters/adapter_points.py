"""A function with known gradients, and points of its box, for the tests of adapters."""

from __future__ import annotations

import torch

BOUNDS = torch.tensor([[-1.0, 0.0, 2.0], [1.0, 10.0, 2.5]]).double()
SHAPES = [(3,), (5, 3), (2, 4, 3), (1, 3), (5, 1, 3)]


def points(*shape, bounds=BOUNDS, seed=0):
    u = torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.lerp(bounds[0], bounds[1], u)


def formula(x):
    """sum of sin(x_i) x_0, in torch."""
    return (torch.sin(x) * x[..., :1]).sum(-1)


def truth(x):
    leaf = x.clone().requires_grad_()
    value = formula(leaf)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]

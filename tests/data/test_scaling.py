"""Scaling against autograd and exact round trips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from surrogate_opt import data


def _uniform(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


_BOX = torch.tensor([[-3.0, 0.1, 1e6], [5.0, 0.3, 1e6 + 1]], dtype=torch.float64)
_SCALING = data.Scaling(_BOX[0], _BOX[1], y_mean=-40.0, y_std=2.5)


def test_scaling_sends_bounds_to_plus_and_minus_one_and_back_exactly() -> None:
    assert _SCALING.unit(_BOX).tolist() == [[-1.0] * 3, [1.0] * 3]
    signs = torch.tensor([[-1.0] * 3, [1.0] * 3])
    assert torch.equal(_SCALING.raw(signs), _BOX)
    assert torch.equal(_SCALING.raw(signs.double()), _BOX)


@given(st.lists(st.floats(-2.0, 3.0), min_size=3, max_size=3), st.floats(-1e6, 1e6))
@settings(max_examples=50, deadline=None)
def test_scaling_round_trip(weights: list[float], y: float) -> None:
    x = torch.lerp(_BOX[0], _BOX[1], torch.tensor(weights, dtype=torch.float64))
    # A few roundings of numbers as large as the bounds.
    slack = 8 * np.finfo(np.float64).eps * _BOX.abs().amax(0)
    assert bool(((_SCALING.raw(_SCALING.unit(x)) - x).abs() <= slack).all())
    target = torch.tensor([y], dtype=torch.float64)
    back = _SCALING.raw_target(_SCALING.unit_target(target))
    assert float((back - target).abs()) <= 8 * np.finfo(np.float64).eps * max(abs(y), 40.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scaling_from_data_gives_zero_mean_and_unit_std_in_float64(dtype: torch.dtype) -> None:
    x, y = _uniform(50, 2).to(dtype), (1e3 + 5 * _uniform(50, 1)[:, 0]).to(dtype)
    scaling = data.Scaling.from_data(data.data_bounds(x), y)
    unit = scaling.unit_target(y)
    assert unit.dtype == scaling.unit(x).dtype == torch.float64
    assert float(unit.mean()) == pytest.approx(0.0, abs=1e-10)
    assert float(unit.square().mean()) == pytest.approx(1.0, abs=1e-10)


def test_gradient_factor_agrees_with_autograd() -> None:
    def network(unit: Tensor) -> Tensor:
        return torch.sin(unit).sum(-1) + unit.prod(-1)

    x = torch.lerp(_BOX[0], _BOX[1], _uniform(4, 3)).requires_grad_()
    (expected,) = torch.autograd.grad(_SCALING.raw_target(network(_SCALING.unit(x))).sum(), x)
    unit = _SCALING.unit(x).detach().requires_grad_()
    (inner,) = torch.autograd.grad(network(unit).sum(), unit)
    torch.testing.assert_close(inner * _SCALING.gradient_factor, expected, rtol=1e-12, atol=0.0)

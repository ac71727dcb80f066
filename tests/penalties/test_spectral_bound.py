"""Bounded spectral norms and sharpness-aware steps, against torch's parametrization and the definition."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from surrogate_opt.errors import InputError
from surrogate_opt.penalties import SAM, bound_spectral_norms


def largest(layer):
    return torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()


@pytest.mark.parametrize("make", [lambda: nn.Linear(7, 5), lambda: nn.Conv2d(3, 4, 3)])
@pytest.mark.parametrize("bound", [0.4, 2.0])
def test_norms_are_at_most_the_bound(make, bound):
    torch.manual_seed(0)
    layer = make().double()
    with torch.no_grad():
        layer.weight.mul_(3.0)
    raw, before = layer.weight.detach().clone(), largest(layer)
    bound_spectral_norms(layer, bound).eval()
    assert largest(layer) == pytest.approx(min(bound, before), rel=1e-9)
    torch.testing.assert_close(layer.weight.detach(), raw * min(1.0, bound / before))


def test_at_bound_1_it_is_torchs():
    torch.manual_seed(0)
    mine, theirs = nn.Linear(6, 6).double(), nn.Linear(6, 6).double()
    with torch.no_grad():
        mine.weight.mul_(4.0)
    theirs.load_state_dict(mine.state_dict())
    bound_spectral_norms(mine).train()
    spectral_norm(theirs, n_power_iterations=50).train()
    for _ in range(200):
        _ = mine.weight
    x = torch.randn(5, 6, dtype=torch.float64)
    torch.testing.assert_close(mine(x), theirs(x), rtol=1e-6, atol=1e-6)
    for layer in (mine, theirs):
        layer(x).square().sum().backward()
    mine_raw, their_raw = (layer.parametrizations.weight.original.grad for layer in (mine, theirs))
    torch.testing.assert_close(mine_raw, their_raw, rtol=1e-5, atol=1e-5)


def test_training_keeps_to_the_bound_once_evaluated():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 1))
    bound_spectral_norms(model, 0.8)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    x = torch.randn(64, 3)
    for _ in range(60):
        optimizer.zero_grad()
        (model(x) - 5.0 * x[:, :1]).square().mean().backward()
        optimizer.step()
    model.eval()
    assert max(largest(model[0]), largest(model[2])) <= 0.8 * (1.0 + 1e-5)
    assert max(largest(model[0]), largest(model[2])) > 0.79


def test_weights_that_change_while_evaluating_stay_bounded():
    torch.manual_seed(2)
    layer = bound_spectral_norms(nn.Linear(6, 6), 1.0).eval()
    for scale in (3.0, 10.0):
        _ = layer.weight
        with torch.no_grad():
            layer.parametrizations.weight.original.copy_(scale * torch.randn(6, 6))
        raw = layer.parametrizations.weight.original
        torch.testing.assert_close(layer.weight, raw / torch.linalg.matrix_norm(raw, 2))


def test_zero_weights_have_gradients_and_are_bounded_once_they_grow():
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    bound_spectral_norms(layer, 1.0)
    layer(torch.ones(2, 4)).sum().backward()
    raw = layer.parametrizations.weight.original
    assert raw.grad.isfinite().all()
    with torch.no_grad():
        raw.copy_(10.0 * torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    for _ in range(30):
        _ = layer.weight
    assert largest(layer) == pytest.approx(1.0, rel=1e-2)


def test_half_precision_is_bounded_too():
    layer = bound_spectral_norms(nn.Linear(6, 6).bfloat16(), 0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(torch.randn(2, 6))
    assert layer.eval()(torch.randn(2, 6).bfloat16()).isfinite().all()
    assert torch.linalg.matrix_norm(layer.weight.detach().float(), 2) <= 0.51


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("training", [True, False])
def test_a_bounded_layer_can_change_its_precision(dtype, training):
    torch.manual_seed(3)
    layer = bound_spectral_norms(nn.Linear(6, 6), 0.5).train(training)
    layer(torch.randn(2, 6))
    layer.to(dtype)
    assert layer(torch.randn(2, 6, dtype=dtype)).isfinite().all()
    assert torch.linalg.matrix_norm(layer.eval().weight.detach().double(), 2) <= 0.51


def test_a_loaded_state_is_bounded_whatever_was_evaluated_before():
    """The checkpoint has the layer's weight, but vectors that have not met it yet."""
    torch.manual_seed(4)
    layer, saved = (bound_spectral_norms(nn.Linear(6, 6), 1.0).eval() for _ in range(2))
    weight = 20.0 * torch.randn(6, 6)
    for own in (layer, saved):
        own.parametrizations.weight.original.data.copy_(weight)
    assert largest(layer) == pytest.approx(1.0, rel=1e-5)
    layer.load_state_dict(saved.state_dict())
    assert largest(layer) == pytest.approx(1.0, rel=1e-5)


def test_what_has_no_layers_or_bound_is_refused():
    with pytest.raises(InputError, match="at least one Linear or Conv layer"):
        bound_spectral_norms(nn.Tanh())
    with pytest.raises(InputError, match="bound: expected a positive number, got 0"):
        bound_spectral_norms(nn.Linear(2, 2), 0.0)


def test_a_sharpness_aware_step_uses_the_gradient_at_the_worst_neighbor():
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    curvature = torch.tensor([1.0, 10.0], dtype=torch.float64)

    def loss():
        return 0.5 * (curvature * weight.square()).sum()

    before = weight.detach().clone()
    gradient = curvature * before
    at_worst = curvature * (before + 0.1 * gradient / gradient.norm())
    value = SAM(torch.optim.SGD([weight], lr=0.01), rho=0.1).step(loss)
    torch.testing.assert_close(weight.detach(), before - 0.01 * at_worst)
    assert value.item() == pytest.approx(0.5 * (1.0 + 40.0))
    with pytest.raises(InputError, match="rho: expected a positive number"):
        SAM(torch.optim.SGD([weight], lr=0.01), rho=0.0)


def test_sam_refuses_a_closure_that_calls_backward():
    model = nn.Linear(2, 1)

    def closure():
        loss = model(torch.ones(3, 2)).square().mean()
        loss.backward()
        return loss

    with pytest.raises(InputError, match="without calling backward"):
        SAM(torch.optim.SGD(model.parameters(), lr=0.1)).step(closure)

"""Jacobian penalties on torch modules against full Jacobians, and the identities of Varga et al."""

import math

import pytest
import torch
from torch import nn
from torch.func import grad, jacrev, vmap

from surrogate_opt import penalties
from surrogate_opt.errors import InputError
from surrogate_opt.penalties import (
    DREG,
    IGP,
    Confidence,
    DataGrad,
    FrobReg,
    JacReg,
    OneHot,
    RandomOneHot,
    Sobolev,
    SpectReg,
)
from surrogate_opt.penalties.modules.module_penalty import ModulePenalty

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, 2, 1, 1, 0, 2])


class Constant(nn.Module):
    def forward(self, x):
        return torch.ones(len(x), 2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 3)).double()


def jacobians(model, probabilities=False):
    def one(x):
        logits = model(x)
        return logits.softmax(0) if probabilities else logits

    return vmap(jacrev(one))(X)


def test_frobenius_norms_of_logits_and_of_probabilities(model):
    torch.testing.assert_close(FrobReg(model)(X), jacobians(model).square().sum((1, 2)).mean())
    torch.testing.assert_close(JacReg(model)(X), jacobians(model, True).square().sum((1, 2)).mean())
    torch.testing.assert_close(IGP(model)(X), FrobReg(model)(X))


def test_jacobian_reg_counts_half(model):
    """Hoffman, Roberts & Yaida 2019: random projections on the unit sphere, times the number of outputs."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(20_000, 1, 3, generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=-1, keepdim=True)
    squares = (directions @ jacobians(model)[:, None].expand(-1, 20_000, -1, -1)).square().sum((-1, -2))
    torch.testing.assert_close(FrobReg(model)(X) / 2.0, 3 * squares.mean() / 2.0, rtol=0.01, atol=0.0)
    every = [
        torch.autograd.grad(model(x)[:, output].sum(), x)[0].square().sum() / len(X) / 2.0
        for output in range(3)
        for x in [X.clone().requires_grad_()]
    ]  # its exact mode, n = -1
    torch.testing.assert_close(FrobReg(model)(X) / 2.0, torch.stack(every).sum())


@pytest.mark.parametrize("squeezed", [True, False])
def test_of_one_output_igp_is_the_squared_input_gradient(squeezed):
    torch.manual_seed(1)
    layers = [nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), *([nn.Flatten(0)] if squeezed else [])]
    model = nn.Sequential(*layers).double()
    expected = vmap(grad(lambda x: model(x[None]).squeeze()))(X).square().sum(1).mean()
    torch.testing.assert_close(IGP(model)(X), expected)


@pytest.mark.parametrize(("penalty", "share"), [(SpectReg, 1.0 / 3.0), (RandomOneHot, 1.0)])
def test_random_projections_are_unbiased(model, penalty, share):
    """Varga et al., Claim 1; SpectReg's covariance is I / m."""
    draws = penalty(model, seed=1)
    with torch.no_grad():
        values = torch.stack([draws(X) for _ in range(2000)])
    expected = share * FrobReg(model)(X).item()
    assert abs(values.mean() - expected) < 4.0 * values.std() / math.sqrt(len(values))
    torch.testing.assert_close(penalty(model, seed=1)(X).detach(), values[0])


def test_datagrad_is_the_projection_by_the_loss(model):
    """Varga et al., Claim 2: ||J^T (softmax(g) - y)||^2; and the gradient of every example's loss."""
    w = model(X).softmax(1) - nn.functional.one_hot(LABELS, 3)
    projected = torch.einsum("nmd,nm->nd", jacobians(model), w)
    torch.testing.assert_close(DataGrad(model)(X, LABELS), projected.square().sum(1).mean())

    def loss(x, label):
        return nn.functional.cross_entropy(model(x[None]), label[None])

    own = vmap(grad(loss))(X, LABELS)
    torch.testing.assert_close(DataGrad(model)(X, LABELS), own.square().sum(1).mean())


def test_datagrad_takes_any_loss(model):
    target = torch.zeros(6, 3).double()
    penalty = DataGrad(model, lambda output, y: (output - y).square().sum(1))
    own = vmap(grad(lambda x: model(x).square().sum()))(X)
    torch.testing.assert_close(penalty(X, target), own.square().sum(1).mean())


def test_a_mean_loss_and_a_single_logit_are_refused(model):
    with pytest.raises(InputError, match=r"loss: expected one number an example, \(6,\), got \(\)"):
        DataGrad(model, nn.CrossEntropyLoss())(X, LABELS)
    single = nn.Linear(4, 1).double()
    for penalty in (JacReg(single), Confidence(single), DataGrad(single), OneHot(single)):
        with pytest.raises(InputError, match="at least two logits an example"):
            penalty(X, LABELS)


def test_one_hot_is_the_true_labels_logit(model):
    rows = jacobians(model)[torch.arange(6), LABELS]
    torch.testing.assert_close(OneHot(model)(X, LABELS), rows.square().sum(1).mean())


def test_sobolev_compares_gradients():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    truth = torch.cos(X)
    own = vmap(grad(lambda x: model(x).squeeze()))(X)
    torch.testing.assert_close(Sobolev(model)(X, truth), (own - truth).square().sum(1).mean())
    with pytest.raises(InputError, match=r"y: expected gradients of the shape \(6, 4\), got the shape"):
        Sobolev(model)(X, truth[:, :2])


def test_confidence_is_the_negative_entropy(model):
    p = model(X).softmax(1)
    torch.testing.assert_close(Confidence(model)(X), -torch.distributions.Categorical(p).entropy().mean())


PENALTIES = [FrobReg, JacReg, SpectReg, OneHot, RandomOneHot, DataGrad, Confidence, DREG]


@pytest.mark.parametrize("penalty", PENALTIES)
def test_gradients_by_the_weights_agree_with_differences(penalty, model):
    target = LABELS if penalty.needs_target else None
    parameters = list(model.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    generator = torch.Generator().manual_seed(3)
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in before]

    def value(shift):
        with torch.no_grad():
            for parameter, kept, direction in zip(parameters, before, directions, strict=True):
                parameter.copy_(kept + shift * direction)
        return penalty(model)(X, target).item()

    found = torch.autograd.grad(penalty(model)(X, target), parameters, allow_unused=True)
    slope = sum((g * v).sum() for g, v in zip(found, directions, strict=True) if g is not None)
    assert float(slope) == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_output_and_value_come_from_one_pass(penalty, model):
    target = LABELS if penalty.needs_target else None
    output, value = penalty(model).with_output(X, target)
    torch.testing.assert_close(output, model(X))
    torch.testing.assert_close(value, penalty(model)(X, target))
    with torch.no_grad():
        torch.testing.assert_close(penalty(model)(X, target), value.detach())
    assert not X.requires_grad


CASES = {
    **{penalty: (3, LABELS if penalty.needs_target else None) for penalty in [*PENALTIES, IGP]},
    Sobolev: (1, torch.cos(X)),
}


def test_every_penalty_is_a_case():
    offered = (value for value in vars(penalties).values() if isinstance(value, type))
    assert set(CASES) == {kind for kind in offered if issubclass(kind, ModulePenalty)}


def has_graph(tensor):
    return tensor.requires_grad or tensor.grad_fn is not None


@pytest.mark.parametrize("penalty", CASES)
@pytest.mark.parametrize("differentiable", [False, True])
def test_without_gradients_the_value_is_the_same_and_no_graph_stays(penalty, differentiable):
    num_outputs, target = CASES[penalty]
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, num_outputs)).double()
    x = X.clone().requires_grad_(differentiable)
    output, value = penalty(model).with_output(x, target)
    assert has_graph(output)
    assert has_graph(value)
    with torch.no_grad():
        plain_output, plain_value = penalty(model).with_output(x, target)
        called = penalty(model)(x, target)
    assert not any(has_graph(tensor) for tensor in (plain_output, plain_value, called))
    torch.testing.assert_close(plain_output, output.detach(), rtol=0.0, atol=0.0)
    for plain in (plain_value, called):  # rounding: a backward pass with its graph may sum in another order
        torch.testing.assert_close(plain, value.detach(), rtol=1e-14, atol=0.0)
    assert (x.requires_grad, x.grad) == (differentiable, None)


def test_targets_are_asked_for(model):
    with pytest.raises(InputError, match=r"y: DataGrad needs targets, penalty\(x, y\); got none"):
        DataGrad(model)(X)
    with pytest.raises(InputError, match=r"y: expected labels, whole numbers of the shape \(n,\), got"):
        OneHot(model)(X, LABELS.double())
    with pytest.raises(InputError, match=r"x: expected floating-point inputs, got torch\.int64"):
        FrobReg(model)(X.long())
    with pytest.raises(InputError, match="depends on the input"):
        IGP(Constant())(X)


@pytest.mark.parametrize("penalty", [penalties.IGP, penalties.JacReg, penalties.Sobolev])
def test_batch_normalization_does_not_hide_gradients(penalty):
    """Examples are coupled by the batch's statistics; with these held the penalty is hardly another."""
    torch.manual_seed(0)
    num_outputs = 1 if penalty is penalties.Sobolev else 3
    network = nn.Sequential(nn.Linear(5, 32), nn.BatchNorm1d(32, momentum=1.0), nn.ReLU())
    network.extend([nn.Linear(32, num_outputs), nn.BatchNorm1d(num_outputs, momentum=1.0)]).double()
    x = torch.randn(256, 5, dtype=torch.float64)
    target = [torch.zeros_like(x)] if penalty is penalties.Sobolev else []
    coupled = penalty(network)(x, *target).item()
    held = penalty(network.eval())(x, *target).item()
    assert coupled == pytest.approx(held, rel=0.1)


def test_outputs_that_are_no_tensor_are_refused():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    for penalty in (penalties.IGP, penalties.SpectReg, penalties.Confidence):
        with pytest.raises(InputError, match="expected one tensor as output, got tuple"):
            penalty(Pair())(torch.randn(3, 2))

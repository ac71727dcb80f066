"""The closed-form gradient against autograd, for every method, activation and shape of network.

The reference knows nothing of the toolkit's formulas: slopes by autograd of the activation, input gradients
by double backpropagation, spectral bounds by differentiating through W min(1, c / sigma) with torch's norm.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogate_opt.networks import ACTIVATIONS, StackedMLP
from surrogate_opt.penalties import Strength
from surrogate_opt.training.losses import CROSS_ENTROPY, SQUARED_ERROR
from surrogate_opt.training.step import ClosedFormGradient, Controls

FUNCTIONS = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
}
STRENGTHS = {  # one a member, of different size, one of them off
    "none": [Strength(), Strength(), Strength()],
    "dreg": [Strength(), Strength(dreg=0.03), Strength(dreg=2.0)],
    "igp": [Strength(igp=0.5), Strength(), Strength(igp=0.01)],
    "dreg+igp": [Strength(dreg=0.1, igp=0.2), Strength(dreg=0.3), Strength(igp=0.7)],
    "sn": [Strength(spectral_bound=0.5), Strength(), Strength(spectral_bound=1.0)],
    "all": [
        Strength(dreg=0.1, igp=0.2, spectral_bound=0.6),
        Strength(dreg=0.3, spectral_bound=50.0),
        Strength(igp=0.7, spectral_bound=1.3),
    ],
    "sn exact": [
        Strength(spectral_bound=3.0, spectral_exact=True),
        Strength(),
        Strength(spectral_bound=0.4, spectral_exact=True),
    ],
    "datagrad": [Strength(datagrad=0.5), Strength(), Strength(datagrad=0.01)],
    "all and datagrad": [
        Strength(dreg=0.1, igp=0.2, datagrad=0.3),
        Strength(datagrad=0.4, spectral_bound=0.9),
        Strength(igp=0.7),
    ],
}
HIDDEN = {"no hidden layer": (), "one": (5,), "three": (6, 5, 7)}
PRECISIONS = [*((hidden, torch.float64) for hidden in HIDDEN), ("three", torch.float32)]
TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-3}
BATCH, INPUTS = 7, 4


def random_problem(sizes, activation, dtype):
    stack = StackedMLP(sizes, 3, activation, dtype=torch.float64).initialize([0, 1, 2])
    generator = torch.Generator().manual_seed(5)
    stack.flat.add_(0.3 * torch.randn(stack.flat.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(3, BATCH, sizes[0], generator=generator, dtype=torch.float64)
    y = torch.randn(3, BATCH, sizes[-1], generator=generator, dtype=torch.float64)
    return stack.to(dtype), x.to(dtype), y.to(dtype)


def closed_form(stack, x, y, strengths, loss=SQUARED_ERROR):
    gradient = ClosedFormGradient(stack, Controls.of(strengths, stack.flat), loss)
    if gradient.bound is not None:
        gradient.bound.bounded_weights(iterations=400)
    gradient(x, y)
    return gradient.flat


def member_loss(weights, biases, coefficients, activation, x, y, strength):
    """The penalized loss of one network, written down plainly."""
    x = x.clone().requires_grad_()
    if math.isfinite(strength.spectral_bound):
        most = math.inf if strength.spectral_exact else 1.0
        weights = [
            w * (strength.spectral_bound / torch.linalg.matrix_norm(w, ord=2)).clamp_max(most)
            for w in weights
        ]
    h, layer_norms = x, []
    for layer in range(len(weights) - 1):
        z = h @ weights[layer] + biases[layer]
        if activation == "poly":
            a = coefficients[layer]
            h = a[0] + a[1] * z + a[2] * z**2
        else:
            h = FUNCTIONS[activation](z)
        (slope,) = torch.autograd.grad(h.sum(), z, create_graph=True)
        jacobians = slope[:, None, :] * weights[layer]
        layer_norms.append(jacobians.square().sum((1, 2)).mean())
    output = h @ weights[-1] + biases[-1]
    layer_norms.append(weights[-1].square().sum())
    if y.dtype == torch.int64:
        losses = torch.nn.functional.cross_entropy(output, y, reduction="none")
    else:
        losses = (output - y).square().mean(1)
    loss = losses.mean() + strength.dreg * torch.stack(layer_norms).mean()
    if strength.datagrad:
        (slopes,) = torch.autograd.grad(losses.sum(), x, create_graph=True)
        loss = loss + strength.datagrad * slopes.square().sum(-1).mean()
    if strength.igp:
        for column in output.unbind(1):
            (slopes,) = torch.autograd.grad(column.sum(), x, create_graph=True)
            loss = loss + strength.igp * slopes.square().sum(-1).mean()
    return loss


def by_autograd(stack, x, y, strengths):
    reference = stack.to(torch.float64)
    leaf = reference.flat.clone().requires_grad_()
    weights, biases, coefficients = reference.views(leaf)
    total = sum(
        member_loss(
            [w[p] for w in weights],
            [b[p] for b in biases],
            [c[p] for c in coefficients],
            stack.activation.name,
            x[p].double(),
            y[p] if y.dtype == torch.int64 else y[p].double(),
            strength,
        )
        for p, strength in enumerate(strengths)
    )
    (gradient,) = torch.autograd.grad(total, leaf)
    return gradient


def assert_blocks_agree(stack, got, expected, tolerance):
    """Every block of parameters of every member, relative to the block's own size."""
    for mine, theirs in zip(
        [block for part in stack.views(got) for block in part],
        [block for part in stack.views(expected) for block in part],
        strict=True,
    ):
        for member in range(stack.num_members):
            error = (mine[member].double() - theirs[member]).norm()
            assert error <= tolerance * theirs[member].norm() + tolerance * 1e-3


@pytest.mark.parametrize(("hidden", "dtype"), PRECISIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("method", STRENGTHS)
def test_closed_form_agrees_with_autograd(method, activation, hidden, dtype):
    stack, x, y = random_problem((INPUTS, *HIDDEN[hidden], 1), activation, dtype)
    got = closed_form(stack, x, y, STRENGTHS[method])
    assert_blocks_agree(stack, got, by_autograd(stack, x, y, STRENGTHS[method]), TOLERANCE[dtype])


@pytest.mark.parametrize(("hidden", "dtype"), PRECISIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("method", STRENGTHS)
def test_several_outputs(method, activation, hidden, dtype):
    stack, x, y = random_problem((INPUTS, *HIDDEN[hidden], 3), activation, dtype)
    got = closed_form(stack, x, y, STRENGTHS[method])
    assert_blocks_agree(stack, got, by_autograd(stack, x, y, STRENGTHS[method]), TOLERANCE[dtype])


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("method", ["none", "dreg", "igp", "all and datagrad"])
def test_labels(method, activation, hidden):
    stack, x, _ = random_problem((INPUTS, *HIDDEN[hidden], 3), activation, torch.float64)
    labels = torch.randint(3, (3, BATCH), generator=torch.Generator().manual_seed(6))
    got = closed_form(stack, x, labels, STRENGTHS[method], CROSS_ENTROPY)
    assert_blocks_agree(stack, got, by_autograd(stack, x, labels, STRENGTHS[method]), 1e-6)


@pytest.mark.parametrize("loss", [SQUARED_ERROR, CROSS_ENTROPY])
def test_losses_agree_with_autograd(loss):
    generator = torch.Generator().manual_seed(0)
    output, direction = torch.randn(2, 2, 5, 3, generator=generator, dtype=torch.float64)
    target = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    if loss is CROSS_ENTROPY:
        target = torch.randint(3, (1, 5), generator=generator)
    output.requires_grad_()
    value = loss.value(output, target)
    (slopes,) = torch.autograd.grad(value.sum(), output, create_graph=True)
    (curved,) = torch.autograd.grad((slopes * direction).sum(), output)
    assert value.shape == (2, 5)
    torch.testing.assert_close(loss.gradient(output.detach(), target), slopes.detach())
    torch.testing.assert_close(loss.curvature_product(output.detach(), direction), curved)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_second_call_forgets_the_first(activation):
    stack, x, y = random_problem((INPUTS, 5, 6, 1), activation, torch.float64)
    controls = Controls.of(STRENGTHS["dreg+igp"], stack.flat)
    gradient = ClosedFormGradient(stack, controls)
    gradient(x + 1.0, y - 2.0)
    gradient(x, y)
    fresh = ClosedFormGradient(stack, controls)
    fresh(x, y)
    assert torch.equal(gradient.flat, fresh.flat)


@pytest.mark.parametrize("method", STRENGTHS)
def test_nothing_handed_in_is_written_to(method):
    stack, x, y = random_problem((INPUTS, 5, 1), "silu", torch.float64)
    before = [tensor.clone() for tensor in (stack.flat, x, y)]
    closed_form(stack, x, y, STRENGTHS[method])
    assert all(torch.equal(a, b) for a, b in zip(before, (stack.flat, x, y), strict=True))


@pytest.mark.parametrize("method", STRENGTHS)
def test_a_batch_of_one_and_all_zero_weights(method):
    stack, x, y = random_problem((INPUTS, 5, 1), "tanh", torch.float64)
    got = closed_form(stack, x[:, :1], y[:, :1], STRENGTHS[method])
    assert_blocks_agree(stack, got, by_autograd(stack, x[:, :1], y[:, :1], STRENGTHS[method]), 1e-6)
    stack.flat.zero_()
    got = closed_form(stack, x, y, STRENGTHS[method])
    assert torch.isfinite(got).all()
    plain = by_autograd(stack, x, y, [Strength()] * 3)  # all penalties are flat at zero
    assert_blocks_agree(stack, got, plain, 1e-6)


@settings(max_examples=10, deadline=None)
@given(permutation=st.permutations(range(BATCH)), method=st.sampled_from(sorted(STRENGTHS)))
def test_the_order_of_rows_does_not_matter(permutation, method):
    stack, x, y = random_problem((INPUTS, 5, 1), "gelu", torch.float64)
    rows = torch.tensor(permutation)
    torch.testing.assert_close(
        closed_form(stack, x[:, rows], y[:, rows], STRENGTHS[method]),
        closed_form(stack, x, y, STRENGTHS[method]),
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("method", STRENGTHS)
def test_a_member_that_is_not_finite_stays_alone(method):
    stack, x, y = random_problem((INPUTS, 5, 6, 1), "silu", torch.float64)
    clean = closed_form(stack, x, y, STRENGTHS[method])
    x[1, 2, 0] = math.nan
    spoilt = closed_form(stack, x, y, STRENGTHS[method])
    for mine, theirs in zip(stack.views(spoilt)[0], stack.views(clean)[0], strict=True):
        assert torch.equal(mine[[0, 2]], theirs[[0, 2]])
        assert torch.isnan(mine[1]).any()

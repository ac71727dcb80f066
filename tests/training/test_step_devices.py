"""Projections of the Jacobian, confidence and dropout in closed form, against full Jacobians by autograd."""

import math

import pytest
import torch
from torch.func import jacrev, vmap

from surrogate_opt.errors import InputError
from surrogate_opt.networks import ACTIVATIONS, StackedMLP
from surrogate_opt.penalties import Strength, costly_groups
from surrogate_opt.penalties.projections import random_basis, spectral_directions
from surrogate_opt.training.losses import CROSS_ENTROPY
from surrogate_opt.training.noise import MemberNoise, uniform
from surrogate_opt.training.optimizer import StackAdamW
from surrogate_opt.training.step import ClosedFormGradient, Controls

SEEDS = (3, 4, 3)
STRENGTHS = {  # one a member, one of them off
    "spectreg": [Strength(spectreg=0.5), Strength(), Strength(spectreg=0.03)],
    "onehot": [Strength(onehot=0.5), Strength(onehot=0.1), Strength()],
    "random_onehot": [Strength(), Strength(random_onehot=0.4), Strength(random_onehot=2.0)],
    "jacreg": [Strength(jacreg=3.0), Strength(), Strength(jacreg=0.5)],
    "confidence": [Strength(confidence=0.5), Strength(), Strength(confidence=0.1)],
    "dropout": [Strength(dropout=0.5), Strength(), Strength(dropout=0.2)],
    "several": [
        Strength(dropout=0.3, dreg=0.2, igp=0.1, jacreg=0.7, spectral_bound=0.8),
        Strength(datagrad=0.3, spectreg=0.2, onehot=0.1, confidence=0.1),
        Strength(dropout=0.5, datagrad=0.4, random_onehot=0.2, dreg=0.3),
    ],
}
BATCH, INPUTS, CLASSES = 6, 4, 3


def problem(hidden, activation):
    stack = StackedMLP((INPUTS, *hidden, CLASSES), 3, activation, dtype=torch.float64).initialize([0, 1, 2])
    generator = torch.Generator().manual_seed(5)
    stack.flat.add_(0.3 * torch.randn(stack.flat.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(3, BATCH, INPUTS, generator=generator, dtype=torch.float64)
    return stack, x, torch.randint(CLASSES, (3, BATCH), generator=generator)


def network(weights, biases, coefficients, activation, masks, layers=None):
    """A row's outputs, or the slopes of one layer's own Jacobian."""

    def run(row, *row_masks):
        h = row
        for layer in range(len(weights) - 1):
            z = h @ weights[layer] + biases[layer]
            if activation.name == "poly":
                a = coefficients[layer]
                h = a[0] + a[1] * z + a[2] * z**2
            else:
                h = activation.evaluate(z, 0)[0]
            h = h * row_masks[layer] if row_masks else h
            if layers is not None:
                layers.append((z, h))
        return h @ weights[-1] + biases[-1]

    return run


def member_loss(parts, activation, x, labels, strength, masks, noise):
    weights, biases, coefficients = parts
    if math.isfinite(strength.spectral_bound):
        weights = [
            w * (strength.spectral_bound / torch.linalg.matrix_norm(w, ord=2)).clamp_max(1.0) for w in weights
        ]
    biases = [bias[0] for bias in biases]
    rows = tuple(masks) if strength.dropout else ()
    net = network(weights, biases, coefficients, activation, rows)
    output = vmap(net)(x, *rows)
    jacobian = vmap(jacrev(net))(x, *rows)
    log_p = output.log_softmax(-1)
    p = log_p.exp()
    one = torch.nn.functional.one_hot(labels, CLASSES).double()
    loss = torch.nn.functional.cross_entropy(output, labels)

    def along(w):
        return (w[:, None] @ jacobian).square().sum((1, 2)).mean()

    loss = loss + strength.spectreg * along(noise["spectreg"])
    loss = loss + strength.random_onehot * along(noise["random_onehot"])
    loss = loss + strength.onehot * along(one) + strength.datagrad * along(p - one)
    loss = loss + strength.igp * jacobian.square().sum((1, 2)).mean()
    softmax = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    loss = loss + strength.jacreg * (softmax @ jacobian).square().sum((1, 2)).mean()
    loss = loss + strength.confidence * (p * log_p).sum(-1).mean()
    if strength.dreg:
        loss = loss + strength.dreg * layer_norms(weights, biases, coefficients, activation, x, rows)
    return loss


def layer_norms(weights, biases, coefficients, activation, x, masks):
    """The mean over layers of each one's squared Frobenius norm, one layer at a time by jacrev."""
    h, norms = x, []
    for layer in range(len(weights) - 1):
        parts = (weights[layer : layer + 1], biases[layer : layer + 1], coefficients[layer : layer + 1])

        def one(row, mask, parts=parts):
            z = row @ parts[0][0] + parts[1][0]
            if activation.name == "poly":
                a = parts[2][0]
                return (a[0] + a[1] * z + a[2] * z**2) * mask
            return activation.evaluate(z, 0)[0] * mask

        mask = masks[layer] if masks else torch.ones(len(x), weights[layer].shape[1], dtype=x.dtype)
        norms.append(vmap(jacrev(one))(h, mask).square().sum((1, 2)).mean())
        h = vmap(one)(h, mask)
    norms.append(weights[-1].square().sum())
    return torch.stack(norms).mean()


def chance(stack, strengths):
    """The masks and directions that the step draws, by the same seeds."""
    like, dropout = stack.flat, MemberNoise(SEEDS, 0)
    drawn = [dropout.draw(uniform, (BATCH, width), like) for width in stack.sizes[1:-1]]
    masks = [
        torch.stack([(u[p] < 1.0 - s.dropout) / (1.0 - s.dropout) for p, s in enumerate(strengths)])
        for u in drawn
    ]
    shape = (BATCH, CLASSES)
    return masks, {
        "spectreg": MemberNoise(SEEDS, 1).draw(spectral_directions, shape, like),
        "random_onehot": MemberNoise(SEEDS, 2).draw(random_basis, shape, like),
    }


@pytest.mark.parametrize("hidden", [(), (5,), (6, 5, 7)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("device", STRENGTHS)
def test_closed_form_agrees_with_full_jacobians(device, activation, hidden):
    strengths = STRENGTHS[device]
    stack, x, labels = problem(hidden, activation)
    gradient = ClosedFormGradient(stack, Controls.of(strengths, stack.flat, SEEDS), CROSS_ENTROPY)
    if gradient.bound is not None:
        gradient.bound.bounded_weights(iterations=400)
    gradient(x, labels)
    masks, noise = chance(stack, strengths)
    leaf = stack.flat.clone().requires_grad_()
    blocks = stack.views(leaf)
    total = sum(
        member_loss(
            [[block[p] for block in kind] for kind in blocks],
            stack.activation,
            x[p],
            labels[p],
            strength,
            [mask[p] for mask in masks],
            {name: directions[p] for name, directions in noise.items()},
        )
        for p, strength in enumerate(strengths)
    )
    (expected,) = torch.autograd.grad(total, leaf)
    torch.testing.assert_close(gradient.flat, expected, rtol=1e-6, atol=1e-8)


def test_directions_have_unit_covariance_over_m():
    like = torch.zeros(1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    identity = torch.eye(4, dtype=torch.float64)
    for draw, covariance in ((spectral_directions, identity / 4), (random_basis, identity)):
        w = draw((200_000, 4), like, generator)
        torch.testing.assert_close(w.T @ w / len(w), covariance, rtol=0.0, atol=0.02)


def test_members_of_equal_seed_meet_the_same_chance_whoever_is_beside_them():
    like = torch.zeros(1)
    together = MemberNoise((7, 8, 7), 0).draw(uniform, (5, 2), like)
    alone = MemberNoise((8,), 0).draw(uniform, (5, 2), like)
    assert torch.equal(together[0], together[2])
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(MemberNoise((8,), 1).draw(uniform, (5, 2), like)[0], alone[0])


@pytest.mark.parametrize("decays", [[None, 0.3, 0.0], [0.2, None, None]])
def test_every_member_decays_as_adamw_would_decay_it(decays):
    stack = StackedMLP((3, 4, 2), 3, "poly", dtype=torch.float64).initialize([0, 1, 2])
    generator = torch.Generator().manual_seed(1)
    singles = [stack.select([member]) for member in range(3)]
    gradient = torch.zeros_like(stack.flat)
    optimizer = StackAdamW(
        stack, gradient, [Strength(weight_decay=d) for d in decays], learning_rate=0.1, weight_decay=0.01
    )
    references = [
        torch.optim.AdamW([one.flat], lr=0.1, weight_decay=0.01 if decay is None else decay)
        for one, decay in zip(singles, decays, strict=True)
    ]
    for rate in (0.1, 0.1, 0.02):
        gradient.copy_(torch.randn(gradient.shape, generator=generator, dtype=torch.float64))
        parts = StackedMLP((3, 4, 2), 3, "poly", dtype=torch.float64)
        parts.flat.copy_(gradient)
        optimizer.step(rate)
        for member, (one, reference) in enumerate(zip(singles, references, strict=True)):
            one.flat.grad = parts.select([member]).flat
            reference.param_groups[0]["lr"] = rate
            reference.step()
    for member, one in enumerate(singles):
        torch.testing.assert_close(stack.select([member]).flat, one.flat)


@pytest.mark.parametrize("device", ["onehot", "jacreg", "confidence"])
def test_penalties_of_classifiers_want_labels(device):
    stack = StackedMLP((2, 3, 2), 1, "relu")
    with pytest.raises(InputError, match="classifiers alone"):
        ClosedFormGradient(stack, Controls.of([Strength(**{device: 0.1})], stack.flat))


def test_nobody_pays_for_the_devices_of_others():
    strengths = [Strength(), Strength(igp=1.0), Strength(dreg=1.0), Strength(igp=0.1), Strength(dropout=0.1)]
    assert list(costly_groups(strengths).values()) == [[0, 2], [1, 3], [4]]


@pytest.mark.parametrize(
    ("fields", "message"), [({"dropout": 1.0}, "dropout"), ({"weight_decay": -0.1}, "weight_decay")]
)
def test_what_cannot_be_used_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Strength(**fields)

"""Stacks of classifiers: against torch's own modules step by step, and their figures against autograd."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import grad, vmap

from surrogate_opt.errors import InputError
from surrogate_opt.penalties import DREG, DataGrad, Strength
from surrogate_opt.training import classification
from surrogate_opt.training.classification import ClassifierRecipe, classify, train_classifiers

STRENGTHS = [Strength(), Strength(dreg=0.03), Strength(datagrad=0.2)]


def problem(rows=70, d=5, num_classes=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, d, generator=generator, dtype=torch.float64)
    return x, (x[:, :num_classes] + 0.3 * x[:, -1:] ** 2).argmax(1)


def module_of(stack, member, activation):
    layers = []
    for weight, bias in zip(stack.weights, stack.biases, strict=True):
        linear = nn.Linear(*weight.shape[1:]).double()
        linear.weight = nn.Parameter(weight[member].T.clone())
        linear.bias = nn.Parameter(bias[member, 0].clone())
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize(("name", "activation"), [("relu", nn.ReLU), ("silu", nn.SiLU)])
def test_every_member_is_trained_as_torch_would_train_it(name, activation):
    x, labels = problem()
    recipe = ClassifierRecipe(
        hidden=(6, 4), activation=name, epochs=3, batch_size=16, learning_rate=1e-2, dtype=torch.float64
    )
    short = ClassifierRecipe(hidden=(6, 4), activation=name, epochs=1, batch_size=10**6, learning_rate=1e-12,
                             weight_decay=0.0, dtype=torch.float64)  # fmt: skip
    stack = train_classifiers(x, labels, STRENGTHS, recipe, num_classes=3, seed=4)
    untrained = train_classifiers(x, labels, STRENGTHS, short, num_classes=3, seed=4)
    for member, strength in enumerate(STRENGTHS):
        model = module_of(untrained, member, activation)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
        generator = torch.Generator().manual_seed(4)
        for _ in range(3):
            order = torch.randperm(70, generator=generator)
            for first in range(0, 70, 16):
                rows = order[first : first + 16]
                loss = nn.functional.cross_entropy(model(x[rows]), labels[rows])
                loss = loss + strength.dreg * DREG(model)(x[rows])
                loss = loss + strength.datagrad * DataGrad(model)(x[rows], labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        trained = module_of(stack, member, activation)
        for mine, theirs in zip(trained.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_accuracy_and_gradients_are_those_of_the_modules():
    x, labels = problem()
    recipe = ClassifierRecipe(hidden=(6, 4), activation="silu", epochs=3, dtype=torch.float64)
    stack = train_classifiers(x, labels, STRENGTHS, recipe, num_classes=3, seed=1)
    accuracy, norms = classify(stack, x, labels)
    for member in range(3):
        model = module_of(stack, member, nn.SiLU)

        def loss(row, label, model=model):
            return nn.functional.cross_entropy(model(row[None]), label[None])

        torch.testing.assert_close(norms[member], vmap(grad(loss))(x, labels).norm(dim=1))
        right = (model(x).argmax(1) == labels).double().mean()
        torch.testing.assert_close(accuracy[member], right.detach())


@pytest.mark.parametrize("exact", [True, False])
def test_spectral_norms_end_at_their_bound(exact):
    x, labels = problem()
    strengths = [Strength(spectral_bound=1.5, spectral_exact=exact), Strength()]
    recipe = ClassifierRecipe(hidden=(6,), epochs=5, dtype=torch.float64)
    stack = train_classifiers(x, labels, strengths, recipe, num_classes=3, seed=1)
    norms = torch.stack([torch.linalg.matrix_norm(weight, ord=2) for weight in stack.weights])
    assert float(norms[:, 0].max()) <= 1.5 + 1e-12
    assert bool((norms[:, 0] > 1.5 - 1e-12).all()) == exact


def test_a_member_does_not_depend_on_its_neighbors():
    x, labels = problem()
    recipe = ClassifierRecipe(hidden=(6, 4), epochs=4, dtype=torch.float64)
    together = train_classifiers(x, labels, STRENGTHS, recipe, num_classes=3, seed=2)
    alone = train_classifiers(x, labels, STRENGTHS[1:2], recipe, num_classes=3, seed=2)
    torch.testing.assert_close(together.select([1]).flat, alone.flat, rtol=1e-8, atol=1e-10)


def test_an_estimated_spectral_norm_is_what_torch_evaluates_with():
    """Its module, stepped through the same minibatches with the same singular vectors to begin from."""
    x, labels = problem()
    recipe = ClassifierRecipe(
        hidden=(6,), epochs=3, batch_size=16, learning_rate=1e-2, spectral_estimate=True, dtype=torch.float64
    )
    short = replace(recipe, epochs=1, batch_size=10**6, learning_rate=1e-12, weight_decay=0.0)
    bound = [Strength(spectral_bound=1.0, spectral_exact=True)]
    stack = train_classifiers(x, labels, bound, recipe, num_classes=3, seed=4)
    model = module_of(train_classifiers(x, labels, [Strength()], short, num_classes=3, seed=4), 0, nn.ReLU)
    for layer in (model[0], model[2]):
        nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=1)
        with torch.no_grad():
            for _ in range(100):
                layer.weight  # a round of power iteration  # noqa: B018
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(4)
    for _ in range(3):
        order = torch.randperm(70, generator=generator)
        for first in range(0, 70, 16):
            rows = order[first : first + 16]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), labels[rows]).backward()
            optimizer.step()
    model.eval()
    for layer, weight in zip((model[0], model[2]), stack.weights, strict=True):
        norm = torch.linalg.matrix_norm(weight[0], ord=2)
        torch.testing.assert_close(norm, torch.linalg.matrix_norm(layer.weight, ord=2), rtol=2e-2, atol=0.0)
        assert norm > 1.0 + 1e-6


def test_large_members_are_trained_apart_and_come_back_in_order(monkeypatch):
    x, labels = problem()
    recipe = ClassifierRecipe(hidden=(6, 4), epochs=40, batch_size=16, dtype=torch.float64)
    together = train_classifiers(x, labels, STRENGTHS, recipe, num_classes=3, seed=4)
    monkeypatch.setattr(classification, "_CACHED_PARAMETERS", 1)
    shares: list[float] = []
    apart = train_classifiers(x, labels, STRENGTHS, recipe, num_classes=3, seed=4, progress=shares.append)
    torch.testing.assert_close(apart.flat, together.flat)
    assert shares == sorted(shares)
    assert len(shares) == 3 * (40 * 5 // 50)  # three stacks, a report every 50 steps


@pytest.mark.parametrize("field", [{"epochs": 0}, {"hidden": (3, 0)}, {"learning_rate": math.nan}])
def test_recipes_that_cannot_be_used_are_refused(field):
    with pytest.raises(InputError, match="recipe: expected"):
        ClassifierRecipe(**field)


@pytest.mark.slow
def test_mnist_is_learned_as_published(real_data):
    """The DREG paper's Table 3, (32, 16) ReLU: accuracy 96.33 +- 0.09, mean gradient 0.169, p99 3.006."""
    from surrogate_problems.datasets import load_images

    images = load_images("mnist", real_data("mnist"))
    x, x_test = (
        (torch.from_numpy(part.reshape(len(part), -1)).double() / 255.0 - 0.1307) / 0.3081
        for part in (images.x_train, images.x_test)
    )
    stack = train_classifiers(
        x, torch.from_numpy(images.y_train), [Strength()], ClassifierRecipe(), num_classes=10, seed=0
    )
    accuracy, norms = classify(stack.to(torch.float64), x_test, torch.from_numpy(images.y_test))
    assert float(accuracy[0]) == pytest.approx(0.963, abs=0.008)
    assert float(norms[0].mean()) == pytest.approx(0.18, abs=0.04)
    assert float(norms[0].quantile(0.99)) == pytest.approx(3.2, abs=0.5)

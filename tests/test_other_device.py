"""Whatever has a device of its own gives the CPU's figures on another one, and mixes none.

The other device is a stand-in, so no GPU is needed.
"""

import copy

import pytest
import torch
from botorch.acquisition import qLogExpectedImprovement
from botorch.sampling import SobolQMCNormalSampler
from other_device import ELSEWHERE, other_device
from torch import nn

import surrogate_opt as so
from surrogate_opt import penalties
from surrogate_opt.adapters.botorch.registry import MODEL_NAMES
from surrogate_opt.penalties.methods import METHODS, Strength
from surrogate_opt.study.evidence.resnet import ResidualNetwork
from surrogate_opt.study.evidence.small_mnist.lenet import LeNet5
from surrogate_opt.study.evidence.small_mnist.regularization import OF_GRADIENTS, regularized_loss
from surrogate_opt.study.evidence.small_mnist.training import accuracy, train
from surrogate_opt.training.classification import ClassifierRecipe, classify, train_classifiers

X = torch.rand(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = X.square().sum(1) + 0.1 * X[:, 0].mul(20.0).sin()


def test_the_stand_in_computes_as_the_cpu_does():
    with other_device():
        x = X.to(ELSEWHERE).requires_grad_()
        assert x.device.type == ELSEWHERE
        (x.square().sum() + torch.tensor([1.0, 2.0], device=ELSEWHERE).sum()).backward()
        assert x.grad.device.type == ELSEWHERE
        gradient = x.grad.cpu()
    assert gradient.device.type == "cpu"
    assert torch.equal(gradient, 2.0 * X)


def test_the_stand_in_refuses_to_mix_devices():
    with other_device():
        x = X.to(ELSEWHERE)
        assert (x + torch.tensor(1.0)).device.type == ELSEWHERE  # as GPUs allow
        assert torch.equal(x[torch.tensor([1, 0])].cpu(), X[[1, 0]])
        with pytest.raises(RuntimeError, match=r"two devices; on the CPU are those of shape \(3,\)"):
            x + torch.ones(3, dtype=torch.float64)
        with pytest.raises(RuntimeError, match=r"two devices; on the CPU are those of shape \(\)"):
            torch.stack([x.sum(), torch.tensor(1.0)])
        with pytest.raises(RuntimeError, match="generator of the CPU"):
            torch.randn(3, device=ELSEWHERE, generator=torch.Generator())


@pytest.mark.parametrize("method", METHODS)
def test_a_surrogate_trained_elsewhere_is_the_one_trained_here(method):
    settings = {"penalty": method, "epochs": 3, "hidden": (6, 5), "seed": 0}
    here = so.fit(X, Y, **settings)
    with other_device():
        elsewhere = so.fit(X, Y, device=ELSEWHERE, **settings)
    assert elsewhere.level == here.level
    assert torch.allclose(elsewhere.members(X), here.members(X), rtol=1e-10)


def test_classifiers_trained_elsewhere_are_those_trained_here():
    labels = (3.0 * X[:, 0]).long()
    strengths = [
        Strength(),
        Strength(dreg=0.1),
        Strength(igp=0.1),
        Strength(jacreg=0.1),
        Strength(onehot=0.1, confidence=0.1),
        Strength(spectreg=0.1, dropout=0.2),
        Strength(spectral_bound=0.5),
    ]

    def trained(device):
        recipe = ClassifierRecipe(hidden=(6, 5), epochs=2, dtype=torch.float64, device=device)
        stack = train_classifiers(X, labels, strengths, recipe, num_classes=3, seed=0)
        figures = classify(stack, X, labels)
        return [stack.flat.cpu(), *(figure.cpu() for figure in figures)]

    here = trained("cpu")
    with other_device():
        elsewhere = trained(ELSEWHERE)
    for own, other in zip(here, elsewhere, strict=True):
        assert torch.allclose(own, other, rtol=1e-10)


def image_networks():
    """A network with dropout, one with batch normalization, one with residual blocks."""
    torch.manual_seed(0)
    chance = torch.Generator().manual_seed(0)
    return {
        "dropout": LeNet5(dropout=0.5, generator=chance).double(),
        "batchnorm": LeNet5(batch_norm=True).double(),
        "residual": nn.Sequential(nn.Conv2d(1, 3, 1), ResidualNetwork((4, 6), blocks=1)).double(),
    }


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *(("dropout", method) for method in ("none", "confidence", *OF_GRADIENTS)),
        ("batchnorm", "spectreg"),
        ("residual", "datagrad"),
    ],
)
def test_image_networks_train_elsewhere_as_here(name, method):
    side = 32 if name == "residual" else 28
    x = torch.rand(12, 1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(12) % 10

    def trained(device):
        network = image_networks()[name].to(device)
        images, targets = x.to(device), labels.to(device)
        train(
            network,
            regularized_loss(network, {} if method == "none" else {method: 0.1}, seed=0),
            torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9),
            images,
            targets,
            minibatches=3,
            batch_size=5,
            generator=torch.Generator().manual_seed(0),
        )
        weights = [value.detach().cpu() for value in network.state_dict().values()]
        return weights, accuracy(network, images, targets)

    weights, percentage = trained("cpu")
    with other_device():
        weights_elsewhere, percentage_elsewhere = trained(ELSEWHERE)
    assert percentage == percentage_elsewhere
    for own, other in zip(weights, weights_elsewhere, strict=True):
        assert torch.allclose(own, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "penalty",
    [
        penalties.DREG,
        penalties.IGP,
        penalties.FrobReg,
        penalties.SpectReg,
        penalties.RandomOneHot,
    ],
)
def test_penalties_of_modules_follow_the_module(penalty):
    """The penalty is made here, the module moved then."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.SiLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    own = penalty(copy.deepcopy(network))(X)
    with other_device():
        moved = penalty(network)
        network.to(ELSEWHERE)
        assert moved(X.to(ELSEWHERE)).item() == pytest.approx(own.item(), rel=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_bounded_layers_move(training):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1)).double().train(training)
    penalties.bound_spectral_norms(network, 0.3)
    network(X)
    expected = copy.deepcopy(network)(X)
    with other_device():
        network.to(ELSEWHERE)
        assert torch.allclose(network(X.to(ELSEWHERE)).cpu(), expected, rtol=1e-12)


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_acquisitions_move_with_their_model(model):
    fitted = so.fit_botorch(X[:30], Y[:30], model=model, seed=0)
    pairs = X[:6].reshape(3, 2, 3)

    def proposed(model, x):
        x = x.requires_grad_()
        sampler = SobolQMCNormalSampler(torch.Size([8]), seed=0)
        values = qLogExpectedImprovement(model, best_f=1.0, sampler=sampler)(x)
        values.sum().backward()
        return values.detach().cpu(), x.grad.cpu()

    here = proposed(copy.deepcopy(fitted), pairs.clone())
    with other_device():
        elsewhere = proposed(fitted.to(ELSEWHERE), pairs.to(ELSEWHERE))
    for own, other in zip(here, elsewhere, strict=True):
        assert torch.allclose(own, other, rtol=1e-8)

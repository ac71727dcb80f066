"""What the papers say and no experiment here decides."""

from __future__ import annotations

from typing import Final

_DREG, _GRADIENTS, _GENERAL = "DREG", "gradient regularization", "DREG as a general-purpose penalty"

UNTESTED: Final = (
    (_DREG, "stable derivatives help physics-informed networks", "Sections 2, 3.2", "outside this project"),
    (
        _DREG,
        "no single layer is a bottleneck, and Jacobians are not near-singular",
        "Sections 2.1, 3.1",
        "layers are not measured one by one",
    ),
    (
        _DREG,
        "optimizers are driven to diverge; nested simulation suffers too",
        "Section 2.3",
        "bounded boxes do not diverge: what is lost is measured instead, see the experiments on ghosts",
    ),
    (
        _DREG,
        "double backpropagation breaks down in fixed-point or low precision",
        "Section 3.3",
        "float32 is the lowest here",
    ),
    (_DREG, "derivative control is a structural denoiser", "Section 7", "no figure says what that would be"),
    (
        _GRADIENTS,
        "on all of CIFAR-10 with data augmentation DataGrad is better than no penalty, SpectReg hardly; its "
        "advantage comes early and stays",
        "94.14, 93.74; 93.71 (Table 5, one run each, Figure 3)",
        "15 networks of 2.4 million parameters, 200,000 steps each, and one run decides nothing",
    ),
    (
        _GRADIENTS,
        "on CIFAR-10 SpectReg improves accuracy for a large range of weights",
        "Section 6.2.2",
        "a grid of residual networks asks for days of a GPU",
    ),
    (
        _GRADIENTS,
        "the networks reach 99.1% on all of MNIST and 93.71% on all of CIFAR-10 without a penalty",
        "Sections 6.1.1, 6.1.2",
        "about networks, not about penalties",
    ),
    (
        _GRADIENTS,
        "penalties cost no excessive time in networks of hundreds of layers",
        "Section 1",
        "penalty-cost has LeNet-5 and perceptrons alone",
    ),
    (
        _GRADIENTS,
        "projections on the unit sphere train networks like normal ones; jumps under ReLU cause no trouble, "
        "and steps hardly change which units fire",
        "Sections 5.1, 5.3",
        "the cost of more trainings; on the Jacobian the projections agree, see identities",
    ),
    (
        _GRADIENTS,
        "gradients vanish through the softmax, and DataGrad as the network fits",
        "Sections 4.1, 5.1, 6.1",
        "reasons that the paper gives; their effects are compared in small-mnist and datagrad-weights",
    ),
    (
        _GRADIENTS,
        "10,000 minibatches suffice and early stopping gains nothing; the best weights are 50, 0.03 and 0.01",
        "Section 6.1.1, Table 2",
        "small-mnist at protocol shows its weights; accuracies on the way are not kept",
    ),
    (
        _GRADIENTS,
        "on the sine DataGrad's curves look like SpectReg's; on images, too, gradients are controlled "
        "everywhere",
        "Section 6.2.8, Abstract",
        "the sine is trained under SpectReg alone; of images only accuracy is measured",
    ),
    (
        _GENERAL,
        "pressure goes to the layers with the largest activation derivative",
        "abstract",
        "so the formula has it; no training is needed to see it",
    ),
)
"""Paper, claim, its figure or place, and why nothing here tests it."""

"""What the papers say and no experiment here decides."""

from __future__ import annotations

from typing import Final

UNTESTED: Final = (
    (
        "gradient regularization",
        "on all of CIFAR-10 with data augmentation DataGrad improves on none, SpectReg hardly",
        "94.14, 93.74; 93.71 (Table 5, one run each)",
        "15 networks of 2.4 million parameters, 200,000 steps each, and one run decides nothing",
    ),
    (
        "gradient regularization",
        "there DataGrad's advantage comes early and stays",
        "Figure 3",
        "as above",
    ),
    (
        "gradient regularization",
        "the networks reach 99.1% on all of MNIST and 93.71% on all of CIFAR-10 without a penalty",
        "Sections 6.1.1, 6.1.2",
        "about networks, not about penalties",
    ),
    (
        "gradient regularization",
        "on CIFAR-10 SpectReg improves accuracy for a large range of weights",
        "Section 6.2.2, no figure",
        "a grid of residual networks asks for days of a GPU",
    ),
    (
        "gradient regularization",
        "projections on the unit sphere train networks like normal ones",
        "not shown (Section 5.1)",
        "no figure to compare with; on the Jacobian they agree, see identities",
    ),
    (
        "gradient regularization",
        "the penalties' jumps under ReLU cause no trouble in training",
        "not shown (Section 5.3)",
        "no figure to compare with",
    ),
    (
        "DREG",
        "stable derivatives help physics-informed networks",
        "Sections 2, 3.2, no experiment",
        "outside what this project does",
    ),
)
"""Paper, claim, its figure, and why nothing here tests it."""

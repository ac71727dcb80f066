"""Small networks with random weights and a head on data, for the tests of the last layer."""

from __future__ import annotations

import torch
from botorch.models.model import ModelList
from model_checks import ModelCase

from surrogate_opt.adapters.botorch.fourier_features import FourierFeatures
from surrogate_opt.adapters.botorch.last_layer import LastLayerModel
from surrogate_opt.adapters.botorch.last_layer_features import (
    FeatureRegression,
    trend_features,
    uncentered_features,
)
from surrogate_opt.adapters.botorch.last_layer_head import HeadScales, HeadStatistics, condition_head
from surrogate_opt.data import Scaling
from surrogate_opt.networks import StackedMLP

BOX = torch.tensor([[-1.0, 10.0, 0.0], [3.0, 30.0, 0.5]], dtype=torch.float64)
SCALING = Scaling(BOX[0], BOX[1], 2.0, 0.7)
SCALES = HeadScales(feature_variance=3.0, trend_variance=0.5, noise=0.02)


def stack_of(num_members=4, seed=0, sizes=(3, 8, 8, 1), activation="tanh"):
    stack = StackedMLP(sizes, num_members, activation, dtype=torch.float64)
    stack.initialize([seed + member for member in range(num_members)])
    stack.flat.mul_(2.0)  # random weights of torch's size make nearly flat functions
    return stack


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


WAVES = FourierFeatures(frequencies=gaussian(3, 12, seed=70), phases=gaussian(12, seed=71))


def columns_of(stack, center, u):
    """Hidden features, cosines and trend of points in network coordinates."""
    return uncentered_features(stack, WAVES, u) - center, trend_features(u)


def regression_of(u, y, seed=0, center=None):
    """A head with the scales of this file on rows in network coordinates and standard deviations."""
    stack = stack_of(seed=seed)
    center = uncentered_features(stack, WAVES, u).mean(0) if center is None else center
    head = condition_head(HeadStatistics.of(*columns_of(stack, center, u), y), SCALES)
    return FeatureRegression(stack, SCALING, WAVES, center, head)


def rows_of(n=25, seed=0):
    """A table in network coordinates and standard deviations."""
    u = gaussian(n, 3, seed=seed).tanh()
    return u, torch.sin(2.0 * u[:, 0]) - u[:, 1] * u[:, 2] + 0.1 * gaussian(n, seed=seed + 1)


def model_of(seed=0):
    return LastLayerModel(regression_of(*rows_of(seed=seed), seed=seed))


def make_case():
    return ModelCase(
        model=model_of(),
        pair=ModelList(model_of(), model_of(50)),
        other=model_of(100),
        bounds=BOX,
        can_be_conditioned=True,
    )

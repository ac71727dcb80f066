"""Small ensembles with random weights, for the tests of the ensemble model."""

from __future__ import annotations

import torch
from model_checks import ModelCase

from surrogate_opt.adapters.botorch.ensemble import EnsembleSurrogate
from surrogate_opt.adapters.botorch.members import OutputMembers
from surrogate_opt.data import Scaling
from surrogate_opt.networks import StackedMLP

BOX = torch.tensor([[-1.0, 10.0, 0.0], [3.0, 30.0, 0.5]], dtype=torch.float64)
SCALING = Scaling(BOX[0], BOX[1], 2.0, 0.7)


def stack_of(num_members=6, seed=0, activation="silu", sizes=(3, 8, 8, 1)):
    stack = StackedMLP(sizes, num_members, activation, dtype=torch.float64)
    stack.initialize([seed + member for member in range(num_members)])
    stack.flat.mul_(2.0)  # random weights of torch's size make nearly flat functions
    return stack


def output_of(seed=0, activation="silu", **options):
    return OutputMembers(stack_of(seed=seed, activation=activation), SCALING, **options)


def make_case(activation="silu"):
    return ModelCase(
        model=EnsembleSurrogate([output_of(0, activation, calibration=1.5)]),
        pair=EnsembleSurrogate([output_of(0, activation), output_of(50, activation, calibration=2.0)]),
        other=EnsembleSurrogate([output_of(100, activation)]),
        bounds=BOX,
        can_be_conditioned=False,
    )

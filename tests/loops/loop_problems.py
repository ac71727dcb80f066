"""Functions with known minima, and the loops as one table, for the tests of loops."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogate_opt.loops.lbfgsb import LBFGSBConfig, run_lbfgsb
from surrogate_opt.loops.projected import AdamConfig, DescentConfig, run_adam, run_descent
from surrogate_opt.loops.slsqp import SLSQPConfig, run_slsqp

BOX = torch.tensor([[-1.0, -2.0, 0.0], [1.0, 2.0, 4.0]], dtype=torch.float64)

SLOPES = torch.tensor([1.0, 2.0, 6.0]).double()


class Autograd:
    """A function of torch operations with gradients by autograd."""

    gradient_source = "autograd"

    def function(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def value(self, x: Tensor) -> Tensor:
        return self.function(x)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        leaf = x.detach().clone().requires_grad_()
        value = self.function(leaf)
        return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


@dataclass
class Bowl(Autograd):
    """sum of c_i (x_i - centre_i)^2: in a box its minimum is the centre moved into the box."""

    centre: Tensor
    curvature: Tensor
    factor: float = 1.0

    def function(self, x: Tensor) -> Tensor:
        return self.factor * (self.curvature * (x - self.centre) ** 2).sum(-1)


class Waves(Autograd):
    """Several minima, different ones from different starts."""

    def function(self, x: Tensor) -> Tensor:
        return torch.sin(3 * x).sum(-1) + 0.1 * (x**2).sum(-1) + 0.3 * x[..., 0] * x[..., 1]


class Rosenbrock(Autograd):
    def function(self, x: Tensor) -> Tensor:
        return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


@dataclass
class Holed(Autograd):
    """A bowl at 0 that gives NaN where the first input is under an edge."""

    edge: float = 0.2

    def function(self, x: Tensor) -> Tensor:
        return torch.where(x[..., 0] < self.edge, torch.nan, 1.0) * (x**2).sum(-1)


@dataclass
class Stack(Autograd):
    """Two surrogates in one: it wants points (2, n, d)."""

    centres: Tensor

    def function(self, x: Tensor) -> Tensor:
        assert x.shape[-3] == len(self.centres)
        shifted = x - self.centres.unsqueeze(-2)
        return (shifted**2).sum(-1) + 0.5 * torch.sin(3 * shifted).sum(-1)


class Members:
    """Members k: sin(slope_k sum x); they all agree at 0."""

    gradient_source = "analytic"

    def members_value_and_gradient(self, x):
        angle = torch.tensordot(SLOPES, x.sum(-1), dims=0)
        slope = (SLOPES.reshape(-1, *(1,) * (x.ndim - 1)) * angle.cos()).unsqueeze(-1)
        return angle.sin(), slope.expand(-1, *x.shape)

    def value(self, x):
        return self.members_value_and_gradient(x)[0].mean(0)

    def value_and_gradient(self, x):
        values, gradients = self.members_value_and_gradient(x)
        return values.mean(0), gradients.mean(0)


def sobol(num: int, bounds: Tensor = BOX, seed: int = 0) -> Tensor:
    engine = torch.quasirandom.SobolEngine(bounds.shape[1], scramble=True, seed=seed)
    return torch.lerp(bounds[0], bounds[1], engine.draw(num, dtype=torch.float64))


def adam_loop(model, starts, bounds, scale=1.0):
    return run_adam(model, starts, bounds, AdamConfig(), scale=scale)


def descent_loop(model, starts, bounds, scale=1.0):
    # Inputs up to 4 wide and second derivatives up to 11 in raw units: L is at most 176.
    return run_descent(model, starts, bounds, DescentConfig(step_size=1 / 200), scale=scale)


def lbfgsb_loop(model, starts, bounds, scale=1.0):
    return run_lbfgsb(model, starts, bounds, LBFGSBConfig(), scale=scale)


def slsqp_loop(model, starts, bounds, scale=1.0):
    return run_slsqp(model, starts, bounds, SLSQPConfig(), scale=scale)


BATCHED = {"adam": adam_loop, "gradient_descent": descent_loop, "lbfgsb": lbfgsb_loop}
LOOPS = {**BATCHED, "slsqp": slsqp_loop}

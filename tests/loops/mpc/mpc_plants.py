"""Tiny plants with known behaviour, for the tests of controllers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import lsq_linear
from torch import Tensor

from surrogate_opt.loops.mpc.controller import Controller
from surrogate_opt.loops.mpc.model import PlantModel
from surrogate_opt.loops.mpc.planning import Planner
from surrogate_opt.loops.mpc.problem import ControlProblem


@dataclass(frozen=True, kw_only=True)
class QuadraticCost:
    """Diagonal tracking cost; ``angles`` are penalized by 2 (1 - cos e) instead of e^2."""

    q: Tensor
    r: Tensor
    p: Tensor
    target: Tensor  # (n,) or (num_steps + 1, n)
    angles: tuple[int, ...] = ()

    def _error(self, x: Tensor, k: int | Tensor) -> Tensor:
        if self.target.ndim == 1:
            return x - self.target
        k = torch.as_tensor(k).clamp(max=len(self.target) - 1)
        return x - self.target[k]

    def _parts(self, x: Tensor, k: int | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        e = self._error(x, k)
        value, slope, curvature = e.square(), 2.0 * e, torch.full_like(e, 2.0)
        for i in self.angles:
            value[..., i] = 2.0 * (1.0 - e[..., i].cos())
            slope[..., i], curvature[..., i] = 2.0 * e[..., i].sin(), 2.0 * e[..., i].cos()
        return value, slope, curvature

    def stage(self, x: Tensor, u: Tensor, k: int | Tensor) -> Tensor:
        return (self.q * self._parts(x, k)[0]).sum(-1) + (self.r * u.square()).sum(-1)

    def terminal(self, x: Tensor, k: int | Tensor) -> Tensor:
        return (self.p * self._parts(x, k)[0]).sum(-1)

    def stage_derivatives(self, x: Tensor, u: Tensor, k: int | Tensor):
        _, slope, curvature = self._parts(x, k)
        return self.q * slope, 2.0 * self.r * u, self.q * curvature, 2.0 * self.r.expand_as(u)

    def terminal_derivatives(self, x: Tensor, k: int | Tensor):
        _, slope, curvature = self._parts(x, k)
        return self.p * slope, self.p * curvature


class TestPlant:
    """Step from ``derivative`` by RK4, derivatives of the step by automatic differentiation."""

    __test__ = False
    substeps = 1
    num_steps = 60

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def num_states(self) -> int:
        return self.state_bounds.shape[1]

    @property
    def num_actions(self) -> int:
        return self.action_bounds.shape[1]

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        u = torch.minimum(torch.maximum(u, self.action_bounds[0]), self.action_bounds[1])
        h = self.dt / self.substeps
        for _ in range(self.substeps):
            k1 = self.derivative(x, u)
            k2 = self.derivative(x + 0.5 * h * k1, u)
            k3 = self.derivative(x + 0.5 * h * k2, u)
            k4 = self.derivative(x + h * k3, u)
            x = x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return x

    def linearize(self, x: Tensor, u: Tensor):
        with torch.enable_grad():
            x, u = x.detach().clone().requires_grad_(), u.detach().clone().requires_grad_()
            after = self.step(x, u)
            rows = [
                torch.autograd.grad(after[..., i].sum(), (x, u), retain_graph=True)
                for i in range(after.shape[-1])
            ]
        A, B = torch.stack([a for a, _ in rows], -2), torch.stack([b for _, b in rows], -2)
        return after.detach(), A, B

    def starts(self, num: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return self.start + 0.1 * torch.randn(num, self.num_states, generator=generator).double()


@dataclass(frozen=True)
class LinearPlant(TestPlant):
    """x+ = A x + B u, exactly."""

    A: Tensor
    B: Tensor
    cost: QuadraticCost
    action_bounds: Tensor
    state_bounds: Tensor
    start: Tensor
    horizon: int = 30
    dt: float = 1.0

    @property
    def data_bounds(self) -> Tensor:
        return torch.tensor([[-100.0], [100.0]]).double().expand(2, len(self.A))

    @property
    def process_std(self) -> Tensor:
        return torch.full((len(self.A),), 0.01).double()

    measurement_std = process_std

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        return x @ self.A.T + u @ self.B.T

    def linearize(self, x: Tensor, u: Tensor):
        batch = x.shape[:-1]
        return self.step(x, u), self.A.expand(*batch, -1, -1), self.B.expand(*batch, -1, -1)


def double_integrator(*, limit: float = 1e3, speed: float = math.inf, horizon: int = 30) -> LinearPlant:
    """Position and speed, 0.1 s steps, pushed to 0 from 1 m."""
    dt = 0.1
    return LinearPlant(
        A=torch.tensor([[1.0, dt], [0.0, 1.0]]).double(),
        B=torch.tensor([[dt**2 / 2.0], [dt]]).double(),
        cost=QuadraticCost(
            q=torch.tensor([1.0, 0.1]).double(),
            r=torch.tensor([0.01]).double(),
            p=torch.tensor([10.0, 1.0]).double(),
            target=torch.zeros(2).double(),
        ),
        action_bounds=torch.tensor([[-limit], [limit]]).double(),
        state_bounds=torch.tensor([[-math.inf, -speed], [math.inf, speed]]).double(),
        start=torch.tensor([1.0, 0.0]).double(),
        horizon=horizon,
    )


def coupled_masses(*, limit: float = 1e3, horizon: int = 20) -> LinearPlant:
    """Four states and two actions, stable and unstable modes mixed."""
    generator = torch.Generator().manual_seed(3)
    A = torch.eye(4).double() + 0.2 * torch.randn(4, 4, generator=generator).double()
    B = 0.5 * torch.randn(4, 2, generator=generator).double()
    return LinearPlant(
        A=A,
        B=B,
        cost=QuadraticCost(
            q=torch.tensor([1.0, 0.5, 2.0, 0.1]).double(),
            r=torch.tensor([0.1, 0.3]).double(),
            p=torch.tensor([5.0, 1.0, 1.0, 2.0]).double(),
            target=torch.zeros(4).double(),
        ),
        action_bounds=torch.tensor([[-limit], [limit]]).double().expand(2, 2),
        state_bounds=torch.tensor([[-math.inf], [math.inf]]).double().expand(2, 4),
        start=torch.tensor([1.0, -1.0, 0.5, 0.0]).double(),
        horizon=horizon,
    )


@dataclass(frozen=True)
class Pendulum(TestPlant):
    """Angle from upright; the torque lifts a third of the weight. Hangs at the start."""

    torque: float = 2.0
    horizon: int = 30
    dt: float = 0.05
    num_steps: int = 100
    process_std: Tensor = field(default_factory=lambda: torch.tensor([1e-3, 1e-2]).double())
    measurement_std: Tensor = field(default_factory=lambda: torch.tensor([1e-3, 1e-2]).double())

    start = torch.tensor([math.pi, 0.0], dtype=torch.float64)
    state_bounds = torch.tensor([[-math.inf, -math.inf], [math.inf, math.inf]]).double()
    data_bounds = torch.tensor([[-2.0 * math.pi, -8.0], [2.0 * math.pi, 8.0]]).double()
    cost = QuadraticCost(
        q=torch.tensor([1.0, 0.1]).double(),
        r=torch.tensor([0.01]).double(),
        p=torch.tensor([20.0, 2.0]).double(),
        target=torch.zeros(2).double(),
        angles=(0,),
    )

    @property
    def action_bounds(self) -> Tensor:
        return torch.tensor([[-self.torque], [self.torque]]).double()

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        angle, speed = x.unbind(-1)
        return torch.stack([speed, 9.81 * angle.sin() * 0.6 + u[..., 0] - 0.05 * speed], -1)

    def succeeded(self, states: Tensor) -> Tensor:
        end = states[..., -10:, :]
        return ((end[..., 0].cos() > 0.95) & (end[..., 1].abs() < 1.0)).all(-1)


@dataclass(frozen=True)
class Broken:
    """A model that gives NaN, or blows up, wherever the first state is beyond an edge."""

    inner: object
    edge: float
    value: float = math.nan
    num_models: int = 1

    @property
    def num_states(self) -> int:
        return self.inner.num_states

    @property
    def num_actions(self) -> int:
        return self.inner.num_actions

    def _spoiled(self, x: Tensor, after: Tensor) -> Tensor:
        bad = (x[..., 0] > self.edge).reshape(*x.shape[:-1], *(1,) * (after.ndim - x.ndim + 1))
        return torch.where(bad, self.value, after)

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        return self._spoiled(x, self.inner.step(x, u))

    def linearize(self, x: Tensor, u: Tensor):
        return tuple(self._spoiled(x, part) for part in self.inner.linearize(x, u))


def oracle(plant: TestPlant, planner: Planner, horizon: int | None = None) -> Controller:
    return Controller(PlantModel(plant), ControlProblem.from_plant(plant, horizon=horizon), planner)


def first_plan(controller: Controller, x: Tensor, seed: int = 0):
    state = controller.start(x, [seed + loop for loop in range(len(x))])
    return controller.plan(x, 0, state)


def box_least_squares(plant: LinearPlant, x0: Tensor) -> tuple[Tensor, float]:
    """The optimal actions of a linear plant with a constant target, by SciPy on the condensed problem."""
    A, B, cost, horizon = plant.A.numpy(), plant.B.numpy(), plant.cost, plant.horizon
    n, m = B.shape
    free, forced = [np.eye(n)], [np.zeros((n, horizon * m))]
    for k in range(horizon):
        step = A @ forced[-1]
        step[:, k * m : (k + 1) * m] += B
        free.append(A @ free[-1])
        forced.append(step)
    weights = [np.sqrt(cost.q.numpy())] * horizon + [np.sqrt(cost.p.numpy())]
    target = cost.target.numpy()
    matrix = np.concatenate([w[:, None] * f for w, f in zip(weights, forced, strict=True)])
    offset = np.concatenate([w * (f @ x0.numpy() - target) for w, f in zip(weights, free, strict=True)])
    effort = np.kron(np.eye(horizon), np.diag(np.sqrt(cost.r.numpy())))
    lower, upper = (np.tile(bound.numpy(), horizon) for bound in plant.action_bounds)
    result = lsq_linear(
        np.concatenate([matrix, effort]),
        np.concatenate([-offset, np.zeros(horizon * m)]),
        bounds=(lower, upper),
        tol=1e-14,
    )
    return torch.from_numpy(result.x.reshape(horizon, m)), 2.0 * float(result.cost)

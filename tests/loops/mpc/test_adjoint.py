"""The adjoint gradient of action sequences against automatic differentiation."""

from __future__ import annotations

import pytest
import torch
from mpc_plants import Pendulum, coupled_masses, double_integrator, oracle

from surrogate_opt.loops.mpc.adjoint import SequenceCost
from surrogate_opt.loops.mpc.ilqr import ILQR
from surrogate_opt.loops.mpc.loop_model import LoopModel
from surrogate_opt.loops.mpc.objective import PlanObjective
from surrogate_opt.loops.mpc.state_constraints import AugmentedLagrangian, StateLimits


@pytest.mark.parametrize(
    "plant",
    [Pendulum(horizon=12), coupled_masses(horizon=7), double_integrator(limit=2.0, speed=0.3, horizon=9)],
    ids=["pendulum", "masses", "bounded-speed"],
)
def test_gradient_agrees_with_autograd(plant):
    generator = torch.Generator().manual_seed(0)
    controller = oracle(plant, ILQR())
    problem = controller.problem
    limits = StateLimits(problem)
    shape = (2, problem.horizon, limits.num)
    constraints = AugmentedLagrangian(
        limits=limits,
        multipliers=torch.rand(shape, generator=generator).double(),
        weight=torch.tensor([3.0, 30.0]).double(),
    )
    cost = SequenceCost(
        model=LoopModel.of_loops(controller.model, problem, 2),
        objective=PlanObjective(problem=problem, time=4, constraints=constraints),
        initial=plant.starts(2, 1),
    )
    flat = 1.8 * torch.rand(2, 3, problem.horizon * problem.num_actions, generator=generator).double() - 0.9
    value, gradient = cost.value_and_gradient(flat)
    leaf = flat.clone().requires_grad_()
    truth = cost.value(leaf)
    torch.testing.assert_close(value, truth.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, torch.autograd.grad(truth.sum(), leaf)[0], rtol=1e-8, atol=1e-9)

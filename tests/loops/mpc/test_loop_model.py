"""Rows of loops on stacked models: the same figures as each loop's own model, rows chosen and repeated."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from mpc_plants import Pendulum, double_integrator
from torch import Tensor

from surrogate_opt.loops.mpc.loop_model import LoopModel
from surrogate_opt.loops.mpc.model import PlantModel, numpy_step_of, single_of
from surrogate_opt.loops.mpc.problem import ControlProblem


@dataclass(frozen=True)
class Stacked:
    """Several plants in one model that insists on its first axis."""

    plants: tuple[Pendulum, ...]
    num_states: int = 2
    num_actions: int = 1

    @property
    def num_models(self) -> int:
        return len(self.plants)

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        assert len(x) == len(u) == len(self.plants)
        return torch.stack([plant.step(a, b) for plant, a, b in zip(self.plants, x, u, strict=True)])

    def linearize(self, x: Tensor, u: Tensor):
        parts = [plant.linearize(a, b) for plant, a, b in zip(self.plants, x, u, strict=True)]
        return tuple(torch.stack(part) for part in zip(*parts, strict=True))


PLANTS = (Pendulum(dt=0.05), Pendulum(dt=0.1), Pendulum(dt=0.02))
PROBLEM = ControlProblem.from_plant(PLANTS[0])


@pytest.mark.parametrize("rows", [list(range(6)), [0, 1, 3], [2, 2, 2, 4, 5], [5]])
def test_rows_are_stepped_by_their_own_models(rows):
    generator = torch.Generator().manual_seed(0)
    model = LoopModel.of_loops(Stacked(PLANTS), PROBLEM, 6).select(torch.tensor(rows))
    x = torch.randn(len(rows), 4, 2, generator=generator).double()
    u = 2.0 * torch.rand(len(rows), 4, 1, generator=generator).double() - 1.0
    after = model.step(x, u)
    A, B = model.linearize(x, u)
    for i, row in enumerate(rows):
        plant = PLANTS[row // 2]
        torch.testing.assert_close(after[i], plant.step(x[i], 2.0 * u[i]), rtol=0, atol=1e-14)
        _, own_A, own_B = plant.linearize(x[i], 2.0 * u[i])
        torch.testing.assert_close(A[i], own_A, rtol=0, atol=1e-14)
        torch.testing.assert_close(B[i], 2.0 * own_B, rtol=0, atol=1e-14)


def test_rollout_repeats_the_step():
    plant = double_integrator(limit=4.0)
    model = LoopModel.of_loops(PlantModel(plant), ControlProblem.from_plant(plant), 2)
    x0, u = plant.starts(2, 0), torch.rand(2, 3, 5, 1).double()
    states = model.rollout(x0, u)
    assert states.shape == (2, 3, 6, 2)
    x = x0[1]
    for k in range(5):
        torch.testing.assert_close(states[1, 2, k], x, rtol=0, atol=1e-14)
        x = plant.step(x, 4.0 * u[1, 2, k])


class WithNumpyStep(PlantModel):
    """Counts the steps it is asked for in NumPy."""

    def __init__(self, plant):
        super().__init__(plant)
        self.calls = 0

    def numpy_step(self, x, u):
        self.calls += 1
        assert x.ndim == u.ndim == 2
        return self.step(torch.from_numpy(x), torch.from_numpy(u)).numpy()


def test_few_points_go_through_numpy_where_the_model_can():
    plain, fast = PlantModel(PLANTS[0]), WithNumpyStep(PLANTS[0])
    assert numpy_step_of(plain) is None
    assert numpy_step_of(fast) == fast.numpy_step
    generator = torch.Generator().manual_seed(0)
    for num_points, calls in ((3, 1), (100, 1)):
        x = torch.randn(2, num_points, 2, generator=generator).double()
        u = torch.rand(2, num_points, 1, generator=generator).double()
        model = LoopModel.of_loops(fast, PROBLEM, 2)
        after = torch.from_numpy(model.step_arrays(x.numpy(), u.numpy()))
        torch.testing.assert_close(after, model.step(x, u), rtol=0, atol=1e-14)
        assert fast.calls == calls


class WithSingle(Stacked):
    """Its twin takes float32 alone."""

    @property
    def single(self):
        return Single(self.plants)


class Single(Stacked):
    def step(self, x, u):
        assert x.dtype == u.dtype == torch.float32
        return super().step(x, u).float()

    def linearize(self, x, u):
        assert x.dtype == u.dtype == torch.float32
        return tuple(part.float() for part in super().linearize(x, u))


@pytest.mark.parametrize("rows", [list(range(6)), [2, 2, 5]])
def test_derivatives_and_screened_sequences_are_those_of_the_twin_in_single_precision(rows):
    assert single_of(PlantModel(PLANTS[0])) is None
    precise, rough = (
        LoopModel.of_loops(model(PLANTS), PROBLEM, 6).select(torch.tensor(rows))
        for model in (Stacked, WithSingle)
    )
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(len(rows), 2, generator=generator).double()
    u = 2.0 * torch.rand(len(rows), 3, 5, 1, generator=generator).double() - 1.0
    torch.testing.assert_close(precise.screen(x0, u), precise.rollout(x0, u), rtol=0, atol=0)
    torch.testing.assert_close(rough.rollout(x0, u), precise.rollout(x0, u), rtol=0, atol=0)
    states = rough.screen(x0, u)
    assert states.dtype == torch.float64
    torch.testing.assert_close(states, precise.rollout(x0, u), rtol=0, atol=1e-5)
    for mine, theirs in zip(
        rough.linearize(states[:, 0, 1:], u[:, 0]), precise.linearize(states[:, 0, 1:], u[:, 0]), strict=True
    ):
        assert mine.dtype == torch.float64
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)

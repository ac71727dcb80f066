"""Family plants: bounded, off target at rest, on target with the right constant actions, one plant a seed."""

import pytest
import torch
from plant_cases import episode
from surrogate_problems.families import FAMILIES
from surrogate_problems.plants import FamilyPlant, runge_kutta
from surrogate_problems.problem import ProblemError

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)


@pytest.mark.parametrize(
    ("family", "num_states", "num_actions"),
    [*((family, 4, 2) for family in FAMILIES), ("smooth", 1, 1), ("oscillatory", 2, 3), ("piecewise", 6, 1)],
)
def test_rests_off_target_and_is_held_on_it(family, num_states, num_actions):
    it = FamilyPlant(family, num_states=num_states, num_actions=num_actions, seed=7)
    idle = torch.zeros(5, it.num_steps, num_actions, dtype=torch.float64)
    assert not it.succeeded(episode(it, idle)).any()
    # Held from the middle of the starts; from others a plant may settle elsewhere.
    x = torch.zeros(num_states, dtype=torch.float64)
    for _ in range(it.num_steps):
        x = it.step(x, it.cost.action_target)
    assert it.at_target(x, it.num_steps)


@EACH_FAMILY
def test_bounded_whatever_the_actions(family):
    it = FamilyPlant(family, seed=1)
    x = it.starts(8, seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        u = torch.rand(8, 2, generator=generator, dtype=torch.float64).sign()
        x = it.step(x, torch.where(torch.rand(8, 2, generator=generator) < 0.5, u, -u))
    far = it.step(torch.full((4,), 50.0, dtype=torch.float64), u[0])
    assert x.abs().max() < 10.0
    assert far.norm() < 100.0  # half the distance of the start


@EACH_FAMILY
def test_nonlinear_part_is_the_familys(family):
    it, linear = (FamilyPlant(family, seed=2, nonlinearity=strength) for strength in (2.0, 0.0))
    generator = torch.Generator().manual_seed(0)
    x = 2.0 * torch.rand(50, 4, generator=generator, dtype=torch.float64) - 1.0
    u = 2.0 * torch.rand(50, 2, generator=generator, dtype=torch.float64) - 1.0
    A, B = it._system.drift, it._system.entry
    torch.testing.assert_close(A + A.T, -2.0 * torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(B.T @ B, 2.25 * torch.eye(2, dtype=torch.float64))
    rest = it.derivative(x, u) - x @ A.T - u @ B.T
    z = torch.cat([torch.tanh(x), u], dim=-1)
    values = torch.stack([function.value(z) for function in it._system.functions], dim=-1)
    scaled = (rest - rest[0]) / (values - values[0])
    torch.testing.assert_close(scaled[1:], it._system.gains.expand(49, 4))
    # With no nonlinearity the plant is affine.
    middle = linear.derivative(0.5 * (x[:25] + x[25:]), 0.5 * (u[:25] + u[25:]))
    ends = linear.derivative(x, u)
    torch.testing.assert_close(middle, 0.5 * (ends[:25] + ends[25:]))


@EACH_FAMILY
def test_nonlinearity_is_the_mean_norm_of_the_slopes(family):
    it = FamilyPlant(family, seed=3, nonlinearity=1.5)
    generator = torch.Generator().manual_seed(0)
    z = (2.0 * torch.rand(2000, 6, generator=generator, dtype=torch.float64) - 1.0).requires_grad_()
    rows = []
    for function, gain in zip(it._system.functions, it._system.gains, strict=True):
        (row,) = torch.autograd.grad(gain * function._evaluate_true(z).sum(), z)
        rows.append(row)
    norms = torch.linalg.svdvals(torch.stack(rows, dim=1))[:, 0]
    assert norms.mean().item() == pytest.approx(1.5, rel=0.05)


def test_seed_is_the_instance():
    x, u = torch.full((4,), 0.3, dtype=torch.float64), torch.full((2,), -0.2, dtype=torch.float64)
    first, again, other = (FamilyPlant("smooth", seed=seed).step(x, u) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_steps_of_any_plant_use_its_own_equation():
    it = FamilyPlant("sparse", seed=4)
    x, u = it.starts(3, seed=0), it.cost.action_target.expand(3, -1)
    by_hand = runge_kutta.step(lambda x, u: it._system.rates(x, u) - it._offset, x, u, 0.1, 2)
    torch.testing.assert_close(it.step(x, u), by_hand)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "rough"}, "family: expected one of smooth, piecewise"),
        ({"num_states": 0}, "num_states: expected at least 1, got 0"),
        ({"num_actions": 0}, "num_actions: expected at least 1, got 0"),
        ({"nonlinearity": -1.0}, "nonlinearity: expected a finite number of at least 0"),
        (
            {"nonlinearity": 1e4, "num_states": 1, "num_actions": 1},
            "nonlinearity: expected one at which constant actions can hold",
        ),
        ({"seed": -1}, "seed: expected a non-negative integer"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ProblemError, match=message):
        FamilyPlant(**{"family": "piecewise", **options})

"""The plants' equations against energies, a Lagrangian, forces as complex numbers, published figures."""

import pytest
import torch
from plant_cases import plant, points
from surrogate_problems.plants import Pendulum, QuadrupleTank, StirredTankReactor, VanDerPol
from surrogate_problems.problem import ProblemError


def coast(it, x, num_steps):
    states = [x]
    for _ in range(num_steps):
        states.append(it.step(states[-1], torch.zeros(*x.shape[:-1], it.num_actions, dtype=torch.float64)))
    return torch.stack(states)


def pendulum_energy(x):
    # A rod of 1 kg and 1 m on its end: kinetic energy m l² w²/6, potential m g (l/2) cos(angle).
    return x[..., 1] ** 2 / 6.0 + 5.0 * torch.cos(x[..., 0])


def test_pendulum_conserves_energy_without_torque_and_friction():
    x = torch.tensor([[3.0, 0.0], [1.0, -2.0], [0.1, 6.0]], dtype=torch.float64)
    states = coast(Pendulum(), x, 100)
    energy = pendulum_energy(states)
    assert (energy - energy[0]).abs().max() < 2e-3  # 5 s at 0.025 s, of 10 J between hanging and upright
    assert states[..., 0].std(0).min() > 0.1


def test_friction_takes_the_energy_it_should():
    it = Pendulum(friction=0.2)
    x, u = points(it, 20)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(pendulum_energy(x).sum(), x)
    power = (slope * it.derivative(x, u)).sum(-1)
    torch.testing.assert_close(power, u[:, 0] * x[:, 1] - 0.2 * x[:, 1].square())


def test_torque_cannot_lift_the_pendulum():
    level = torch.tensor([torch.pi / 2.0, 0.0], dtype=torch.float64)
    _, acceleration = Pendulum().derivative(level, -Pendulum().action_bounds[1])
    assert acceleration > 0.0


def test_cart_pole_obeys_its_lagrangian():
    def lagrangian(q, speed):
        # Cart and rod: the rod's middle, and its moment of inertia m (2 l)²/12 about it.
        middle_x = speed[0] + 0.5 * torch.cos(q[1]) * speed[1]
        middle_z = -0.5 * torch.sin(q[1]) * speed[1]
        rotation = 0.1 * 1.0**2 / 12.0 * speed[1] ** 2
        kinetic = 0.5 * (1.0 * speed[0] ** 2 + 0.1 * (middle_x**2 + middle_z**2) + rotation)
        return kinetic - 0.1 * 9.8 * 0.5 * torch.cos(q[1])

    it = plant("cart_pole")
    states, forces = points(it, 4)
    for x, u in zip(states, forces, strict=True):
        q, speed, acceleration = x[:2], x[2:], it.derivative(x, u)[2:]
        momentum = torch.func.grad(lagrangian, argnums=1)
        mass = torch.func.jacrev(momentum, argnums=1)(q, speed)
        transport = torch.func.jacrev(momentum, argnums=0)(q, speed) @ speed
        force = mass @ acceleration + transport - torch.func.grad(lagrangian)(q, speed)
        torch.testing.assert_close(force, torch.stack([u[0], torch.zeros_like(u[0])]))


def test_quadrotor_is_pushed_along_its_axis():
    it = plant("quadrotor")
    x, u = points(it, 10)
    rates = it.derivative(x, u)
    axis = 1j * torch.exp(1j * x[:, 2])
    expected = axis * u.sum(-1) / 0.486 - 9.81j
    torch.testing.assert_close(torch.complex(rates[:, 3], rates[:, 4]), expected)
    torch.testing.assert_close(rates[:, :3], x[:, 3:])
    torch.testing.assert_close(0.00383 * rates[:, 5], 0.25 * (u[:, 0] - u[:, 1]))


def test_reactor_has_the_published_steady_state():
    # Chen, Kremling and Allgöwer (1995): the operating point of the benchmark, four or five digits.
    it = StirredTankReactor(inflow_temperature=104.9, volume=10.0)
    states, actions = it.steady_state(1.0903, 114.19)
    torch.testing.assert_close(
        states, torch.tensor([2.1402, 1.0903, 114.19, 112.88], dtype=torch.float64), rtol=0.0, atol=0.03
    )
    torch.testing.assert_close(
        actions, torch.tensor([14.19, -1113.5], dtype=torch.float64), rtol=5e-4, atol=0.0
    )
    assert it.derivative(states, actions).abs().max() < 1e-9


def test_reactor_refuses_a_product_it_cannot_hold():
    with pytest.raises(ProblemError, match=r"concentration_b: expected one that 120.0 °C can hold, got 2.0"):
        StirredTankReactor().steady_state(2.0, 120.0)


def test_tanks_have_the_published_steady_state():
    # Johansson (2000), P-. The levels were measured: the model's own for 3.00 V are 12.26, 12.78, 1.63, 1.41.
    published = torch.tensor([12.4, 12.7, 1.8, 1.4], dtype=torch.float64)
    volts = torch.tensor([3.0, 3.0], dtype=torch.float64)
    levels = QuadrupleTank().steady_levels(volts)
    assert (levels - published).abs().max() < 0.2


def test_tanks_are_minimum_phase():
    # At P- the transmission zeros are at -0.060 and -0.018 1/s (Johansson 2000, Section II).
    it = QuadrupleTank()
    volts = torch.tensor([3.0, 3.0], dtype=torch.float64)
    A, B = it.jacobians(it.steady_levels(volts), volts)
    # With the outputs h1 and h2 held at 0, the inputs follow from the first two rows.
    zeros = torch.linalg.eigvals(A[2:, 2:] - B[2:] @ torch.linalg.solve(B[:2], A[:2, 2:]))
    torch.testing.assert_close(
        zeros.real.sort().values, torch.tensor([-0.060, -0.018], dtype=torch.float64), rtol=0.0, atol=2e-3
    )


def test_tanks_lose_what_flows_out():
    it = QuadrupleTank()
    levels, volts = points(it, 10)
    areas = torch.tensor([28.0, 32.0, 28.0, 32.0], dtype=torch.float64)
    stored = it.derivative(levels, volts) @ areas
    pumped = volts @ torch.tensor([3.33, 3.35], dtype=torch.float64)
    drained = (2.0 * 981.0 * levels[:, :2]).sqrt() @ torch.tensor([0.071, 0.057], dtype=torch.float64)
    torch.testing.assert_close(stored, pumped - drained, rtol=1e-3, atol=1e-3)


def test_empty_tanks_stay_empty():
    it = QuadrupleTank()
    x = torch.zeros(4, dtype=torch.float64)
    assert not it.step(x, torch.zeros(2, dtype=torch.float64)).any()
    emptied = coast(it, torch.full((4,), 2.0, dtype=torch.float64), 60)
    assert emptied.min() > -0.01
    assert emptied[-1].abs().max() < 0.01


def test_van_der_pol_runs_onto_its_limit_cycle():
    # The amplitude at mu = 1 is 2.00862 and the period 6.66329 (e.g. Andersen and Geer 1982).
    it = VanDerPol()
    position = coast(it, torch.tensor([1.0, 0.0], dtype=torch.float64), 250)[100:, 0]
    assert position.max().item() == pytest.approx(2.00862, abs=0.01)
    rising = ((position[:-1] < 0.0) & (position[1:] >= 0.0)).nonzero()[:, 0]
    share = -position[rising] / (position[rising + 1] - position[rising])
    period = (rising + share).diff().mean().item() * it.dt
    assert period == pytest.approx(6.66329, abs=0.01)

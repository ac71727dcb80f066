"""Adam and gradient descent against torch's optimizer, a closed form, and curvature that is known."""

from __future__ import annotations

import math

import pytest
import torch
from loop_problems import BOX, Bowl, Waves, sobol

from surrogate_opt.errors import InputError
from surrogate_opt.loops.projected import AdamConfig, DescentConfig, adam, gradient_descent, lipschitz_step

UNIT = torch.tensor([[0.0] * 3, [1.0] * 3]).double()
LINEAR_SLOPE = torch.tensor([1.0, -2.0, 0.5]).double()


class Plane(Waves):
    def function(self, x):
        return x @ LINEAR_SLOPE


class Flat(Waves):
    def function(self, x):
        return 0.0 * x.sum(-1)


def test_adam_follows_torch_adam_within_the_box():
    starts = sobol(4, UNIT) * 0.2 + 0.4  # far enough inside that no step meets a limit
    config = AdamConfig(steps=20, learning_rate=0.01, tolerance=0.0)
    paths = adam(Waves(), starts, UNIT, config)
    x = starts.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.01)
    for step in range(20):
        optimizer.param_groups[0]["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * step / 20))
        optimizer.zero_grad()
        Waves().function(x).sum().backward()
        optimizer.step()
        torch.testing.assert_close(paths.x[step + 1], x.detach(), rtol=0, atol=1e-12)


def test_adam_steps_in_widths_of_the_box():
    wide = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1000.0, 1e-3]]).double()
    centre = 0.5 * wide[1]
    bowl = Bowl(centre, 1 / wide[1] ** 2)
    paths = adam(bowl, 0.9 * wide[1:], wide, AdamConfig(steps=50))
    in_widths = paths.x[:, 0] / wide[1]
    torch.testing.assert_close(in_widths, in_widths[:, :1].expand(-1, 3), rtol=0, atol=1e-12)


def test_gradient_descent_on_a_bowl_shrinks_by_a_known_factor():
    bowl = Bowl(torch.full((3,), 0.5).double(), torch.ones(3).double())  # gradient 2 (x - 0.5)
    starts = sobol(4, UNIT)
    paths = gradient_descent(bowl, starts, UNIT, DescentConfig(step_size=0.1, steps=30, tolerance=0.0))
    for step in (1, 10, 30):
        expected = 0.5 + 0.8**step * (starts - 0.5)
        torch.testing.assert_close(paths.x[step], expected, rtol=0, atol=1e-12)


def test_descent_on_a_plane_ends_in_its_corner():
    step = lipschitz_step(Plane(), BOX)
    paths = gradient_descent(Plane(), sobol(4), BOX, DescentConfig(step_size=step))
    assert torch.equal(paths.end, torch.tensor([[-1.0, 2.0, 0.0]]).double().expand(4, 3))


@pytest.mark.parametrize("dim", [1, 3, 40])
def test_lipschitz_step_is_one_over_the_largest_curvature(dim):
    bounds = torch.stack([torch.zeros(dim), torch.full((dim,), 2.0)]).double()
    curvature = torch.linspace(0.1, 5.0, dim).double()
    bowl = Bowl(torch.ones(dim).double(), curvature)
    # Second derivative 2 c, in box units times width^2 = 4, over the scale 10.
    expected = 10.0 / (2 * float(curvature.max()) * 4)
    step = lipschitz_step(bowl, bounds, scale=10.0)
    assert expected <= step * (1 + 1e-9)  # never longer curvature than there is
    # Four power iterations find the largest of 40 curvatures to within a fifth, enough for a stable step.
    assert step <= 1.2 * expected


def test_lipschitz_step_repeats_and_makes_every_start_descend():
    assert lipschitz_step(Waves(), BOX, seed=4) == lipschitz_step(Waves(), BOX, seed=4)
    assert lipschitz_step(Waves(), BOX, seed=4) != lipschitz_step(Waves(), BOX, seed=5)
    paths = gradient_descent(Waves(), sobol(64), BOX, DescentConfig(step_size=lipschitz_step(Waves(), BOX)))
    assert paths.value.diff(dim=0).max() <= 1e-12


def test_lipschitz_step_of_a_constant_and_of_a_fixed_box():
    assert lipschitz_step(Flat(), BOX) == 1.0
    assert lipschitz_step(Waves(), torch.stack([BOX[0], BOX[0]])) == 1.0


def test_lipschitz_step_of_a_broken_model():
    class Broken(Waves):
        def function(self, x):
            return torch.nan * x.sum(-1)

    with pytest.raises(InputError, match="model: expected finite gradients"):
        lipschitz_step(Broken(), BOX)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: AdamConfig(steps=0), "steps"),
        (lambda: AdamConfig(learning_rate=-1.0), "learning_rate"),
        (lambda: AdamConfig(beta1=1.0), "beta1"),
        (lambda: AdamConfig(tolerance=math.nan), "tolerance"),
        (lambda: DescentConfig(step_size=0.0), "step_size"),
        (lambda: DescentConfig(step_size=math.inf), "step_size"),
    ],
)
def test_bad_settings_are_named(make, name):
    with pytest.raises(InputError, match=name):
        make()

"""Chunked evaluation: same numbers as in one go, points bounded per call, little memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from surrogate_opt.diagnostics.evaluate import (
    NUM_POINTS,
    check_bounds,
    chunks,
    evaluate_along,
    evaluate_values,
    evaluate_values_and_gradients,
    find_bounds,
    normalize_gradient,
    output_scale,
    sobol_points,
)
from surrogate_opt.errors import InputError
from surrogate_opt.types import GradientSource

BOX = torch.tensor([[-1.0, 0.0, 5.0], [1.0, 4.0, 6.0]], dtype=torch.float64)


class Quadratic:
    """x.x for each surrogate times its weight, and a record of what it was asked."""

    gradient_source: GradientSource = "analytic"

    def __init__(self, weight: Tensor | float = 1.0) -> None:
        self.weight = torch.as_tensor(weight, dtype=torch.float64)
        self.calls: list[tuple[int, ...]] = []

    def value(self, x: Tensor) -> Tensor:
        return self.value_and_gradient(x)[0]

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.append(tuple(x.shape))
        weight = self.weight.unsqueeze(-1) if self.weight.ndim else self.weight
        return weight * x.square().sum(-1), (
            2 * weight.unsqueeze(-1) * x if self.weight.ndim else 2 * weight * x
        )


@pytest.mark.parametrize("max_points", [1, 7, 20, 1000])
@pytest.mark.parametrize("stack", [(), (4,)])
def test_chunks_change_nothing_and_bound_the_points_per_call(max_points: int, stack: tuple[int, ...]) -> None:
    model = Quadratic(torch.arange(1.0, 5.0) if stack else 2.0)
    x = sobol_points(BOX, 20, 0).expand(*stack, 20, 3)
    whole_value, whole_gradient = model.value_and_gradient(x)
    model.calls.clear()
    value, gradient = evaluate_values_and_gradients(model, x, max_points)
    assert torch.equal(value, whole_value)
    assert torch.equal(gradient, whole_gradient)
    assert torch.equal(evaluate_values(model, x, max_points), whole_value)
    least = 4 if stack else 1  # one point of each surrogate
    assert all(np.prod(shape[:-1]) <= max(max_points, least) for shape in model.calls)
    assert all(shape[:-2] == stack for shape in model.calls)


def test_chunks_cover_every_point_once() -> None:
    seen = [index for part in chunks(torch.zeros(3, 10, 2), 9) for index in range(part.start, part.stop)]
    assert seen == list(range(10))
    with pytest.raises(InputError, match="x: expected shape"):
        list(chunks(torch.zeros(5)))


def test_float32_points_are_evaluated_and_stored_in_float64() -> None:
    assert evaluate_values(Quadratic(), torch.ones(4, 3)).dtype == torch.float64


def test_along_any_shape() -> None:
    x = torch.randn(5, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(evaluate_along(Quadratic(), x, max_points=4), x.square().sum(-1))


@pytest.mark.slow
def test_a_million_points_fit_in_two_gib() -> None:
    """Peak memory of a fresh process: everything, interpreter and torch included."""
    program = """
import resource, torch
from surrogate_opt.diagnostics import gradient_field, sensitivity, sobol_points
class Sine:
    gradient_source = "analytic"
    bounds = torch.tensor([[-1.0] * 10, [1.0] * 10], dtype=torch.float64)
    def value(self, x):
        return torch.sin(x).sum(-1)
    def value_and_gradient(self, x):
        return torch.sin(x).sum(-1), torch.cos(x)
class Ensemble(Sine):
    def members_value_and_gradient(self, x):
        value, gradient = self.value_and_gradient(x)
        return torch.stack([value] * 5), torch.stack([gradient] * 5)
gradient_field(Sine(), Sine(), num_points=10**6)
sensitivity(Ensemble(), sobol_points(Sine.bounds, 10**6, 0))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 * 2**30


def test_sobol_points_fill_the_box_and_repeat() -> None:
    points = sobol_points(BOX, 512, 3)
    assert points.dtype == torch.float64
    assert bool(((points >= BOX[0]) & (points <= BOX[1])).all())
    assert torch.equal(points, sobol_points(BOX, 512, 3))
    assert not torch.equal(points, sobol_points(BOX, 512, 4))
    # A (t, m, s)-net: every 512th of each axis holds one point.
    cells = ((points - BOX[0]) / (BOX[1] - BOX[0]) * 512).floor().long()
    assert all(column.unique().numel() == 512 for column in cells.T)


def test_sobol_points_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    sobol_points(BOX, 16, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fixed_input_stays_put() -> None:
    box = torch.tensor([[0.0, 0.3], [1.0, 0.3]], dtype=torch.float64)
    assert bool((sobol_points(box, 8, 0)[:, 1] == box[0, 1]).all())


def test_output_scale_of_a_plane() -> None:
    class Plane(Quadratic):
        def value(self, x: Tensor) -> Tensor:
            return 3.0 * x[..., 0] + 100.0

    # std of 3 u, u uniform on a width of 2: 3 x 2 / sqrt(12); 2048 Sobol points are good to 1e-3.
    assert output_scale(Plane(), BOX) == pytest.approx(6 / 12**0.5, rel=1e-3)


def test_output_scale_is_over_the_fixed_set() -> None:
    model = Quadratic()
    expected = model.value(sobol_points(BOX, NUM_POINTS, 0)).numpy().std()
    assert output_scale(model, BOX) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("weight", "message"), [(0.0, "constant 0"), (float("nan"), "finite")])
def test_output_scale_of_a_useless_truth(weight: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        output_scale(Quadratic(weight), BOX)


def test_normalized_gradient_is_the_gradient_in_the_unit_box() -> None:
    unit = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    x = BOX[0] + (BOX[1] - BOX[0]) * unit
    (x.square().sum() / 7.0).backward()  # type: ignore[no-untyped-call]  # torch
    assert unit.grad is not None
    assert torch.allclose(normalize_gradient(2 * x.detach(), BOX, 7.0), unit.grad, rtol=1e-12)


def test_normalized_gradient_with_a_scale_for_each_surrogate() -> None:
    gradient = torch.ones(2, 5, 3, dtype=torch.float64)
    scaled = normalize_gradient(gradient, BOX, torch.tensor([[1.0], [4.0]]))
    assert torch.allclose(scaled[0], 4 * scaled[1])


@pytest.mark.parametrize(
    "bounds",
    [
        torch.zeros(3, 2),
        torch.tensor([[0.0, 1.0], [1.0, 0.5]]),
        torch.tensor([[0.0], [float("inf")]]),
        torch.tensor([[2.0], [2.0]]),
        torch.zeros(2, 0),
    ],
)
def test_bad_bounds_are_named(bounds: Tensor) -> None:
    with pytest.raises(InputError, match=r"^bounds: expected"):
        check_bounds(bounds)


def test_bounds_come_from_the_first_who_has_them() -> None:
    class Owner:
        def __init__(self, bounds: Tensor | None) -> None:
            self.bounds = bounds

    other = torch.tensor([[0.0], [9.0]], dtype=torch.float64)
    assert torch.equal(find_bounds(BOX, Owner(other)), BOX)
    assert torch.equal(find_bounds(None, object(), Owner(None), Owner(BOX), Owner(other)), BOX)
    with pytest.raises(InputError, match="has bounds, got neither"):
        find_bounds(None, object())
    with pytest.raises(InputError, match=r"\(2, 3\)"):
        find_bounds(other, dim=3)


def test_num_points_must_be_positive() -> None:
    with pytest.raises(InputError, match="num_points"):
        sobol_points(BOX, 0, 0)

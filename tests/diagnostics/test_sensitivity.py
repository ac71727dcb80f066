"""Sensitivity against closed forms, and of anything that can be adapted."""

from __future__ import annotations

import math
from collections.abc import Callable

import botorch
import numpy as np
import pytest
import torch
from torch import Tensor

from surrogate_opt.diagnostics.evaluate import sobol_points
from surrogate_opt.diagnostics.sensitivity import (
    LINEARITY_STEP,
    Sensitivity,
    sensitivity,
    sensitivity_each,
    sensitivity_of,
    unit_directions,
)
from surrogate_opt.errors import InputError
from surrogate_opt.types import GradientSource

BOX = torch.tensor([[-1.0, 0.0], [1.0, 4.0]], dtype=torch.float64)
WIDTH = BOX[1] - BOX[0]
POINTS = sobol_points(BOX, 300, 1)


class Surface:
    """A torch function of x with bounds; gradients by autograd."""

    gradient_source: GradientSource = "autograd"

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function
        self.bounds = BOX

    def value(self, x: Tensor) -> Tensor:
        return self.function(x)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        leaf = x.detach().clone().requires_grad_()
        value = self.function(leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), gradient


class Ensemble:
    """Surfaces as members of one model, with a made-up derivative proxy."""

    gradient_source: GradientSource = "autograd"

    def __init__(self, *functions: Callable[[Tensor], Tensor]) -> None:
        self.surfaces = [Surface(function) for function in functions]
        self.bounds = BOX

    def members_value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pairs = [surface.value_and_gradient(x) for surface in self.surfaces]
        return torch.stack([value for value, _ in pairs]), torch.stack([gradient for _, gradient in pairs])

    def value(self, x: Tensor) -> Tensor:
        return self.members_value_and_gradient(x)[0].mean(0)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = self.members_value_and_gradient(x)
        return value.mean(0), gradient.mean(0)


def numbers(report: Sensitivity) -> dict[str, float]:
    return {name: value for name, value in report.to_dict().items() if isinstance(value, float)}


def bowl(x: Tensor) -> Tensor:
    return x.square().sum(-1)


def ridge(x: Tensor) -> Tensor:
    return 2.0 * x[..., 0] - 3.0 * x[..., 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_figures_of_gradients_equal_numpy(dtype: torch.dtype) -> None:
    gradients = torch.randn(777, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    norms = np.linalg.norm(gradients.double().numpy(), axis=1)
    found = sensitivity_of(gradients)
    assert found.mean == pytest.approx(norms.mean())
    assert (found.p90, found.p95, found.p99) == pytest.approx(tuple(np.percentile(norms, [90, 95, 99])))
    assert found.max == pytest.approx(norms.max())
    assert found.tail_ratio == pytest.approx(np.percentile(norms, 99) / norms.mean())
    assert math.isnan(found.linearity_error)
    assert found.derivative_proxy is None
    assert found.member_spread is None


def test_zero_gradients() -> None:
    found = sensitivity_of(torch.zeros(5, 3))
    assert (found.mean, found.max) == (0.0, 0.0)
    assert math.isnan(found.tail_ratio)


def test_equal_gradients_have_a_perfect_tail_ratio() -> None:
    found = sensitivity_of(torch.ones(5, 4, dtype=torch.float64))
    assert (found.mean, found.p99, found.max, found.tail_ratio) == (2.0, 2.0, 2.0, 1.0)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 3, 4)])
def test_gradients_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="gradients: expected shape"):
        sensitivity_of(torch.zeros(shape))


def test_plane_in_closed_form() -> None:
    scale = 5.0
    found = sensitivity(Surface(ridge), POINTS, scale=scale)
    norm = math.hypot(2.0 * 2.0, 3.0 * 4.0) / scale
    assert (found.mean, found.max, found.tail_ratio) == pytest.approx((norm, norm, 1.0))
    assert found.linearity_error == pytest.approx(0.0, abs=1e-14)


def test_linearity_error_of_a_quadratic_in_closed_form() -> None:
    # f(x + s) - f(x) - s.g = |s|^2 exactly, s = e v width: no dependence on x.
    scale = 3.0
    moves = LINEARITY_STEP * WIDTH * unit_directions(300, 2, 5)
    expected = float(moves.square().sum(-1).mean()) / scale
    found = sensitivity(Surface(bowl), POINTS, scale=scale, seed=5)
    assert found.linearity_error == pytest.approx(expected, rel=1e-9)
    concave = sensitivity(Surface(lambda x: -bowl(x)), POINTS, scale=scale, seed=5)
    assert concave.linearity_error == pytest.approx(expected, rel=1e-9)


def test_linearity_errors_of_both_signs_do_not_cancel() -> None:
    moves = LINEARITY_STEP * WIDTH * unit_directions(300, 2, 0)
    remainders = moves[:, 0].square() * 4 - moves[:, 1].square()
    assert remainders.min() < 0 < remainders.max()
    found = sensitivity(Surface(lambda x: 4 * x[..., 0] ** 2 - x[..., 1] ** 2), POINTS, scale=1.0)
    assert found.linearity_error == pytest.approx(float(remainders.abs().mean()), rel=1e-9)


def test_linearity_error_of_a_kink_is_of_first_order() -> None:
    # |x_0| at x_0 = 0, gradient 0 there: the error is the whole change, e |v_0| width_0.
    points = torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(300, 2)
    expected = LINEARITY_STEP * float(unit_directions(300, 2, 0)[:, 0].abs().mean()) * 2.0
    found = sensitivity(Surface(lambda x: x[..., 0].abs()), points, scale=1.0)
    assert found.linearity_error == pytest.approx(expected, rel=1e-9)


def test_directions_are_unit_and_uniform() -> None:
    directions = unit_directions(20_000, 3, 0)
    assert torch.allclose(directions.norm(dim=-1), torch.ones(20_000, dtype=torch.float64))
    # Mean of a uniform direction is 0 and its second moment 1/3; 20,000 draws are good to 0.02.
    assert torch.allclose(directions.mean(0), torch.zeros(3, dtype=torch.float64), atol=0.02)
    assert torch.allclose(
        directions.T @ directions / 20_000, torch.eye(3, dtype=torch.float64) / 3, atol=0.02
    )
    assert not torch.equal(directions, unit_directions(20_000, 3, 1))


def test_units_do_not_matter() -> None:
    stretch = torch.tensor([1000.0, 1e-3], dtype=torch.float64)
    stretched = Surface(lambda x: 7.0 * bowl(x / stretch))
    stretched.bounds = BOX * stretch
    raw, other = sensitivity(Surface(bowl), POINTS), sensitivity(stretched, POINTS * stretch)
    assert numbers(other) == pytest.approx(numbers(raw), rel=1e-9)


def test_scale_defaults_to_the_model_s_own_deviation() -> None:
    deviation = bowl(sobol_points(BOX, 2048, 0)).numpy().std()
    default, given = sensitivity(Surface(bowl), POINTS), sensitivity(Surface(bowl), POINTS, scale=deviation)
    assert default.mean == pytest.approx(given.mean, rel=1e-12)


def test_constant_model() -> None:
    found = sensitivity(Surface(lambda x: 0.0 * x.sum(-1) + 4.0), POINTS)
    assert (found.mean, found.max, found.linearity_error) == (0.0, 0.0, 0.0)


def test_spread_across_members_is_the_deviation_of_their_own_figures() -> None:
    functions = (bowl, ridge, lambda x: torch.sin(3 * x).sum(-1))
    found = sensitivity(Ensemble(*functions), POINTS, scale=2.0)
    alone = [sensitivity(Surface(function), POINTS, scale=2.0) for function in functions]
    assert found.member_spread is not None
    for name in ("mean", "p90", "p95", "p99", "max", "tail_ratio", "linearity_error"):
        expected = np.std([getattr(one, name) for one in alone], ddof=1)
        assert getattr(found.member_spread, name) == pytest.approx(expected), name
    assert found.member_spread.derivative_proxy is None


def test_the_model_s_own_figures_are_those_of_the_members_mean() -> None:
    found = sensitivity(Ensemble(bowl, ridge), POINTS, scale=2.0)
    mean = sensitivity(Surface(lambda x: (bowl(x) + ridge(x)) / 2), POINTS, scale=2.0)
    assert found.p99 == pytest.approx(mean.p99)
    assert found.linearity_error == pytest.approx(mean.linearity_error)


def test_one_member_has_no_spread() -> None:
    assert sensitivity(Ensemble(bowl), POINTS).member_spread is None


class Proxied(Ensemble):
    """Proxy: the mean of x_0 over the points; of the two members, 0 and 2 times it."""

    def derivative_proxy(self, x: Tensor) -> Tensor:
        return x[..., 0].mean(-1)

    def members_derivative_proxy(self, x: Tensor) -> Tensor:
        return torch.stack([2.0 * k * x[..., 0].mean(-1) for k in range(len(self.surfaces))])


def test_derivative_proxy_is_the_mean_over_all_chunks() -> None:
    points = sobol_points(BOX, 40_000, 2)
    found = sensitivity(Proxied(bowl, ridge), points)
    mean = float(points[:, 0].mean())
    assert found.derivative_proxy == pytest.approx(mean, rel=1e-9, abs=1e-12)
    assert found.member_spread is not None
    assert found.member_spread.derivative_proxy == pytest.approx(
        abs(mean) * math.sqrt(2), rel=1e-9, abs=1e-12
    )


def test_a_stack_gives_each_surrogate_what_it_gets_alone() -> None:
    class Stack(Surface):
        def __init__(self, factors: Tensor) -> None:
            super().__init__(lambda x: torch.sin(factors.unsqueeze(-1) * x.sum(-1)))

    factors = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    scale = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    for together, units in (
        (sensitivity_each(Stack(factors), POINTS.expand(3, -1, -1), scale=scale), scale),
        (sensitivity_each(Stack(factors), POINTS.expand(3, -1, -1)), None),
    ):
        for index, one in enumerate(together):
            factor = float(factors[index])
            alone = sensitivity(
                Surface(lambda x, factor=factor: torch.sin(factor * x.sum(-1))),  # type: ignore[misc]
                POINTS,
                scale=None if units is None else float(units[index]),
            )
            assert numbers(one) == pytest.approx(numbers(alone), rel=1e-9)


def test_a_stack_of_ensembles() -> None:
    class Stack(Ensemble):
        def members_value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
            value, gradient = super().members_value_and_gradient(x)
            factor = torch.tensor([1.0, 2.0], dtype=torch.float64).unsqueeze(-1)
            return factor * value, factor.unsqueeze(-1) * gradient

    one, two = sensitivity_each(Stack(bowl, ridge), POINTS.expand(2, -1, -1), scale=1.0)
    assert two.mean == pytest.approx(2 * one.mean)
    assert one.member_spread is not None
    assert two.member_spread is not None
    assert two.member_spread.p99 == pytest.approx(2 * one.member_spread.p99)


def test_plain_callables_arrays_and_the_range_of_the_data_as_bounds() -> None:
    found = sensitivity(lambda x: (x**2).sum(-1), POINTS.numpy(), scale=1.0)
    box = torch.stack([POINTS.amin(0), POINTS.amax(0)])
    assert found.mean == pytest.approx(float((2 * POINTS * (box[1] - box[0])).norm(dim=-1).mean()))


def test_a_gaussian_process_is_measured() -> None:
    unit = (POINTS[:40] - BOX[0]) / WIDTH
    model = botorch.models.SingleTaskGP(unit, bowl(unit).unsqueeze(-1))
    found = sensitivity(model, unit, scale=1.0)
    assert 0.0 < found.mean < found.p99 <= found.max


def test_a_seed_repeats() -> None:
    model = Surface(lambda x: torch.sin(9 * x).sum(-1))
    assert sensitivity(model, POINTS, seed=1) == sensitivity(model, POINTS, seed=1)
    assert (
        sensitivity(model, POINTS, seed=1).linearity_error
        != sensitivity(model, POINTS, seed=2).linearity_error
    )


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="x: expected shape"):
        sensitivity(Surface(bowl), POINTS[0])
    with pytest.raises(InputError, match="x: expected at least one point"):
        sensitivity(Surface(bowl), POINTS[:0])
    with pytest.raises(InputError, match="scale: expected a positive number"):
        sensitivity(Surface(bowl), POINTS, scale=0.0)
    with pytest.raises(InputError, match=r"bounds: expected shape \(2, 1\)"):
        sensitivity(Surface(bowl), POINTS[:, :1])
    with pytest.raises(InputError, match="x: expected shape"):
        sensitivity_each(Surface(bowl), POINTS)

"""Gradient-field figures against hand-worked fields, autograd and central differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from botorch.test_functions.synthetic import Branin
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from surrogate_opt.diagnostics.evaluate import sobol_points
from surrogate_opt.diagnostics.gradient_field import (
    compare_gradients,
    cosines,
    gradient_field,
    gradient_field_each,
)
from surrogate_opt.errors import InputError

BOX = torch.tensor([[-1.0, 0.0], [1.0, 4.0]], dtype=torch.float64)


def field(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


TRUE = field([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 4.0]])


@pytest.mark.parametrize(
    ("predicted", "error", "cosine", "wrong", "spike", "gain"),
    [
        (TRUE, 0.0, 1.0, 0.0, 0.0, 1.0),
        (-TRUE, 2.0, -1.0, 1.0, 0.0, 1.0),
        # Norms 2, 4, 6, 8 against 1.25 x 3.97, the p99 of 1, 2, 3, 4 being 3.97.
        (2 * TRUE, 1.0, 1.0, 0.0, 0.5, 2.0),
        (torch.zeros_like(TRUE), 1.0, 0.0, 1.0, 0.0, 0.0),
        # Turned by a right angle: never downhill.
        (TRUE.flip(-1), math.sqrt(2), 0.0, 1.0, 0.0, 1.0),
        # One point flipped, of norm 4 out of 10.
        (TRUE * field([[1], [1], [1], [-1]]), 0.8, 0.5, 0.25, 0.0, 1.0),
    ],
)
def test_fields_worked_by_hand(
    predicted: Tensor, error: float, cosine: float, wrong: float, spike: float, gain: float
) -> None:
    found = compare_gradients(predicted, TRUE)
    assert found.gradient_error == pytest.approx(error)
    assert found.cosine == pytest.approx(cosine)
    assert found.wrong_way_rate == wrong
    assert found.spike_excess == spike
    assert found.gain == pytest.approx(gain)
    assert found.num_points == 4


def test_p99_of_the_error_equals_numpy() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, true = (torch.randn(500, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    errors = np.linalg.norm((predicted - true).numpy(), axis=1)
    expected = np.percentile(errors, 99) / np.linalg.norm(true.numpy(), axis=1).mean()
    assert compare_gradients(predicted, true).gradient_error_p99 == pytest.approx(expected)


def test_flat_points_of_the_truth_have_no_wrong_way() -> None:
    true = field([[1.0, 0.0], [0.0, 0.0], [4e-4, 0.0]])  # mean 0.3335: the last is over a thousandth of it
    predicted = field([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert compare_gradients(predicted, true).wrong_way_rate == 0.5
    true[2, 0] = 3e-4
    assert compare_gradients(predicted, true).wrong_way_rate == 0.0


def test_cosine_is_zero_where_either_gradient_is() -> None:
    one, zero = field([[1.0, 1.0]]), field([[0.0, 0.0]])
    assert [float(cosines(a, b)) for a, b in ((one, zero), (zero, one), (zero, zero))] == [0.0, 0.0, 0.0]


def test_cosine_equals_torch_with_leading_axes() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(4, 9, 3, dtype=torch.float64, generator=generator)
    true = torch.randn(9, 3, dtype=torch.float64, generator=generator)
    expected = torch.cosine_similarity(predicted, true.expand(4, 9, 3), dim=-1)
    assert torch.allclose(cosines(predicted, true), expected, rtol=1e-12)


def test_spike_threshold_is_strict_and_relative_to_the_truth_s_p99() -> None:
    true = field([[1.0]] * 4)
    assert compare_gradients(field([[1.25], [1.0], [1.0], [1.0]]), true).spike_excess == 0.0
    assert compare_gradients(field([[1.2501], [-9.0], [1.0], [1.0]]), true).spike_excess == 0.5


def test_flat_truth() -> None:
    steep = compare_gradients(TRUE, torch.zeros_like(TRUE))
    assert (steep.gradient_error, steep.gain, steep.spike_excess) == (math.inf, math.inf, 1.0)
    assert math.isnan(steep.wrong_way_rate)
    assert math.isnan(compare_gradients(0 * TRUE, 0 * TRUE).gain)


@given(
    st.floats(0.01, 100),
    st.lists(st.tuples(*[st.floats(-5, 5).map(lambda v: round(v, 3))] * 4), min_size=1, max_size=8),
)
def test_figures_do_not_depend_on_the_output_scale(scale: float, rows: list[tuple[float, ...]]) -> None:
    table = torch.tensor(rows, dtype=torch.float64)
    predicted, true = table[:, :2], table[:, 2:] + 10.0  # away from thresholds that rounding could cross
    raw, scaled = compare_gradients(predicted, true), compare_gradients(predicted * scale, true * scale)
    for name in ("gradient_error", "gradient_error_p99", "cosine", "gain"):
        assert getattr(scaled, name) == pytest.approx(getattr(raw, name), rel=1e-9, abs=1e-12)


def test_float32_is_compared_in_float64() -> None:
    assert compare_gradients(TRUE.float(), TRUE.float()).gradient_error == 0.0
    assert compare_gradients(TRUE.float() * 2, TRUE).gain == 2.0


@pytest.mark.parametrize(
    ("predicted", "true", "name"),
    [(TRUE[:2], TRUE, "predicted"), (TRUE, TRUE[0], "true"), (TRUE[:0], TRUE[:0], "true")],
)
def test_bad_shapes_are_named(predicted: Tensor, true: Tensor, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: expected shape"):
        compare_gradients(predicted, true)


def wave(x: Tensor) -> Tensor:
    return torch.sin(2 * x).sum(-1)


def test_model_against_truth_uses_unit_box_gradients() -> None:
    def tilted(x: Tensor) -> Tensor:
        return wave(x) + 0.3 * x[..., 0]

    found = gradient_field(tilted, wave, bounds=BOX, num_points=128, seed=2)
    points, width = sobol_points(BOX, 128, 2), BOX[1] - BOX[0]
    true = 2 * torch.cos(2 * points) * width
    predicted = true + torch.tensor([0.3, 0.0]) * width
    expected = compare_gradients(predicted, true)
    assert found.gradient_error == pytest.approx(expected.gradient_error, rel=1e-6)
    # Every error is 0.3 x 2 in the unit box: the raw one, 0.3, would be wrong.
    assert found.gradient_error == pytest.approx(0.6 / float(true.norm(dim=-1).mean()), rel=1e-6)
    assert found.cosine == pytest.approx(expected.cosine, rel=1e-6)
    assert (found.gradient_source, found.model_gradient_source) == ("autograd", "autograd")


def test_a_truth_without_gradients_gets_central_differences_and_says_so() -> None:
    def on_arrays(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.sin(2 * np.asarray(x)).sum(-1))

    found = gradient_field(wave, on_arrays, bounds=BOX, num_points=64)
    assert found.gradient_source == "central differences"
    assert found.gradient_error < 1e-6  # central differences are good to about 1e-9 here
    assert found.to_dict()["gradient_source"] == "central differences"


def test_bounds_default_to_the_truth_s() -> None:
    truth = Branin()
    assert gradient_field(truth, truth, num_points=64).gradient_error == 0.0
    with pytest.raises(InputError, match="bounds"):
        gradient_field(wave, wave)


def test_a_fixed_input_counts_for_nothing() -> None:
    box = torch.tensor([[-1.0, 0.5], [1.0, 0.5]], dtype=torch.float64)

    def off_in_the_fixed_one(x: Tensor) -> Tensor:
        return wave(x) + 50.0 * x[..., 1]

    assert gradient_field(off_in_the_fixed_one, wave, bounds=box, num_points=64).gradient_error < 1e-12


class Surfaces:
    """C functions as one model."""

    gradient_source = "autograd"

    def __init__(self, *functions: Callable[[Tensor], Tensor]) -> None:
        self.functions = functions

    def value(self, x: Tensor) -> Tensor:
        return torch.stack([function(one) for function, one in zip(self.functions, x, strict=True)])

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        leaf = x.detach().clone().requires_grad_()
        value = self.value(leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), gradient


def test_a_stack_gives_each_surrogate_what_it_gets_alone() -> None:
    functions = (wave, lambda x: -wave(x), lambda x: x.square().sum(-1))

    class Truth(Surfaces):
        def value(self, x: Tensor) -> Tensor:
            return wave(x)

    together = gradient_field_each(
        Surfaces(*functions),  # type: ignore[arg-type]
        Truth(),  # type: ignore[arg-type]
        3,
        bounds=BOX,
        num_points=100,
    )
    alone = [gradient_field(function, wave, bounds=BOX, num_points=100) for function in functions]
    assert [one.to_dict() for one in together] == [pytest.approx(one.to_dict()) for one in alone]
    assert together[1].wrong_way_rate == 1.0

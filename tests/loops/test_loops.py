"""One table of loops against shared checks: bounds, batches, failures, scale, what a path holds."""

from __future__ import annotations

import pytest
import torch
from loop_problems import BATCHED, BOX, LOOPS, Bowl, Holed, Stack, Waves, sobol

from surrogate_opt.errors import InputError

every_loop = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
every_batched_loop = pytest.mark.parametrize("loop", BATCHED.values(), ids=BATCHED)
BOWL = Bowl(torch.tensor([0.3, 5.0, -1.0]).double(), torch.tensor([1.0, 0.5, 2.0]).double())


@every_loop
def test_bowl_ends_at_its_centre_moved_into_the_box(loop):
    paths, converged = loop(BOWL, sobol(8), BOX)
    expected = torch.tensor([0.3, 2.0, 0.0]).double().expand(8, 3)
    # Adam settles to a few thousandths along its falling rate; descent shrinks the first coordinate's
    # distance by 0.96 a step, to 3e-4 of it after 200; the other two go on to their tolerance.
    first_order = loop in (LOOPS["adam"], LOOPS["gradient_descent"])
    torch.testing.assert_close(paths.end, expected, atol=5e-3 if first_order else 1e-5, rtol=0)
    assert first_order or converged.all()
    assert not paths.failed.any()


@every_loop
def test_path_holds_start_values_and_stays_in_the_box(loop):
    model, starts = Waves(), sobol(6, seed=3)
    paths, _ = loop(model, starts, BOX)
    assert torch.equal(paths.start, starts)
    assert (paths.x >= BOX[0]).all()
    assert (paths.x <= BOX[1]).all()
    torch.testing.assert_close(paths.value, model.value(paths.x), rtol=1e-12, atol=1e-12)
    moved = (paths.x.diff(dim=0) != 0).any(-1)
    steps = torch.arange(len(moved)).unsqueeze(-1)
    assert not moved[steps.expand_as(moved) >= paths.num_steps].any()
    assert (moved.sum(0) <= paths.num_steps).all()
    assert (paths.end_value < paths.value[0]).all()


@every_loop
def test_starts_outside_are_moved_into_the_box(loop):
    paths, _ = loop(BOWL, torch.tensor([[9.0, -9.0, 2.0]]), BOX)
    assert paths.start.tolist() == [[1.0, -2.0, 2.0]]
    assert paths.x.dtype == torch.float64


@every_loop
def test_start_at_the_minimum_stays(loop):
    minimum = torch.tensor([[0.3, 2.0, 0.0]]).double()
    paths, converged = loop(BOWL, minimum, BOX)
    assert converged.all()
    assert paths.num_steps.tolist() == [0]
    assert torch.equal(paths.end, minimum)


@every_loop
def test_input_of_zero_width_never_moves(loop):
    bounds = BOX.clone()
    bounds[:, 1] = 0.7
    paths, _ = loop(BOWL, sobol(4), bounds)
    assert (paths.x[..., 1] == 0.7).all()
    torch.testing.assert_close(paths.end[:, 0], torch.full((4,), 0.3).double(), atol=5e-3, rtol=0)
    everything_fixed = torch.stack([BOX[1], BOX[1]])
    paths, converged = loop(BOWL, sobol(4), everything_fixed)
    assert (paths.x == BOX[1]).all()
    assert converged.all()


@every_loop
def test_not_finite_freezes_at_the_last_finite_point(loop):
    starts = sobol(6)
    starts[:, 0] = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, -0.5])
    paths, converged = loop(Holed(edge=0.2), starts, BOX)
    assert paths.failed.all()  # the minimum, 0, lies in the hole
    assert not converged.any()
    assert torch.isfinite(paths.x).all()
    assert torch.isfinite(paths.value[:, :5]).all()
    assert (paths.x[:, :5, 0] >= 0.2).all()
    assert paths.num_steps[5] == 0
    assert torch.equal(paths.end[5], starts[5])
    assert paths.value[:, 5].isnan().all()


@every_loop
def test_a_failure_leaves_the_other_starts_alone(loop):
    starts = sobol(5)

    class Pricked(Waves):
        def function(self, x):
            return torch.where((x == starts[4]).all(-1), torch.nan, super().function(x))

    whole, _ = loop(Waves(), starts, BOX)
    holed, _ = loop(Pricked(), starts, BOX)
    assert holed.failed.tolist() == [False, False, False, False, True]
    assert torch.equal(holed.x[:, :4], whole.x[:, :4])


@every_loop
def test_scale_makes_loops_independent_of_units(loop):
    starts = sobol(5)
    plain, _ = loop(BOWL, starts, BOX)
    # Powers of two, so that dividing by the scale is exact and paths agree to the last bit.
    for factor in (2.0**40, 2.0**-40):
        scaled, _ = loop(Bowl(BOWL.centre, BOWL.curvature, factor), starts, BOX, scale=factor)
        assert torch.equal(scaled.x, plain.x)
        assert torch.equal(scaled.num_steps, plain.num_steps)


@every_batched_loop
def test_a_batch_runs_as_each_start_alone(loop):
    starts = sobol(7, seed=1)
    together, converged = loop(Waves(), starts, BOX)
    for i in range(7):
        alone, ended = loop(Waves(), starts[i : i + 1], BOX)
        # Sums over the inputs may round differently in a batch of another size.
        torch.testing.assert_close(alone.x[:, 0], together.x[:, i], rtol=0, atol=1e-8)
        assert alone.num_steps[0] == together.num_steps[i]
        assert ended[0] == converged[i]


@every_batched_loop
def test_a_stack_of_surrogates_runs_as_each_alone(loop):
    centres = torch.tensor([[0.5, -1.0, 3.0], [-0.5, 1.0, 1.0]]).double()
    starts = torch.stack([sobol(5, seed=1), sobol(5, seed=2)])
    scale = torch.tensor([2.0, 3.0]).double()
    together, _ = loop(Stack(centres), starts, BOX, scale)
    assert together.x.shape[1:] == (2, 5, 3)
    assert together.num_steps.shape == together.failed.shape == (2, 5)
    for i in range(2):
        alone, _ = loop(Stack(centres[i : i + 1]), starts[i : i + 1], BOX, float(scale[i]))
        torch.testing.assert_close(alone.x[:, 0], together.x[:, i], rtol=0, atol=1e-8)
        torch.testing.assert_close(alone.value[:, 0], together.value[:, i], rtol=0, atol=1e-8)


BAD_INPUT = {
    "starts of another dim": ({"starts": torch.zeros(4, 2)}, "starts: expected shape"),
    "one point": ({"starts": torch.zeros(3)}, "starts: expected shape"),
    "no starts": ({"starts": torch.zeros(0, 3)}, "starts: expected shape"),
    "a start that is NaN": ({"starts": torch.full((4, 3), torch.nan)}, "starts: expected finite"),
    "scale 0": ({"scale": 0.0}, "scale: expected positive"),
    "scale of another shape": ({"scale": torch.ones(5)}, "scale: expected a number"),
    "crossed bounds": ({"bounds": BOX.flip(0)}, "bounds: expected lower <= upper, got 1 > -1 for input 0"),
}


@every_loop
@pytest.mark.parametrize(("change", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_named(loop, change, message):
    arguments = {"starts": sobol(4), "bounds": BOX, "scale": 1.0, **change}
    with pytest.raises(InputError, match=message):
        loop(BOWL, **arguments)


@every_loop
def test_model_of_a_wrong_shape_is_named(loop):
    class Column(Waves):
        def value_and_gradient(self, x):
            value, gradient = super().value_and_gradient(x)
            return value.unsqueeze(-1), gradient

    with pytest.raises(InputError, match="model: expected values"):
        loop(Column(), sobol(4), BOX)

"""Ghost-signal figures on paths worked by hand, and their invariances."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from surrogate_opt.diagnostics.evaluate import evaluate_along, sobol_points
from surrogate_opt.diagnostics.ghost_signal import (
    GhostSignal,
    LoopEvidence,
    ghost_signal_of,
    ghost_signal_of_each,
)
from surrogate_opt.diagnostics.path_figures import (
    box_distance,
    ghost_descent,
    masked_mean,
    on_boundary,
    path_divergence,
    phantom_optima,
    regrets,
    start_sensitivity,
    wrong_way_steps,
)
from surrogate_opt.errors import InputError
from surrogate_opt.types import Trajectories

BOX = torch.tensor([[0.0, -2.0], [1.0, 2.0]], dtype=torch.float64)
NAN, INF = math.nan, math.inf


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def path(
    x: Tensor, value: Tensor, failed: list[bool] | None = None, num_steps: Tensor | None = None
) -> Trajectories:
    batch = x.shape[1:-1]
    return Trajectories(
        x=x,
        value=value,
        num_steps=torch.full(batch, x.shape[0] - 1) if num_steps is None else num_steps,
        failed=torch.zeros(batch, dtype=torch.bool) if failed is None else torch.tensor(failed),
    )


def straight(ends: list[list[float]], start: list[float] | None = None) -> Tensor:
    """Paths of two equal steps from a common start, ``(3, n, 2)``."""
    stop = torch.tensor(ends, dtype=torch.float64)
    begin = torch.tensor(start or [0.5, 0.0], dtype=torch.float64).expand_as(stop)
    return torch.stack([begin, (begin + stop) / 2, stop])


def hand_worked(**changes: Any) -> LoopEvidence:
    """Three loops. f ends at 4, 2, 8; fhat at -2, 1, 0, from 6 and 6; scale 2, f* = 1."""
    x = straight([[0.0, 0.0], [0.5, 1.0], [1.0, 2.0]])
    followed = torch.stack([row(6, 6, 6), row(2, 4, 3), row(-2, 1, 0)])
    along = torch.stack([row(6, 6, 6), row(5, 3, 7), row(4, 2, 8)])
    truth_x = straight([[0.5, 1.0], [0.5, 1.0], [0.5, 1.0]])
    truth_value = torch.stack([row(6, 6, 6), row(4, 3, 4), row(3, 1, 2)])
    fields: dict[str, Any] = {
        "surrogate": path(x, followed),
        "truth_along": along,
        "truth": path(truth_x, truth_value),
        "optimum": 1.0,
        "scale": 2.0,
        "bounds": BOX,
        "box_mean_truth": 5.0,
        "box_mean_surrogate": 4.0,
    }
    return LoopEvidence(**(fields | changes))


def numbers(report: GhostSignal) -> dict[str, float]:
    return {name: float(value) for name, value in report.to_dict().items()}


def test_every_figure_of_a_hand_worked_case() -> None:
    found = ghost_signal_of(hand_worked(phantom_optima=0.25, start_sensitivity=0.125))
    expected = {
        "regret_selected": (4 - 1) / 2,  # the first loop has the lowest fhat
        "regret_mean": (14 / 3 - 1) / 2,
        "truth_regret_selected": 0.0,
        "truth_regret_mean": (2 - 1) / 2,
        "optimism": ((6 + 1 + 8) / 3 - 1) / 2,
        "end_error": 5 / 2,
        "ghost_descent": 1 - (2 + 4 - 2) / (8 + 5 + 6),
        "ghost_descent_defined": 1.0,
        "wrong_way_steps": 2 / 6,  # the third loop climbs on both of its steps
        # Unit-box distances at the end: (0.5, 0.25), 0, (0.5, 0.25); at the first step half of it.
        "path_divergence": 2 / 3 * 0.75 * math.hypot(0.5, 0.25) / math.sqrt(2),
        "boundary_share": 2 / 3,
        "truth_boundary_share": 0.0,
        "failed_share": 0.0,
        "truth_failed_share": 0.0,
        "phantom_optima": 0.25,
        "start_sensitivity": 0.125,
        "num_starts": 3,
    }
    assert numbers(found) == pytest.approx(expected, rel=1e-12)


def test_what_was_not_measured_is_nan() -> None:
    found = ghost_signal_of(hand_worked())
    assert math.isnan(found.phantom_optima)
    assert math.isnan(found.start_sensitivity)


def test_the_truth_as_its_own_surrogate_sends_no_ghost_signal() -> None:
    evidence = hand_worked()
    found = ghost_signal_of(
        dataclasses.replace(
            evidence, surrogate=evidence.truth, truth_along=evidence.truth.value, box_mean_surrogate=5.0
        )
    )
    for name in ("optimism", "end_error", "ghost_descent", "wrong_way_steps", "path_divergence"):
        assert getattr(found, name) == 0.0, name
    assert found.regret_selected == found.truth_regret_selected
    assert found.regret_mean == found.truth_regret_mean


def test_a_shifted_surrogate_is_not_optimistic() -> None:
    evidence = hand_worked()
    shifted = dataclasses.replace(
        evidence,
        surrogate=dataclasses.replace(evidence.surrogate, value=evidence.surrogate.value - 100.0),
        box_mean_surrogate=4.0 - 100.0,
    )
    assert ghost_signal_of(shifted).optimism == pytest.approx(ghost_signal_of(evidence).optimism)
    assert ghost_signal_of(shifted).ghost_descent == pytest.approx(ghost_signal_of(evidence).ghost_descent)


def test_units_do_not_matter() -> None:
    factor, stretch = 50.0, torch.tensor([1e3, 1e-3], dtype=torch.float64)
    raw = hand_worked()

    def scaled(given: Trajectories) -> Trajectories:
        return dataclasses.replace(given, x=given.x * stretch, value=given.value * factor)

    other = LoopEvidence(
        surrogate=scaled(raw.surrogate),
        truth_along=raw.truth_along * factor,
        truth=scaled(raw.truth),
        optimum=1.0 * factor,
        scale=2.0 * factor,
        bounds=BOX * stretch,
        box_mean_truth=5.0 * factor,
        box_mean_surrogate=4.0 * factor,
    )
    assert numbers(ghost_signal_of(other)) == pytest.approx(numbers(ghost_signal_of(raw)), nan_ok=True)


@pytest.mark.parametrize("spoilt", ["flag", "place", "surrogate", "truth"])
def test_failed_loops_are_counted_and_left_out(spoilt: str) -> None:
    """A fourth, failed loop that would be selected changes the shares alone."""
    raw = hand_worked()
    x = torch.cat([raw.surrogate.x, straight([[1.0, 2.0]])], dim=1)
    value = torch.cat([raw.surrogate.value, torch.tensor([[6.0], [-50.0], [-99.0]])], dim=1)
    along = torch.cat([raw.truth_along, torch.tensor([[6.0], [60.0], [90.0]])], dim=1)
    if spoilt == "place":
        x[-1, -1, 0] = NAN
    if spoilt == "surrogate":
        value[-1, -1] = -INF
    if spoilt == "truth":
        along[-1, -1] = NAN
    truth = path(
        torch.cat([raw.truth.x, straight([[0.0, 0.0]])], dim=1),
        torch.cat([raw.truth.value, torch.tensor([[6.0], [0.0], [-9.0]])], dim=1),
        [False, False, False, True],
    )
    found = ghost_signal_of(
        dataclasses.replace(
            raw,
            surrogate=path(x, value, [False, False, False, spoilt == "flag"]),
            truth_along=along,
            truth=truth,
        )
    )
    expected = numbers(ghost_signal_of(raw)) | {
        "failed_share": 0.25,
        "truth_failed_share": 0.25,
        "num_starts": 4.0,
    }
    assert numbers(found) == pytest.approx(expected, nan_ok=True)


def test_a_loop_that_failed_on_the_truth_alone_has_no_path_to_compare() -> None:
    raw = hand_worked()
    truth = dataclasses.replace(raw.truth, failed=torch.tensor([True, False, False]))
    found, before = ghost_signal_of(dataclasses.replace(raw, truth=truth)), ghost_signal_of(raw)
    # Of the distances s, 0, s the first goes: their mean falls from 2s/3 to s/2.
    assert found.path_divergence == pytest.approx(before.path_divergence * 0.75)
    assert found.truth_regret_mean == pytest.approx((1.5 - 1) / 2)
    assert found.failed_share == 0.0
    assert found.truth_failed_share == pytest.approx(1 / 3)
    assert (found.regret_mean, found.optimism) == (before.regret_mean, before.optimism)


def test_all_loops_failed() -> None:
    raw = hand_worked()
    found = ghost_signal_of(
        dataclasses.replace(raw, surrogate=dataclasses.replace(raw.surrogate, failed=torch.ones(3).bool()))
    )
    assert found.failed_share == 1.0
    assert found.truth_regret_selected == 0.0
    assert not found.ghost_descent_defined
    assert found.ghost_descent_rank == INF
    for name in (
        "regret_selected",
        "regret_mean",
        "optimism",
        "end_error",
        "wrong_way_steps",
        "path_divergence",
    ):
        assert math.isnan(getattr(found, name)), name


def test_loops_of_no_steps() -> None:
    raw = hand_worked()
    found = ghost_signal_of(
        dataclasses.replace(
            raw,
            surrogate=path(raw.surrogate.x[:1], raw.surrogate.value[:1]),
            truth_along=raw.truth_along[:1],
            truth=path(raw.truth.x[:1], raw.truth.value[:1]),
        )
    )
    assert found.path_divergence == 0.0
    assert math.isnan(found.wrong_way_steps)
    assert not found.ghost_descent_defined


@pytest.mark.parametrize("extra", [1, 5])
@pytest.mark.parametrize("who", ["surrogate", "truth", "both"])
def test_padding_with_the_last_point_changes_nothing(extra: int, who: str) -> None:
    raw = hand_worked()

    def padded(table: Tensor) -> Tensor:
        return torch.cat([table, table[-1:].expand(extra, *table.shape[1:])])

    def longer(given: Trajectories) -> Trajectories:
        return dataclasses.replace(given, x=padded(given.x), value=padded(given.value))

    changed = raw
    if who != "truth":
        changed = dataclasses.replace(
            changed, surrogate=longer(raw.surrogate), truth_along=padded(raw.truth_along)
        )
    if who != "surrogate":
        changed = dataclasses.replace(changed, truth=longer(raw.truth))
    assert numbers(ghost_signal_of(changed)) == pytest.approx(numbers(ghost_signal_of(raw)), nan_ok=True)


def test_figures_do_not_depend_on_the_order_of_the_starts() -> None:
    raw, order = hand_worked(), torch.tensor([2, 0, 1])

    def mixed(given: Trajectories) -> Trajectories:
        return Trajectories(
            x=given.x[:, order],
            value=given.value[:, order],
            num_steps=given.num_steps[order],
            failed=given.failed[order],
        )

    other = dataclasses.replace(
        raw, surrogate=mixed(raw.surrogate), truth=mixed(raw.truth), truth_along=raw.truth_along[:, order]
    )
    assert numbers(ghost_signal_of(other)) == pytest.approx(numbers(ghost_signal_of(raw)), nan_ok=True)


def descend(function: Callable[[Tensor], Tensor], starts: Tensor, steps: int) -> Trajectories:
    """Plain projected gradient descent by autograd, for paths of real loops."""
    points, values = [starts], []
    for _ in range(steps + 1):
        leaf = points[-1].clone().requires_grad_()
        value = function(leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        values.append(value.detach())
        points.append(torch.clamp(points[-1] - 0.05 * gradient, BOX[0], BOX[1]))
    return path(torch.stack(points[:-1]), torch.stack(values))


class Truth:
    """A wavy bowl."""

    gradient_source = "autograd"

    def value(self, x: Tensor) -> Tensor:
        return (x - 0.3).square().sum(-1) + 0.2 * torch.sin(9 * x).sum(-1)


@pytest.mark.parametrize("shared_truth", [True, False])
def test_a_stack_gives_each_surrogate_what_it_gets_alone(shared_truth: bool) -> None:
    truth, starts = Truth(), sobol_points(BOX, 8, 0)
    surrogates = [lambda x, k=k: (x - 0.2 * k).square().sum(-1) for k in range(3)]
    own = descend(truth.value, starts, 30)
    alone, paths = [], []
    for index, surrogate in enumerate(surrogates):
        walked = descend(surrogate, starts, 20)
        paths.append(walked)
        alone.append(
            LoopEvidence(
                surrogate=walked,
                truth_along=evaluate_along(truth, walked.x),  # type: ignore[arg-type]
                truth=own,
                optimum=-0.4,
                scale=1.0 + index,
                bounds=BOX,
                box_mean_truth=1.0,
                box_mean_surrogate=0.5 * index,
                phantom_optima=0.1 * index,
            )
        )
    stacked = LoopEvidence(
        surrogate=together(paths),
        truth_along=torch.stack([one.truth_along for one in alone], dim=1),
        truth=own if shared_truth else together([own] * 3),
        optimum=-0.4,
        scale=row(1, 2, 3),
        bounds=BOX,
        box_mean_truth=1.0,
        box_mean_surrogate=row(0, 0.5, 1),
        phantom_optima=row(0, 0.1, 0.2),
    )
    for found, one in zip(ghost_signal_of_each(stacked), alone, strict=True):
        assert numbers(found) == pytest.approx(numbers(ghost_signal_of(one)), nan_ok=True)
    assert alone[0].truth_along[0].tolist() == own.value[0].tolist()


def together(paths: list[Trajectories]) -> Trajectories:
    return Trajectories(
        x=torch.stack([one.x for one in paths], dim=1),
        value=torch.stack([one.value for one in paths], dim=1),
        num_steps=torch.stack([one.num_steps for one in paths]),
        failed=torch.stack([one.failed for one in paths]),
    )


@pytest.mark.parametrize(
    ("values", "mask", "expected"),
    [
        ([1.0, 2.0, 4.0], [True, True, True], 7 / 3),
        ([1.0, NAN, 3.0], [True, False, True], 2.0),
        ([1.0, INF], [False, False], NAN),
    ],
)
def test_masked_mean(values: list[float], mask: list[bool], expected: float) -> None:
    assert float(masked_mean(row(*values), torch.tensor(mask))) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("followed", "usable", "selected"),
    [
        ([3.0, 1.0, 2.0], [True, True, True], 20.0),
        ([3.0, 1.0, 2.0], [True, False, True], 30.0),
        ([1.0, 1.0, 1.0], [True, True, True], 10.0),  # the first of equals
        ([1.0, 1.0, 1.0], [False, True, True], 20.0),
        ([NAN, 5.0, -INF], [False, True, False], 20.0),
    ],
)
def test_selection(followed: list[float], usable: list[bool], selected: float) -> None:
    found, _ = regrets(row(10, 20, 30), row(*followed), torch.tensor(usable), torch.tensor(0.0))
    assert float(found) == selected


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        ([1.0, 1.0], [1.0, 1.0], 0.0),
        ([0.0, 0.0], [1.0, 1.0], 1.0),
        ([-1.0, 0.0], [0.5, 0.5], 2.0),
        ([2.0, 0.0], [0.5, 0.5], -1.0),
        ([1.0], [1e-3], -999.0),
        ([1.0], [0.9e-3], NAN),
        ([1.0], [-1.0], NAN),
        ([1.0, 1.0], [1.0, -1.0], NAN),
    ],
)
def test_ghost_descent_and_where_it_is_undefined(
    true: list[float], predicted: list[float], expected: float
) -> None:
    assert float(ghost_descent(row(*true), row(*predicted))) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("truth", "followed", "expected"),
    [
        ([0.0, 1.0, 2.0], [5.0, 4.0, 3.0], 1.0),
        ([0.0, 1.0, 0.0], [5.0, 4.0, 3.0], 0.5),
        ([0.0, 0.0, 0.0], [5.0, 4.0, 3.0], 0.0),  # level is not a rise
        ([0.0, 1.0, 0.0], [5.0, 5.0, 3.0], 0.0),  # no fall of fhat on the first step
        ([0.0, 1.0, 0.0], [5.0, 5.0 - 0.9e-6, 3.0], 0.0),
        ([0.0, 1.0, 0.0], [5.0, 5.0 - 1.1e-6, 3.0], 0.5),
        ([0.0, 1.0, 2.0], [5.0, 6.0, 7.0], NAN),
        ([0.0, NAN, 2.0, 3.0], [5.0, 4.0, 3.0, 2.0], 1.0),  # two steps touch the NaN
    ],
)
def test_wrong_way_steps(truth: list[float], followed: list[float], expected: float) -> None:
    found = wrong_way_steps(
        row(*truth).unsqueeze(-1), row(*followed).unsqueeze(-1), torch.ones(1, dtype=torch.bool)
    )
    assert float(found) == pytest.approx(expected, nan_ok=True)


def test_path_divergence_counts_the_steps_that_were_taken() -> None:
    x = torch.zeros(5, 1, 2, dtype=torch.float64)
    x[1:, 0, 0] = 0.5  # one step, then at rest
    rest = torch.zeros_like(x)
    moved = path(x, torch.zeros(5, 1), num_steps=torch.tensor([1]))
    still = path(rest, torch.zeros(5, 1), num_steps=torch.tensor([0]))
    going = path(rest, torch.zeros(5, 1), num_steps=torch.tensor([4]))
    everyone = torch.ones(1, dtype=torch.bool)
    distance = 0.5 / math.sqrt(2)
    assert float(path_divergence(moved, still, BOX, everyone)) == pytest.approx(distance)
    assert float(path_divergence(moved, going, BOX, everyone)) == pytest.approx(distance)
    assert float(path_divergence(still, going, BOX, everyone)) == 0.0


def test_distance_is_the_box_s_and_ignores_fixed_inputs() -> None:
    assert float(box_distance(BOX[0], BOX[1], BOX)) == pytest.approx(1.0)
    fixed = torch.tensor([[0.0, 0.5], [1.0, 0.5]], dtype=torch.float64)
    assert float(box_distance(row(0.0, 0.5), row(1.0, 0.5), fixed)) == pytest.approx(1 / math.sqrt(2))


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0.5, 0.0), False),
        ((0.0, 0.0), True),
        ((0.5, 2.0), True),
        ((0.5, 2.1), True),
        ((0.5, 2.0 - 3e-6), True),
        ((0.5, 2.0 - 5e-6), False),
        ((1.0, -2.0), True),
    ],
)
def test_boundary(point: tuple[float, float], expected: bool) -> None:
    assert bool(on_boundary(row(*point), BOX)) is expected


def test_a_fixed_input_has_no_boundary() -> None:
    fixed = torch.tensor([[0.0, 0.5], [1.0, 0.5]], dtype=torch.float64)
    assert on_boundary(torch.tensor([[0.3, 0.5], [0.0, 0.5]]), fixed).tolist() == [False, True]


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        ([0.2, 0.2, 0.0, 0.2], [0.0, 0.02, 0.0, 0.001], 0.5),
        ([0.1], [0.0], 0.0),  # strictly over 0.1
        ([0.2], [0.01], 0.0),  # 0.01 is a fall
        ([0.2, NAN, 0.2], [0.0, 0.0, INF], 1.0),
        ([NAN], [0.0], NAN),
    ],
)
def test_phantom_optima(true: list[float], predicted: list[float], expected: float) -> None:
    assert float(phantom_optima(row(*true), row(*predicted))) == pytest.approx(expected, nan_ok=True)


def test_phantom_optima_keep_the_stack() -> None:
    assert phantom_optima(row(1, 1).expand(3, 2), row(0, 1).expand(3, 2)).tolist() == [0.5] * 3


def test_start_sensitivity_is_the_surrogate_s_spread_less_the_truth_s() -> None:
    end = torch.zeros(4, 2, dtype=torch.float64)
    width = BOX[1] - BOX[0]
    moves = torch.stack([0.1 * width.expand(4, 2), 0.3 * width.expand(4, 2)])
    truth_moves = torch.stack([0.05 * width.expand(4, 2)] * 2)
    found = start_sensitivity(end, end + moves, end, end + truth_moves, BOX)
    assert float(found) == pytest.approx(0.2 - 0.05)
    spoilt = (end + moves).clone()
    spoilt[0, :, 0] = NAN
    assert float(start_sensitivity(end, spoilt, end, end + truth_moves, BOX)) == pytest.approx(0.3 - 0.05)
    stack = torch.zeros(3, 4, 2, dtype=torch.float64)
    assert start_sensitivity(
        stack, stack + moves.unsqueeze(1), end, end + truth_moves, BOX
    ).tolist() == pytest.approx([0.15] * 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth_along": torch.zeros(3, 2)}, "truth_along: expected shape"),
        ({"scale": 0.0}, "scale: expected a positive"),
        ({"scale": NAN}, "scale: expected a positive"),
        ({"bounds": torch.zeros(2, 3)}, "bounds: expected shape"),
        (
            {"truth": path(straight([[0.0, 0.0]] * 3, start=[0.4, 0.0]), torch.zeros(3, 3))},
            "truth: expected paths from the surrogate's starts",
        ),
        ({"truth": path(straight([[0.0, 0.0]] * 2), torch.zeros(3, 2))}, "truth: expected paths of shape"),
        ({"truth": path(torch.zeros(3, 1, 3, 2), torch.zeros(3, 1, 3))}, "truth: expected paths of shape"),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ghost_signal_of(hand_worked(**changes))


def test_stack_and_single_are_told_apart() -> None:
    with pytest.raises(InputError, match="stack"):
        ghost_signal_of_each(hand_worked())
    raw = hand_worked()
    stacked = dataclasses.replace(raw, surrogate=together([raw.surrogate]))
    with pytest.raises(InputError, match="surrogate: expected paths"):
        ghost_signal_of(stacked)

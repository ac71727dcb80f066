"""Closed loops over time: what the plant did, what it should do, and what every few plans foresaw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from surrogate_problems.plants import Plant

from surrogate_opt.data.checks import check_count
from surrogate_opt.study.control.figures.shown_loop import (
    PATH,
    PLAN,
    REFERENCE,
    TARGET,
    ShownLoop,
    axis_label,
    in_turns,
)
from surrogate_opt.study.figures.style import ALARM, GREY, house_style, new_figure, settle, tidy

_FANS = 20  # plans drawn where the caller does not say how many
_ENTRY_WIDTH = 1.4  # of the legend, inches
_ROOM = 0.06  # of a panel's height, above and below


def draw_trajectories(
    plant: Plant, loops: Sequence[ShownLoop], *, every: int | None = None, title: str = ""
) -> Figure:
    """Draw closed loops beside each other, one column each, one row a state and an action.

    Thick is what the plant did, thin what every k-th plan foresaw from the state measured there. Where thin
    lines leave the thick one, the plan was not kept: the model was wrong, or a later plan was better. The
    first loop's path is repeated, dotted, in the other columns.

    Args:
        plant: gives names, units, bounds and the target.
        loops: usually that of the oracle first.
        every: k; None for about 20 plans.
        title: over the picture.

    Raises:
        InputError: ``every`` is no positive number.
    """
    if every is not None:
        check_count("every", every, 1)
    names = [*plant.state_names, *plant.action_names]
    units = [*plant.state_units, *plant.action_units]
    with house_style():
        figure = new_figure(0.9 + 3.6 * len(loops), 0.9 + max(1.0, 1.7 - 0.1 * len(names)) * len(names))
        grid = figure.subplots(len(names), len(loops), sharex=True, sharey="row", squeeze=False)
        for column, shown in enumerate(loops):
            k = every or max(1, shown.num_steps // _FANS)
            for row in range(len(names)):
                axes = grid[row, column]
                reference = loops[0] if column else None
                if row < plant.num_states:
                    _draw_state(axes, plant, row, shown, reference, k)
                else:
                    _draw_action(axes, plant, row - plant.num_states, shown, reference, k)
                tidy(axes)
            grid[0, column].set_title(f"{shown.label}: cost {shown.cost:.4g}", loc="left")
            grid[-1, column].set_xlabel(axis_label("time", plant.time_unit))
        for row, (name, unit) in enumerate(zip(names, units, strict=True)):
            _set_range(grid[row, 0], plant, row, loops)
            grid[row, 0].set_ylabel(axis_label(name, unit, "\n"))
        figure.align_ylabels(list(grid[:, 0]))
        handles = _handles(loops)
        columns = min(len(handles), max(2, int(figure.get_figwidth() / _ENTRY_WIDTH)))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
        if title:
            figure.suptitle(title)
        return settle(figure)


def _draw_state(
    axes: Axes, plant: Plant, state: int, shown: ShownLoop, reference: ShownLoop | None, every: int
) -> None:
    times = plant.dt * np.arange(shown.num_steps + 1)
    for target in _targets(plant, state, shown):
        axes.plot(times, target, color=TARGET, linestyle="--", linewidth=1.1, zorder=1)
    for bound in plant.state_bounds[:, state].tolist():
        if np.isfinite(bound):
            axes.axhline(bound, color=GREY, linestyle=":", linewidth=1.0, zorder=1)
    _draw_fans(axes, plant, shown.plans[:, :, state], every, shown)
    if reference is not None:
        axes.plot(times, reference.states[: len(times), state], color=REFERENCE, linestyle=":", linewidth=1.0)
    axes.plot(times, shown.states[:, state], color=PATH, linewidth=1.8)
    failed = shown.diverged.nonzero()[0]
    axes.plot(times[failed], shown.states[failed, state], "x", color=ALARM, markersize=5, zorder=4)
    if state in plant.angles:
        in_turns(axes, "y", float(np.ptp(shown.states[:, state])))


def _draw_action(
    axes: Axes, plant: Plant, action: int, shown: ShownLoop, reference: ShownLoop | None, every: int
) -> None:
    times = plant.dt * np.arange(shown.num_steps)
    for bound in plant.action_bounds[:, action].tolist():
        axes.axhline(bound, color=GREY, linestyle=":", linewidth=1.0, zorder=1)
    _draw_fans(axes, plant, shown.planned_actions[:, :, action], every, shown)
    if reference is not None:
        axes.step(
            times,
            reference.actions[: len(times), action],
            where="post",
            color=REFERENCE,
            linestyle=":",
            linewidth=1.0,
        )
    axes.step(times, shown.actions[:, action], where="post", color=PATH, linewidth=1.5)


def _draw_fans(
    axes: Axes, plant: Plant, planned: Float[np.ndarray, "T points"], every: int, shown: ShownLoop
) -> None:
    """Every k-th plan that did not diverge, up to the end of the episode."""
    first = [time for time in range(0, shown.num_steps, every) if not shown.diverged[time]]
    lines = []
    for time in first:
        ahead = planned[time, : shown.num_steps - time + 1]
        lines.append(np.column_stack([plant.dt * (time + np.arange(len(ahead))), ahead]))
    axes.add_collection(LineCollection(lines, colors=PLAN, linewidths=0.7, alpha=0.8, zorder=2))
    starts = np.array([line[0] for line in lines]).reshape(-1, 2)
    axes.plot(*starts.T, "o", color=PLAN, markersize=2.2, zorder=5)


def _targets(plant: Plant, state: int, shown: ShownLoop) -> list[Float[np.ndarray, " instants"]]:
    """The target over time, nothing where the state is free; of an angle, the turn in which the loop ends."""
    weights = plant.cost.state_weights[state] + plant.cost.terminal_weights[state]
    if not weights:
        return []
    rows = np.minimum(np.arange(shown.num_steps + 1), len(plant.cost.target) - 1)
    target = plant.cost.target[rows, state].numpy()
    if state not in plant.angles:
        return [target]
    turns = np.round((shown.states[-1, state] - target[-1]) / (2.0 * np.pi))
    return [target + 2.0 * np.pi * (turns if np.isfinite(turns) else 0.0)]


def _set_range(axes: Axes, plant: Plant, row: int, loops: Sequence[ShownLoop]) -> None:
    """What the plants did and should do; plans that shoot far beyond are cut off."""
    if row >= plant.num_states:
        low, high = plant.action_bounds[:, row - plant.num_states].tolist()
    else:
        curves = [curve for shown in loops for curve in (shown.states[:, row], *_targets(plant, row, shown))]
        values = np.concatenate(curves)
        values = values[np.isfinite(values)]
        low, high = float(values.min()), float(values.max())
        planned = np.concatenate([shown.plans[~shown.diverged][..., row].ravel() for shown in loops])
        if len(planned):
            spread = max(high - low, 1e-9)
            low = max(min(low, float(planned.min())), low - 0.5 * spread)
            high = min(max(high, float(planned.max())), high + 0.5 * spread)
    margin = _ROOM * max(high - low, 1e-9)
    axes.set_ylim(low - margin, high + margin)


def _handles(loops: Sequence[ShownLoop]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=PATH, linewidth=1.8, label="what the plant did"),
        Line2D([], [], color=PLAN, linewidth=0.9, marker="o", markersize=2.2, label="plans, as predicted"),
        Line2D([], [], color=TARGET, linestyle="--", label="target"),
        Line2D([], [], color=GREY, linestyle=":", label="bounds"),
    ]
    if len(loops) > 1:
        handles.append(Line2D([], [], color=REFERENCE, linestyle=":", label=f"{loops[0].label}'s path"))
    if any(shown.diverged.any() for shown in loops):
        handles.append(Line2D([], [], color=ALARM, linestyle="", marker="x", label="plan diverged"))
    return handles

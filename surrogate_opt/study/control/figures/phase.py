"""Phase portraits: the plant's vector field, the learned one, their difference, and loops on top."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from surrogate_problems.plants import Plant
from torch import Tensor

from surrogate_opt.dynamics.free_run import Steps
from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc import ClosedLoop, ControlProblem
from surrogate_opt.study.control.figures.shown_loop import PATH, TARGET, axis_label, in_turns
from surrogate_opt.study.figures.style import GREY, house_style, new_figure, settle

_POINTS = 41  # of the grid, along each axis


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """Increments on a grid of two states, the first along columns.

    Attributes:
        x: grid of the first state, ``(points,)``, raw units.
        y: grid of the second.
        true: of the two states in one time step, per dt, ``(points, points, 2)``, y along rows.
        learned: likewise.
    """

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    true: Float[np.ndarray, "points points 2"]
    learned: Float[np.ndarray, "points points 2"]

    @property
    def error(self) -> Float[np.ndarray, "points points"]:
        """Root mean square over the two states of the difference in their rates, percent.

        Each state's is in units of the root mean square of its true rate over the grid.
        """
        scale = np.sqrt(np.mean(self.true**2, axis=(0, 1)))
        scale = np.where(scale > 0.0, scale, 1.0)
        relative: Float[np.ndarray, "points points 2"] = (self.learned - self.true) / scale
        error: Float[np.ndarray, "points points"] = 100.0 * np.sqrt(np.mean(relative**2, axis=-1))
        return error


def phase_plane(plant: Plant) -> tuple[int, int]:
    """The two states worth looking at: an angle and its rate where there is one, else the first two.

    Rates are the second half of a mechanical plant's states.
    """
    if plant.angles and plant.num_states % 2 == 0:
        return plant.angles[0], plant.angles[0] + plant.num_states // 2
    return 0, 1


def vector_field(
    plant: Plant,
    model: Steps,
    box: Float[Tensor, "2 2"],
    *,
    states: tuple[int, int] = (0, 1),
    action: Float[Tensor, " m"] | None = None,
) -> Field:
    """What plant and model do in one time step, on a grid of two states; the others are at the target.

    Args:
        plant: the truth.
        model: of it.
        box: of the two states, lower bounds first, raw units.
        states: their columns.
        action: that is held; None for rest, 0 or the nearest the bounds allow.
    """
    held = _rest(plant) if action is None else action
    x, y = (torch.linspace(low, high, _POINTS, dtype=torch.float64) for low, high in box.T.tolist())
    points = plant.cost.target[0].double().expand(_POINTS, _POINTS, -1).clone()
    points[..., states[0]] = x
    points[..., states[1]] = y[:, None]
    shown, actions = list(states), held.expand(_POINTS, _POINTS, -1)
    with torch.no_grad():
        true, learned = (
            ((stepped(points, actions) - points)[..., shown] / plant.dt).numpy()
            for stepped in (plant.step, model.step)
        )
    return Field(x=x.numpy(), y=y.numpy(), true=true, learned=learned)


def draw_phase(
    plant: Plant,
    model: Steps,
    runs: tuple[ClosedLoop, ClosedLoop],
    *,
    labels: tuple[str, str] = ("oracle", "learned"),
    states: tuple[int, int] = (0, 1),
    action: Float[Tensor, " m"] | None = None,
    title: str = "",
) -> Figure:
    """Draw the true field with the oracle's loops, the learned one with its own, and the field's error.

    The fields are those under one action, the loops choose their own: paths cross the field's lines where
    the controller acts.

    Args:
        plant: the truth.
        model: what was learned.
        runs: closed loops of the oracle, and with the model.
        labels: of the two.
        states: columns of the two states that are shown; the others are at the target in the fields.
        action: of the fields; None for rest.
        title: over the picture.

    Raises:
        InputError: the states are not two different ones of the plant.
    """
    _check_states(plant, states)
    box = _box(plant, runs, states)
    held = _rest(plant) if action is None else action
    field = vector_field(plant, model, box, states=states, action=held)
    with house_style():
        figure = new_figure(10.6, 4.1)
        true, learned, error = figure.subplots(1, 3, sharex=True, sharey=True)
        for axes, rates in ((true, field.true), (learned, field.learned)):
            _draw_field(axes, field, rates)
        shades = error.pcolormesh(
            field.x, field.y, field.error, cmap="cividis", shading="gouraud", vmin=0.0, rasterized=True
        )
        bar = figure.colorbar(shades, ax=error, pad=0.02)
        bar.set_label("error of the rates (% of their root mean square)")
        for axes, run in ((true, runs[0]), (learned, runs[1]), (error, runs[1])):
            _draw_paths(axes, plant, run, states, colour="white" if axes is error else PATH)
            _dress(axes, plant, box, states)
        true.set_title(f"truth, and the loops of {labels[0]}", loc="left")
        learned.set_title(f"learned, and the loops of {labels[1]}", loc="left")
        error.set_title("learned less truth, same loops", loc="left")
        true.set_ylabel(_state_label(plant, states[1]))
        figure.legend(handles=_handles(plant, held), loc="outside lower center", ncols=3, frameon=False)
        if title:
            figure.suptitle(title)
        return settle(figure)


def _check_states(plant: Plant, states: Sequence[int]) -> None:
    if len(set(states)) != 2 or not all(0 <= state < plant.num_states for state in states):
        raise InputError(
            f"states: expected two different columns from 0 to {plant.num_states - 1}; came {tuple(states)}"
        )


def _rest(plant: Plant) -> Float[Tensor, " m"]:
    problem = ControlProblem.from_plant(plant)
    return problem.raw_actions(problem.rest)


def _box(plant: Plant, runs: Sequence[ClosedLoop], states: tuple[int, int]) -> Float[Tensor, "2 2"]:
    """The data box of the two states, wider by up to half where loops leave it; angles stay in one turn."""
    box = plant.data_bounds[:, list(states)].clone()
    paths = torch.cat([run.states.flatten(0, 1)[:, list(states)] for run in runs])
    paths = paths[paths.isfinite().all(1)]
    half = (box[1] - box[0]) / 2.0
    reached = torch.stack(
        [torch.maximum(paths.amin(0), box[0] - half), torch.minimum(paths.amax(0), box[1] + half)]
    )
    turning = torch.tensor([state in plant.angles for state in states])
    wider = torch.stack([torch.minimum(box[0], reached[0]), torch.maximum(box[1], reached[1])])
    return torch.where(turning, box, wider)


def _draw_field(axes: Axes, field: Field, rates: Float[np.ndarray, "points points 2"]) -> None:
    axes.streamplot(
        field.x,
        field.y,
        rates[..., 0],
        rates[..., 1],
        density=0.9,
        color=GREY,
        linewidth=0.6,
        arrowsize=0.7,
    )


def _draw_paths(axes: Axes, plant: Plant, run: ClosedLoop, states: tuple[int, int], *, colour: str) -> None:
    """Every loop from its start; of angles a copy for each turn that it comes through, the box cuts them."""
    for path in run.states[:, :, list(states)].numpy():
        for shift in itertools.product(
            *(_turns(plant, state, path[:, place]) for place, state in enumerate(states))
        ):
            shifted = path + np.array(shift)
            axes.plot(*shifted.T, color=colour, linewidth=0.9, alpha=0.8)
            axes.plot(*shifted[0], "o", color=colour, markersize=3.2, markerfacecolor="white", zorder=4)


def _turns(plant: Plant, state: int, values: Float[np.ndarray, " instants"]) -> list[float]:
    """What to add to an angle so that each of its parts lies once in the data box; 0 for other states."""
    finite = values[np.isfinite(values)]
    if state not in plant.angles or not len(finite):
        return [0.0]
    turn, lower = 2.0 * np.pi, float(plant.data_bounds[0, state])
    first, last = (int(np.floor((end - lower) / turn)) for end in (finite.min(), finite.max()))
    return [-turn * number for number in range(first, last + 1)]


def _dress(axes: Axes, plant: Plant, box: Float[Tensor, "2 2"], states: tuple[int, int]) -> None:
    lower, upper = plant.data_bounds[:, list(states)]
    edges = torch.stack([lower, upper])
    if not torch.equal(edges, box):
        corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
        outline = np.array([[float(edges[i, 0]), float(edges[j, 1])] for i, j in corners])
        axes.plot(*outline.T, color=GREY, linestyle=":", linewidth=1.0)
    target = plant.cost.target[-1][list(states)].tolist()
    axes.plot(*target, "*", color=TARGET, markersize=11, markeredgecolor="white", zorder=5)
    axes.set_xlim(*box[:, 0].tolist())
    axes.set_ylim(*box[:, 1].tolist())
    axes.set_xlabel(_state_label(plant, states[0]))
    for place, axis in enumerate("xy"):
        if states[place] in plant.angles:
            in_turns(axes, axis, float(box[1, place] - box[0, place]))


def _state_label(plant: Plant, state: int) -> str:
    return axis_label(plant.state_names[state], plant.state_units[state])


def _handles(plant: Plant, held: Float[Tensor, " m"]) -> list[Line2D]:
    actions = ", ".join(
        f"{name.replace('_', ' ')} {value:.4g} {unit}".strip()
        for name, value, unit in zip(plant.action_names, held.tolist(), plant.action_units, strict=True)
    )
    return [
        Line2D([], [], color=GREY, linewidth=0.8, label=f"rates under {actions}"),
        Line2D(
            [],
            [],
            color=PATH,
            marker="o",
            markersize=3.2,
            markerfacecolor="white",
            label="closed loops, from the circles",
        ),
        Line2D([], [], color=TARGET, linestyle="", marker="*", markersize=9, label="target"),
    ]

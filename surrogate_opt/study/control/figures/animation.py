"""The pendulum moving: a GIF of one or two closed loops, with what their plans had expected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path as Curve
from PIL import Image
from surrogate_problems.plants import Plant

from surrogate_opt.data.checks import check_count
from surrogate_opt.errors import InputError
from surrogate_opt.model_file import write_atomically
from surrogate_opt.study.control.figures.shown_loop import PATH, PLAN, TARGET, ShownLoop, axis_label, in_turns
from surrogate_opt.study.figures.style import house_style, tidy

_DPI = 80
_COLOURS = 64  # of the palette
ARROW = "#CC79A7"
_FULL_TORQUE_RAD = 2.2  # length of the arrow at the largest torque
_ARROW_RADIUS = 0.32
_REACH = 1.25  # half width of the scene, rods


def write_animation(path: Path, plant: Plant, loops: Sequence[ShownLoop], *, ahead: int = 10) -> None:
    """Animate pendulums in real time: rod, torque, and as a faint rod what a plan had expected for now.

    Beneath each, its angle over time. The faint rod is the state that the plan of some steps ago predicted
    for the present: where it leaves the rod, the plan was not kept.

    Args:
        path: of the GIF.
        plant: whose first state is the rod's angle from upright and whose action is a torque.
        loops: one, or two side by side.
        ahead: age of the plans that are shown, steps.

    Raises:
        InputError: another plant, another number of loops, plans that do not reach so far, or a file that
            cannot be written.
    """
    if plant.angles != (0,) or plant.num_actions != 1 or plant.num_states != 2:
        raise InputError(f"plant: expected a pendulum, one angle and one torque; came {plant.name}")
    if not 1 <= len(loops) <= 2:
        raise InputError(f"loops: expected one or two; came {len(loops)}")
    check_count("ahead", ahead, 1)
    longest = min(shown.plans.shape[1] for shown in loops) - 1
    if ahead > longest:
        raise InputError(f"ahead: expected at most the horizon, {longest}; came {ahead}")
    with house_style():
        frames = _frames(plant, loops, ahead)
    pause = round(100.0 * plant.dt) * 10  # GIFs count in hundredths of a second

    def write(temporary: Path) -> None:
        frames[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=[pause] * (len(frames) - 1) + [1500],
            loop=0,
            optimize=False,
        )

    write_atomically(path, write)


def _frames(plant: Plant, loops: Sequence[ShownLoop], ahead: int) -> list[Image.Image]:
    """One picture a time step, all of one palette."""
    figure = Figure(figsize=(3.2 * len(loops), 4.9), layout="constrained", dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(loops), height_ratios=[2.4, 1.0], sharey="row", squeeze=False)
    scenes = [
        _Scene((grid[0, column], grid[1, column]), plant, shown, ahead) for column, shown in enumerate(loops)
    ]
    grid[1, 0].set_ylabel(axis_label("angle", "rad"))
    figure.legend(handles=_handles(plant, ahead), loc="outside lower center", ncols=2, frameon=False)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    canvas.draw()  # type: ignore[no-untyped-call]
    # what moves is drawn over what does not, which takes a tenth of the time
    still = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    pictures = []
    for time in range(max(shown.num_steps for shown in loops) + 1):
        canvas.restore_region(still)  # type: ignore[no-untyped-call]
        for scene in scenes:
            scene.show(time)
        pictures.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())  # type: ignore[no-untyped-call]
    # a few pictures over time hold every colour that there is
    sample = np.concatenate(pictures[:: max(1, len(pictures) // 4)])
    palette = Image.fromarray(sample).quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE)
    return [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures
    ]


class _Scene:
    """One pendulum and, beneath it, its angle over time."""

    def __init__(self, panels: tuple[Axes, Axes], plant: Plant, shown: ShownLoop, ahead: int) -> None:
        self._scene, self._curve = panels
        self._shown, self._dt, self._ahead = shown, plant.dt, ahead
        self._largest = float(plant.action_bounds.abs().max())
        self._times = plant.dt * np.arange(shown.num_steps + 1)
        self._spent = np.concatenate([[0.0], np.cumsum(shown.run.costs[shown.loop].numpy())])
        self._expected = np.full(shown.num_steps + 1, np.nan)
        self._expected[ahead:] = shown.plans[: shown.num_steps + 1 - ahead, ahead, 0]
        self._draw_scene()
        self._draw_curve()

    def _draw_scene(self) -> None:
        axes = self._scene
        axes.set_title(self._shown.label)
        axes.set_aspect("equal")
        axes.set(xlim=(-_REACH, _REACH), ylim=(-_REACH, _REACH), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.plot([0.0, 0.0], [1.03, 1.18], color=TARGET, linewidth=3.0)
        self._rod = _moving_line(axes, PATH, 6.0)
        self._ghost = _moving_line(axes, PLAN, 4.0, alpha=0.75)
        (self._pivot,) = axes.plot(0.0, 0.0, "o", color="black", markersize=5, animated=True)
        self._text = axes.text(-_REACH, -_REACH, "", va="bottom", ha="left", animated=True)

    def _draw_curve(self) -> None:
        axes, angle = self._curve, self._shown.states[:, 0]
        goal = 2.0 * np.pi * np.round(angle[-1] / (2.0 * np.pi)) if np.isfinite(angle[-1]) else 0.0
        axes.axhline(goal, color=TARGET, linestyle="--", linewidth=1.1)
        axes.plot(self._times, self._expected, color=PLAN, linewidth=1.2)
        axes.plot(self._times, angle, color=PATH, linewidth=1.2)
        (self._now,) = axes.plot([], [], "o", color=PATH, markersize=5, animated=True)
        axes.set_xlabel("time (s)")
        in_turns(axes, "y", float(np.ptp(angle)))
        tidy(axes)

    def show(self, time: int) -> None:
        """Draw a time step; a loop that is over stays at its end."""
        time = min(time, self._shown.num_steps)
        angle = self._shown.states[time, 0]
        self._rod.set_data(*_rod(angle))
        self._ghost.set_data(*_rod(self._expected[time]))
        torque = self._shown.actions[min(time, self._shown.num_steps - 1), 0]
        arrow = self._scene.add_patch(_torque_arrow(torque / self._largest))
        self._now.set_data([self._times[time]], [angle])
        self._text.set_text(f"{self._times[time]:.1f} s   cost so far {self._spent[time]:.0f}")
        for artist in (self._rod, self._ghost, self._pivot, arrow, self._text):
            self._scene.draw_artist(artist)
        self._curve.draw_artist(self._now)
        arrow.remove()


def _moving_line(axes: Axes, colour: str, width: float, alpha: float = 1.0) -> Line2D:
    """A line that frames draw themselves."""
    (line,) = axes.plot(
        [], [], color=colour, linewidth=width, alpha=alpha, animated=True, solid_capstyle="round"
    )
    return line


def _rod(angle: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """From the pivot to the tip; the angle counts from upright, counterclockwise."""
    return (0.0, -np.sin(angle)), (0.0, np.cos(angle))


def _torque_arrow(share: float) -> FancyArrowPatch:
    """An arc around the pivot, counterclockwise where the torque is positive, its length the torque's."""
    middle = -np.pi / 2.0  # under the pivot
    half = 0.5 * _FULL_TORQUE_RAD * share
    angles = np.linspace(middle - half, middle + half, 12)
    arc = Curve(_ARROW_RADIUS * np.column_stack([np.cos(angles), np.sin(angles)]))
    return FancyArrowPatch(
        path=arc,
        color=ARROW,
        arrowstyle="-|>",
        mutation_scale=4.0 + 9.0 * min(1.0, 2.0 * abs(share)),
        linewidth=2.2,
    )


def _handles(plant: Plant, ahead: int) -> list[Line2D]:
    return [
        Line2D([], [], color=PATH, linewidth=4.0, label="the rod"),
        Line2D([], [], color=TARGET, linewidth=2.0, linestyle="--", label="upright: the target"),
        Line2D(
            [], [], color=PLAN, linewidth=3.0, alpha=0.7, label=f"as planned {ahead * plant.dt:g} s before"
        ),
        Line2D([], [], color=ARROW, marker=r"$\circlearrowleft$", linestyle="", markersize=9, label="torque"),
    ]

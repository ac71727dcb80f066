"""The free run of a learned plant as a picture, beside the record and the linear model's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from surrogate_opt.cli.dynamics_report import Comparison
from surrogate_opt.study.figures.style import GREY, house_style, new_figure, save_png, settle, tidy

_BLUE, _ORANGE = "#0072B2", "#E69F00"
_ROOM = 0.5  # of the record's range, above and below: what runs off farther is cut


def write_plot(path: Path, comparison: Comparison, title: str) -> None:
    """Draw the comparison into a PNG file."""
    save_png(draw_free_run(comparison, title), path)


def draw_free_run(comparison: Comparison, title: str) -> Figure:
    """The longest test stretch: a panel for each output, and one for the actions.

    Args:
        comparison: what to draw.
        title: over the picture.
    """
    model, measured = comparison.model, comparison.measured.numpy()
    times = (model.dt or 1.0) * np.arange(len(measured))
    num_outputs = measured.shape[1]
    with house_style():
        figure = new_figure(8.0, 1.6 + 1.8 * num_outputs)
        panels = figure.subplots(num_outputs + 1, 1, sharex=True, height_ratios=[2.0] * num_outputs + [1.0])
        for output, axes in enumerate(panels[:-1]):
            axes.plot(times, measured[:, output], color="black", linewidth=1.6, label="measured")
            for rival, colour, dashes in zip(comparison.rivals, (_BLUE, _ORANGE), ("-", "--"), strict=True):
                fit = f"{rival.name}, fit {float(rival.free_run.fit_percent[output]):.1f}%"
                run = rival.simulated[:, output].numpy()
                axes.plot(times, run, color=colour, linestyle=dashes, linewidth=1.1, label=fit)
            low, high = float(measured[:, output].min()), float(measured[:, output].max())
            room = _ROOM * max(high - low, 1e-12)
            inside = np.concatenate(
                [
                    np.clip(rival.simulated[:, output].numpy(), low - room, high + room)
                    for rival in comparison.rivals
                ]
            )
            low, high = min(low, np.nanmin(inside)), max(high, np.nanmax(inside))
            axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
            axes.set_ylabel(model.state_names[output])
            axes.legend(
                frameon=False, loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=3, borderaxespad=0.0
            )
            tidy(axes)
        for column, name in enumerate(model.action_names):
            actions = comparison.actions[:, column].numpy()
            dashes = ("-", "--", ":", "-.")[column % 4]
            panels[-1].step(
                times[:-1], actions, where="post", label=name, color=GREY, linewidth=1.0, linestyle=dashes
            )
        panels[-1].set_ylabel(model.action_names[0] if len(model.action_names) == 1 else "actions")
        if len(model.action_names) > 1:
            panels[-1].legend(frameon=False, ncols=4)
        tidy(panels[-1])
        panels[-1].set_xlabel("time (in the unit of --dt)")
        figure.suptitle(title)
        return settle(figure)

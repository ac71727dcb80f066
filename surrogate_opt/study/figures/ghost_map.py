"""The ghost map: truth, misleading and faithful surrogate on one slice, with the loops' paths."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patheffects import Stroke, withStroke

from surrogate_opt.study.figures.ghost_slice import GhostSlice, find_ghost_slice
from surrogate_opt.study.figures.style import (
    ALARM,
    Picture,
    house_style,
    new_figure,
    settle,
    tidy,
)
from surrogate_opt.study.tables import StudyData, loop_label

_NUM_LEVELS = 14
_COLOURS = ListedColormap(colormaps["Blues_r"](np.linspace(0.28, 1.0, 256)))


def draw_ghost_map(data: StudyData) -> Picture | None:
    """The picture; None where no two surrogates of one instance are stored."""
    found = find_ghost_slice(data)
    if found is None:
        return None
    with house_style():
        figure = new_figure(10.6, 6.3)
        grid = figure.subplots(2, 3, height_ratios=[1.0, 0.42], sharex="row", sharey="row")
        norm = _colour_scale(found)
        first, second = (f"x{i + 1}" for i in found.inputs)
        for model, axes in enumerate(grid[0]):
            _draw_landscape(axes, found, model, norm)
            _draw_arrows(axes, found, model)
            _draw_paths(axes, found, model)
            axes.set_title(_title(found, model), loc="left", weight="bold")
            axes.set_xlabel(first, labelpad=1)
            axes.set_aspect("equal")
            axes.set_xticks(
                [0.5 * float(found.grid[0, 0] + found.grid[0, -1]), *found.grid[0, [0, -1]].tolist()]
            )
            axes.set_yticks(
                [0.5 * float(found.grid[1, 0] + found.grid[1, -1]), *found.grid[1, [0, -1]].tolist()]
            )
        grid[0, 0].set_ylabel(second, labelpad=1)
        for model, axes in enumerate(grid[1]):
            _draw_descent(axes, found, model)
            axes.set_title(
                _sentence(found, model), fontsize=11, weight="bold", color=ALARM if model == 1 else "black"
            )
        grid[1, 0].set_ylabel("value along the path\n(std. dev. of the truth)")
        bar = figure.colorbar(ScalarMappable(norm, _COLOURS), ax=list(grid[0]), shrink=0.85, pad=0.015)
        bar.set_label("value (standard deviations\nof the truth, 0 its mean)")
        pair = found.pair
        figure.suptitle(
            f"{pair.family}, instance {pair.instance}: a slice along {first} and {second}, the other inputs "
            f"fixed where the loop on {pair.misleading} ended",
            fontsize=10.5,
        )
        figure.legend(handles=_handles(), loc="outside lower center", ncols=6, frameon=False)
        settle(figure)
    return Picture(name="ghost_map", title="Ghost map", caption=_caption(found, data), figure=figure)


def _colour_scale(found: GhostSlice) -> Normalize:
    return Normalize(float(found.values.min()), float(found.values.max()))


def _title(found: GhostSlice, model: int) -> str:
    pair = found.pair
    return (
        "the truth",
        f"{pair.misleading} misleads (R² {pair.r2[0]:.2f})",
        f"{pair.faithful} misleads least (R² {pair.r2[1]:.2f})",
    )[model]


def _sentence(found: GhostSlice, model: int) -> str:
    promised, got = found.outcome(model)
    if model == 0:
        return f"its own loop reaches {_signed(got)}"
    return f"promised {_signed(promised)}, got {_signed(got)}"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _draw_landscape(axes: Axes, found: GhostSlice, model: int, norm: Normalize) -> None:
    levels = np.linspace(norm.vmin or 0.0, norm.vmax or 1.0, _NUM_LEVELS)
    across, up = (side.numpy() for side in found.grid)
    values = found.values[model].numpy()
    axes.contourf(across, up, values, levels=levels, cmap=_COLOURS, norm=norm, extend="both")
    axes.contour(across, up, values, levels=levels, colors="#5B7FA6", linewidths=0.5, linestyles="solid")


def _draw_arrows(axes: Axes, found: GhostSlice, model: int) -> None:
    """Descent directions; those that lead uphill on the truth stand out."""
    across, up = np.meshgrid(*(side.numpy() for side in found.arrow_grid))
    descent = found.descent[model].numpy()
    wrong = (found.descent[model] * found.descent[0]).sum(-1).numpy() <= 0
    lengths = np.linalg.norm(descent, axis=-1, keepdims=True)
    arrows = _shortened(descent, lengths, found)
    widths = found.grid[:, -1] - found.grid[:, 0]
    arrows = arrows * widths.numpy() / found.arrow_grid.shape[1]
    for mask, colour, width in ((~wrong, "#404040", 0.0035), (wrong, ALARM, 0.006)):
        axes.quiver(
            across[mask],
            up[mask],
            arrows[mask][:, 0],
            arrows[mask][:, 1],
            color=colour,
            angles="xy",
            scale_units="xy",
            scale=1.0,
            width=width,
            headwidth=3.5,
            headlength=4.0,
            headaxislength=3.6,
            pivot="mid",
            zorder=3,
        )


def _shortened(
    descent: Float[np.ndarray, "a a 2"], lengths: Float[np.ndarray, "a a 1"], found: GhostSlice
) -> Float[np.ndarray, "a a 2"]:
    """Lengths as square roots, on one scale for all panels, so that gentle slopes can be seen too."""
    longest = float(found.descent.norm(dim=-1).max())
    shortened: np.ndarray = descent / np.maximum(lengths, 1e-12) * np.sqrt(lengths / max(longest, 1e-12))
    return shortened


def _draw_paths(axes: Axes, found: GhostSlice, model: int) -> None:
    halo = [Stroke(linewidth=2.6, foreground="white"), withStroke(linewidth=2.6, foreground="white")]
    paths, selected = found.paths[model].numpy(), found.selected(model)
    for loop in range(paths.shape[1]):
        taken = loop == selected
        axes.plot(
            paths[:, loop, 0],
            paths[:, loop, 1],
            color="black",
            linewidth=1.8 if taken else 0.8,
            path_effects=halo[1:] if taken else None,
            zorder=4,
        )
        axes.plot(
            *paths[0, loop], marker="o", markersize=3.5, color="black", markerfacecolor="white", zorder=5
        )
        axes.plot(*paths[-1, loop], marker="o", markersize=4, color="black", zorder=5, clip_on=False)
    lowest = np.unravel_index(int(found.values[0].argmin()), found.values[0].shape)
    axes.plot(
        found.grid[0, lowest[1]],
        found.grid[1, lowest[0]],
        marker="*",
        markersize=19,
        color="#F0E442",
        markeredgecolor="black",
        linestyle="",
        zorder=6,
        clip_on=False,
    )
    axes.plot(
        *paths[-1, selected],
        marker="X",
        markersize=9,
        color="black",
        markeredgecolor="white",
        zorder=7,
        clip_on=False,
    )


def _draw_descent(axes: Axes, found: GhostSlice, model: int) -> None:
    """Promise and truth along the loop whose end a user would take."""
    loop = found.selected(model)
    promised, got = found.promised[model, :, loop].numpy(), found.got[model, :, loop].numpy()
    steps = np.arange(promised.size)
    axes.fill_between(steps, promised, got, color=ALARM, alpha=0.25, linewidth=0)
    axes.plot(steps, promised, color="black", linewidth=1.4)
    axes.plot(steps, got, color=ALARM, linestyle="--", linewidth=1.4)
    axes.set_xlabel("step of the loop")
    tidy(axes, grid="y")


def _handles() -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color="black",
            marker="o",
            markerfacecolor="white",
            markersize=4,
            label="path, from its start",
        ),
        Line2D(
            [], [], color="black", marker="X", markersize=8, linestyle="", label="end point a user would take"
        ),
        Line2D(
            [],
            [],
            color="#F0E442",
            marker="*",
            markeredgecolor="black",
            markersize=11,
            linestyle="",
            label="the truth's lowest point here",
        ),
        Line2D(
            [],
            [],
            color=ALARM,
            marker=r"$\rightarrow$",
            markersize=11,
            linestyle="",
            label="arrow that climbs on the truth",
        ),
        Line2D([], [], color="black", label="promised"),
        Line2D([], [], color=ALARM, linestyle="--", label="got"),
    ]


def _caption(found: GhostSlice, data: StudyData) -> str:
    pair = found.pair
    (bad_promise, bad), (good_promise, good), (_, own) = found.outcome(1), found.outcome(2), found.outcome(0)
    return (
        f"A slice through {pair.family}, instance {pair.instance}, all panels in one colour scale (dark "
        "is low). Arrows show where descent leads; thick orange ones climb on the truth. Paths are "
        f"{loop_label('adam')} loops from the same nine starts, kept on the slice. {pair.misleading} "
        f"promised {_signed(bad_promise)} standard deviations and got {_signed(bad)}; {pair.faithful} "
        f"promised {_signed(good_promise)} and got {_signed(good)}; the loop on the truth reaches "
        f"{_signed(own)}. Below, the black line is what the surrogate says along the way, the dashed one "
        f"what is true: the shaded gap is the ghost signal. Their R² on the whole box, {pair.r2[0]:.2f} "
        f"and {pair.r2[1]:.2f}, does not tell them apart so. The instance and slice were picked because "
        "they show it clearly, among the plateau-strength surrogates of this study: one picture is no "
        "evidence for a method, the tables are."
    )

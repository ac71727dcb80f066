"""What control prints: the learned plant beside the oracle in a few figures, and what they say."""

from __future__ import annotations

import torch
from rich.console import Console

from surrogate_opt.cli.console import make_table, number, print_wrapped
from surrogate_opt.cli.control_run import ControlRun
from surrogate_opt.loops.mpc import ClosedLoop
from surrogate_opt.penalties import get_method
from surrogate_opt.study.control.loop_figures import LoopFigures

_GOOD = 1.1
"""Times the oracle's cost that is as good as the true model."""

_POOR = 1.5
_SOLVED = 0.9
_FEW_STARTS = 10
_LARGE_GAP = 0.2


def print_summary(console: Console, run: ControlRun) -> None:
    """Print the table, the model's own figures and one line of judgement."""
    table = make_table()
    table.add_column("")
    for heading in ("oracle", run.label):
        table.add_column(heading, justify="right")
    table.add_column("", style="dim")
    sides = ((run.oracle_figures, run.oracle), (run.learned_figures, run.learned))
    for row in zip(*(_figures(*side) for side in sides), _NAMES, strict=True):
        own, learned, (name, note) = row
        table.add_row(name, own, learned, note)
    console.print(table)
    print_wrapped(console, _about_the_model(run))
    console.print()
    print_wrapped(console, verdict(run), style="bold")


_NAMES = (
    ("closed-loop cost", "median over the starts"),
    ("cost / oracle's", "median of the ratios, start by start"),
    ("success", "starts from which the plant did what it should"),
    ("plan gap", "what plans cost the plant above what they promised, over the oracle's cost"),
    ("chatter", "mean change of the actions from step to step, in ranges"),
    ("bounds broken", "share of the time steps"),
    ("plans diverged", "share of the control steps"),
    ("ms a control step", "of all loops at once, median"),
)


def _figures(figures: LoopFigures, run: ClosedLoop) -> list[str]:
    num_starts, gap = len(figures.success), float(figures.plan_gap.median())
    return [
        number(float(figures.cost.median())),
        f"{float(figures.cost_ratio.median()):.3f}",
        f"{int(figures.success.sum())} of {num_starts}",
        f"{abs(gap) if abs(gap) < 5e-4 else gap:.1%}",
        f"{float(figures.chatter.median()):.3f}",
        _share(figures.violation),
        _share(figures.diverged),
        number(1e3 * float(run.seconds.median()), 3),
    ]


def _share(values: torch.Tensor) -> str:
    share = float(values.mean())
    return "0" if share == 0.0 else f"{share:.1%}"


def _about_the_model(run: ControlRun) -> str:
    model = run.model
    r2 = ", ".join(
        f"{name} {value:.4f}"
        for name, value in zip(model.state_names, model.one_step_r2.tolist(), strict=True)
    )
    label = get_method(model.penalty).label
    strength = "no penalty" if get_method(model.penalty).num_points == 1 else f"{label} {model.level:.3g}"
    return f"The model: {strength}; one-step R² of the increments, out of fold: {r2}."


def verdict(run: ControlRun) -> str:
    """What the figures say, in plain words."""
    oracle, learned = run.oracle_figures, run.learned_figures
    num_starts = len(oracle.success)
    if float(oracle.success.double().mean()) < _SOLVED:
        return (
            f"The controller solves this plant from {int(oracle.success.sum())} of {num_starts} starts even "
            "with the true model, so its figures say little of the learned one."
        )
    ratio, gap = float(learned.cost_ratio.median()), float(learned.plan_gap.median())
    lost = int(oracle.success.sum()) - int(learned.success.sum())
    few = f" {num_starts} starts are few: try --starts 20." if num_starts < _FEW_STARTS else ""
    ghost = (
        f" Its plans cost {gap:.0%} more than they promise: the loop follows ghosts and is saved by planning "
        "anew."
        if gap > _LARGE_GAP
        else ""
    )
    if lost > 0.05 * num_starts:
        return (
            f"Not fit for control: it fails from {lost} starts that the true model masters.{ghost} More or "
            f"cleaner data first.{few}"
        )
    if ratio <= _GOOD:
        return (
            f"As good as the true model: {abs(ratio - 1):.1%} {'more' if ratio >= 1 else 'less'} cost."
            f"{ghost}{few}"
        )
    quality = "Usable, at a price" if ratio <= _POOR else "A poor stand-in for the true model"
    return f"{quality}: {ratio - 1:.0%} more cost than with the true model.{ghost}{few}"

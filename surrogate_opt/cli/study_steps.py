"""What every kind of study shows while it runs: its progress, what failed, how the report is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from surrogate_opt.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from surrogate_opt.study.runner import RunSummary

WIDTH = 110

Report = Callable[[int, int], None]
"""Is told how much is done, and of how much."""


def names(text: str | None) -> tuple[str, ...] | None:
    """The parts of a comma-separated option; None where it was not given."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """The whole numbers of a comma-separated option; None where it was not given.

    Raises:
        InputError: a part is no whole number.
    """
    parts = names(text)
    if parts is None:
        return None
    for part in parts:
        if not part.isdecimal():
            raise InputError(f"{option}: expected whole numbers, comma-separated; came {part!r}")
    return tuple(int(part) for part in parts)


def compute_cells(
    console: Console, activity: str, total: int, run: Callable[[Report], RunSummary]
) -> dict[str, str]:
    """Run a study under a progress bar over its cells, and say what was computed.

    Args:
        console: where to show it.
        activity: what is being done, a few words.
        total: how many cells there are.
        run: runs the study and reports the cells done.

    Returns:
        What went wrong, by cell.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn(activity),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("cells", total=total)
        summary = run(lambda done, wanted: progress.update(task, completed=done, total=wanted))
    console.print(
        f"{summary.computed} cells computed in {summary.seconds:.0f} s, {summary.reused} found stored"
    )
    return summary.failures


def present(
    console: Console, folder: Path, write: Callable[[Report], Path], tables: Iterable[RenderableType]
) -> None:
    """Write a study's report, print its tables, and say where everything is.

    Args:
        console: where to print.
        folder: of the study.
        write: writes the report and tells how far it is; returns the page.
        tables: what is printed.
    """
    with passing_bar(console, "drawing the report") as report:
        page = write(report)
    for renderable in tables:
        console.print(renderable)
    console.print(f"report: {page}\nfigures: {folder / 'figures'}\nresults: {folder / 'results.db'}")


@contextmanager
def passing_bar(console: Console, activity: str) -> Iterator[Report]:
    """A progress bar that leaves no trace; yields what takes how much is done, and of how much."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn(activity), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task(activity, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def failed_cells(failures: dict[str, str], wanted: int) -> str:
    """One line on the cells that failed; empty where none did."""
    if not failures:
        return ""
    place, message = next(iter(failures.items()))
    return f"{len(failures)} of {wanted} cells failed, first {place}: {message}; run again to retry"

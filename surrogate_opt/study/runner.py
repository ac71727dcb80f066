"""Runs what is missing of a study, in processes of one thread each, and stores every cell as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from surrogate_opt.study.cell import run_cell
from surrogate_opt.study.spec import StudySpec
from surrogate_opt.study.store import CellOutcome, CellT, ResultsStore
from surrogate_opt.study.workers import num_cores, worker_pool

_POOLS = 3
"""A cell whose worker died is given to a new pool, so often at most in all."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run went.

    Attributes:
        computed: cells computed now.
        reused: cells that were stored already.
        failures: what went wrong, by cell; such cells are tried again by the next run.
        seconds: wall time.
    """

    computed: int
    reused: int
    failures: dict[str, str]
    seconds: float


def run_study(
    spec: StudySpec,
    results: Path,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> RunSummary:
    """Compute the cells of a study of gradient loops that the results file lacks; see `run_cells`."""
    return run_cells(spec.cells(), run_cell, results, executor=executor, workers=workers, report=report)


def run_cells(
    cells: list[CellT],
    compute: Callable[[CellT], CellOutcome],
    results: Path,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> RunSummary:
    """Compute the cells that the results file lacks.

    Args:
        cells: of the study.
        compute: what to do with a cell, a function that worker processes can import.
        results: the SQLite file.
        executor: where cells run, anything like ``concurrent.futures.Executor``; processes of this machine
            by default.
        workers: how many processes; one a core by default.
        report: called with the numbers of cells done and wanted, at the start and after each cell.
    """
    start = time.perf_counter()
    with ResultsStore(results) as store:
        missing = store.missing(cells)
        run = _Run(compute, store, len(cells) - len(missing), len(cells), report)
        if executor is not None:
            run.compute(missing, executor)
        for _ in range(_POOLS if executor is None else 0):
            lost = [cell for cell in missing if run.lost(cell)]
            if not lost:
                break
            with worker_pool(min(len(lost), workers or num_cores())) as pool:
                run.compute(lost, pool)
    return RunSummary(
        computed=len(missing) - len(run.failures),
        reused=len(cells) - len(missing),
        failures=run.failures,
        seconds=time.perf_counter() - start,
    )


class _Run(Generic[CellT]):
    """Collects results into the store; remembers what failed and which cells a dead worker took along."""

    def __init__(
        self,
        compute: Callable[[CellT], CellOutcome],
        store: ResultsStore,
        done: int,
        wanted: int,
        report: Callable[[int, int], None] | None,
    ) -> None:
        self._compute, self._store, self._report = compute, store, report
        self._done, self._wanted = done, wanted
        self._ended: set[str] = set()
        self.failures: dict[str, str] = {}
        self._tell()

    def lost(self, cell: CellT) -> bool:
        """Whether the cell has neither a result nor a failure of its own."""
        return cell.key not in self._ended

    def compute(self, cells: list[CellT], executor: Executor) -> None:
        """Run cells and store each as it ends; those that a dead worker process took along stay lost."""
        futures = {executor.submit(_timed, cell, self._compute): cell for cell in cells}
        for future in as_completed(futures):
            cell = futures[future]
            place = cell.place
            try:
                result, seconds = future.result()
            except BrokenExecutor as error:  # not the cell's own failure: it is lost, and can be tried again
                self.failures[place] = f"a worker process died ({error})"
                continue
            except Exception as error:  # one cell's failure must not end the study; it is reported
                self.failures[place] = f"{type(error).__name__}: {error}"
            else:
                self._store.put(cell, result, seconds)
                self.failures.pop(place, None)
            self._ended.add(cell.key)
            self._done += 1
            self._tell()

    def _tell(self) -> None:
        if self._report is not None:
            self._report(self._done, self._wanted)


def _timed(cell: CellT, compute: Callable[[CellT], CellOutcome]) -> tuple[CellOutcome, float]:
    start = time.perf_counter()
    result = compute(cell)
    return result, time.perf_counter() - start

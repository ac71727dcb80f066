"""Runs what is missing of a study, in processes of one thread each, and stores every cell as it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # has no types

from surrogate_opt.study.cell import CellResult, run_cell
from surrogate_opt.study.spec import Cell, StudySpec
from surrogate_opt.study.store import ResultsStore


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
    """Compute the cells that the results file lacks.

    Args:
        spec: the study.
        results: the SQLite file.
        executor: where cells run, anything like ``concurrent.futures.Executor``; processes of this machine
            by default.
        workers: how many processes; one a core by default.
        report: called with the numbers of cells done and wanted, at the start and after each cell.
    """
    start = time.perf_counter()
    cells = spec.cells()
    with ResultsStore(results) as store:
        missing = store.missing(cells)
        done = len(cells) - len(missing)
        failures: dict[str, str] = {}
        if report is not None:
            report(done, len(cells))
        if missing:
            own = None if executor is not None else _processes(min(len(missing), workers or _num_cores()))
            try:
                used = executor or own
                assert used is not None
                futures = {used.submit(_timed, cell): cell for cell in missing}
                for future in as_completed(futures):
                    _collect(store, futures[future], future, failures)
                    done += 1
                    if report is not None:
                        report(done, len(cells))
            finally:
                if own is not None:
                    own.shutdown(wait=False, cancel_futures=True)
    return RunSummary(
        computed=len(missing) - len(failures),
        reused=len(cells) - len(missing),
        failures=failures,
        seconds=time.perf_counter() - start,
    )


def _collect(
    store: ResultsStore, cell: Cell, future: Future[tuple[CellResult, float]], failures: dict[str, str]
) -> None:
    try:
        result, seconds = future.result()
    except Exception as error:  # one cell's failure must not end the study; it is reported and retried
        failures[f"{cell.family} {cell.instance}"] = f"{type(error).__name__}: {error}"
        return
    store.put(cell, result, seconds)


def _timed(cell: Cell) -> tuple[CellResult, float]:
    start = time.perf_counter()
    result = run_cell(cell)
    return result, time.perf_counter() - start


def _num_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _processes(workers: int) -> ProcessPoolExecutor:
    """Worker processes with one thread each.

    They come from a fork server that has imported everything once; forking this process itself would
    copy the locks of its thread pools.
    """
    return ProcessPoolExecutor(workers, mp_context=_context(), initializer=_begin_worker)


def _context() -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    torch.set_num_threads(1)
    threadpool_limits(1)

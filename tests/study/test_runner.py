"""Studies that are interrupted, fail in part, or run twice; and the store beneath them."""

import multiprocessing
import sqlite3
import time
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures.thread import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import pytest
import torch
from same_process import Here
from study_specs import tiny_spec

from surrogate_opt.errors import InputError
from surrogate_opt.study import runner
from surrogate_opt.study.cell import run_cell
from surrogate_opt.study.runner import run_study
from surrogate_opt.study.statistics import REGRET_MARGIN
from surrogate_opt.study.store import ResultsStore
from surrogate_opt.study.tables import comparisons, load_study, summarize
from surrogate_opt.study.workers import worker_pool


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "results.db"
    summary = run_study(tiny_spec(), path, executor=Here())
    assert (summary.computed, summary.reused, summary.failures) == (2, 0, {})
    return path


def test_a_second_run_computes_nothing(results):
    seen = []
    summary = run_study(
        tiny_spec(), results, executor=None, report=lambda done, total: seen.append((done, total))
    )
    assert (summary.computed, summary.reused) == (0, 2)
    assert seen == [(2, 2)]


def test_more_instances_compute_only_those(results):
    summary = run_study(tiny_spec(instances=2, families=("smooth",)), results, executor=Here())
    assert (summary.computed, summary.reused) == (1, 1)


def test_cells_come_back_as_they_were(results):
    cell = tiny_spec().cells()[0]
    fresh = run_cell(cell)
    with ResultsStore(results) as store:
        stored = store.get(cell)
    assert str(stored.rows) == str(fresh.rows)
    assert stored.truth == fresh.truth
    assert stored.arrays.keys() == fresh.arrays.keys()
    assert all(torch.equal(stored.arrays[name], fresh.arrays[name]) for name in fresh.arrays)


def test_a_failing_cell_is_reported_and_retried(tmp_path, monkeypatch):
    def sometimes(cell):
        if cell.family == "piecewise":
            raise RuntimeError("no luck")
        return run_cell(cell)

    monkeypatch.setattr(runner, "run_cell", sometimes)
    summary = run_study(tiny_spec(), tmp_path / "r.db", executor=Here())
    assert summary.computed == 1
    assert list(summary.failures.values()) == ["RuntimeError: no luck"]
    monkeypatch.setattr(runner, "run_cell", run_cell)
    summary = run_study(tiny_spec(), tmp_path / "r.db", executor=Here())
    assert (summary.computed, summary.reused, summary.failures) == (1, 1, {})


def test_a_killed_run_goes_on_where_it_was(tmp_path, monkeypatch):
    def killed(cell):
        if cell.family == "piecewise":
            raise KeyboardInterrupt
        return run_cell(cell)

    monkeypatch.setattr(runner, "run_cell", killed)
    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        run_study(tiny_spec(), tmp_path / "r.db", executor=pool)
    monkeypatch.setattr(runner, "run_cell", run_cell)
    summary = run_study(tiny_spec(), tmp_path / "r.db", executor=Here())
    assert (summary.computed, summary.reused) == (1, 1)


@pytest.mark.slow
def test_worker_processes_give_the_same_cells(results, tmp_path):
    run_study(tiny_spec(), tmp_path / "r.db", workers=2)
    with ResultsStore(results) as here, ResultsStore(tmp_path / "r.db") as there:
        for cell in tiny_spec().cells():
            assert str(here.get(cell).rows) == str(there.get(cell).rows)


def test_a_foreign_results_file_is_refused(tmp_path):
    (tmp_path / "text.db").write_text("this is no database, just text, and long enough to be read as such")
    with pytest.raises(InputError, match="results"):
        ResultsStore(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE cells (a, b)")
    with pytest.raises(InputError, match="results"):
        ResultsStore(tmp_path / "other.db")


def test_tables_average_over_instances_and_order_by_regret(results):
    data = load_study(tiny_spec(), results)
    table = summarize(data, "chosen")
    assert sorted(table["method"]) == ["dreg", "none", "sn"]
    for _, row in table.iterrows():
        own = data.at("chosen").query("method == @row.method")["adam.regret_selected"]
        assert row["adam.regret_selected"] == pytest.approx(own.mean())
    sound = table[~table["degenerate"]]["adam.regret_selected"]
    assert sound.is_monotonic_increasing
    assert table["degenerate"].is_monotonic_increasing, "degenerate methods come last"


def test_two_instances_are_too_few_to_say(results):
    margins = {"adam.regret_selected": REGRET_MARGIN}
    (rows,) = comparisons(load_study(tiny_spec(), results), "chosen", margins).values()
    assert {(row.method, row.rival) for row in rows} == {("dreg", "none"), ("sn", "none"), ("dreg", "sn")}
    assert all(row.verdict == "too few to say" for row in rows)


def test_an_empty_results_file_says_so(tmp_path):
    with pytest.raises(InputError, match="no cell"):
        load_study(tiny_spec(), tmp_path / "empty.db")


def test_a_damaged_results_file_is_named(results, tmp_path):
    copy = tmp_path / "copy.db"
    with sqlite3.connect(results) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        target.execute("UPDATE cells SET rows = '{bad'")
    target.close()
    with pytest.raises(InputError, match=r"copy\.db is damaged"):
        load_study(tiny_spec(), copy)


class Dying(Here):
    """An executor whose worker dies on every cell but the first."""

    def submit(self, call, *arguments):
        if arguments[0].family == "piecewise":
            future: Future = Future()
            future.set_exception(BrokenExecutor("killed"))
            return future
        return super().submit(call, *arguments)


def test_cells_of_a_dead_worker_are_given_to_a_new_pool(tmp_path, monkeypatch):
    pools = []

    @contextmanager
    def pool(workers):
        pools.append(workers)
        yield Dying() if len(pools) == 1 else Here()

    monkeypatch.setattr(runner, "worker_pool", pool)
    summary = run_study(tiny_spec(), tmp_path / "r.db", workers=2)
    assert (summary.computed, summary.failures) == (2, {})
    assert pools == [2, 1]


def test_workers_that_keep_dying_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "worker_pool", lambda workers: nullcontext(Dying()))
    summary = run_study(tiny_spec(), tmp_path / "r.db")
    assert summary.computed == 1
    assert "worker process died" in summary.failures["piecewise 100"]


def slow_square(number):
    time.sleep(60.0)
    return number * number


def interrupted():
    with worker_pool(2) as pool:
        for number in range(4):
            pool.submit(slow_square, number)
        time.sleep(1.0)
        raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupt_kills_the_workers_at_once():
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.perf_counter() - start < 30.0
    assert not multiprocessing.active_children()

"""surrogate-opt bo: its figures against ones worked out by hand, its files, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command
from matplotlib.image import imread

from surrogate_opt.cli import bo
from surrogate_opt.cli.bo_problem import make_problem
from surrogate_opt.cli.bo_run import BayesianRun, judge_proposals
from surrogate_opt.cli.regret_plot import draw_run
from surrogate_opt.errors import InputError

BRANIN_MINIMUM = 0.39788735772973816


class Parabola:
    """What a run asks of a problem: the optimum is -1, the output's standard deviation 2."""

    optimal_value = -1.0
    output_std = 2.0


def judged(y, mean, batches, truth=None):
    history = pd.DataFrame({"y": y, "predicted_mean": mean, "evaluation": range(1, len(y) + 1)})
    history["kind"] = np.where(history["predicted_mean"].isna(), "initial", "model")
    history["predicted_std"] = 1.0
    return judge_proposals(history, Parabola(), np.array(y if truth is None else truth), np.array(batches))


def run_of(history, num_initial=2):
    return BayesianRun(
        problem=Parabola(),
        history=history,
        num_initial=num_initial,
        recommended_regret=0.0,
        sobol_regret=np.ones((3, len(history))),
        seconds=1.0,
    )


def test_promises_are_measured_against_the_best_before_the_step():
    nan = np.nan
    table = judged([5.0, 3.0, 4.0, 1.0, 2.0], [nan, nan, 2.0, 4.0, 0.0], [0, 0, 1, 2, 3])
    assert table["promised"].tolist() == [False, False, True, False, True]
    assert table["phantom"].tolist() == [False, False, True, False, True]
    np.testing.assert_allclose(table["regret"], [3.0, 2.0, 2.0, 1.0, 1.0])
    np.testing.assert_allclose(table["optimism"], [nan, nan, 1.0, -1.5, 1.0])
    run = run_of(table)
    assert run.phantom_share == 1.0
    # Truth less mean is 2, -3 and 2; the intervals reach 0.674 and 1.96 standard deviations of 1.
    assert run.coverage(0.5) == 0.0
    assert run.coverage(0.95) == 0.0
    assert run.coverage(0.96) == pytest.approx(2 / 3)


def test_points_of_one_step_do_not_spoil_each_others_promises():
    nan = np.nan
    table = judged([5.0, 3.0, 2.0, 2.5, 2.2], [nan, nan, 2.0, 2.5, 2.4], [0, 0, 1, 1, 2])
    # The second point of step 1 improves on 3, though not on its neighbor; step 2 has 2.0 to improve on.
    assert table["promised"].tolist() == [False, False, True, True, False]
    assert not table["phantom"].any()


def test_with_noise_a_promise_is_over_what_was_told_and_broken_by_the_truth():
    nan = np.nan
    table = judged([3.0, 0.5, 0.0], [nan, nan, 0.4], [0, 0, 1], truth=[3.0, 2.0, 1.5])
    assert table["promised"].tolist() == [False, False, True]
    assert not table["phantom"].any()
    assert run_of(table).history["regret"].tolist() == [2.0, 1.5, 1.25]


def test_the_picture_shows_every_evaluation_and_marks_the_phantoms():
    nan = np.nan
    table = judged([5.0, 3.0, 4.0, 1.0, 2.0], [nan, nan, 2.0, 4.0, 0.0], [0, 0, 1, 2, 3])
    regret, promises = draw_run(run_of(table), "a title").axes
    shown = {
        each.get_label(): each.get_offsets() for each in promises.collections if each.get_label()[0] != "_"
    }
    np.testing.assert_allclose(shown["what came"], [[1, 3], [2, 2], [4, 1]])
    (label,) = [label for label in shown if label.startswith("phantom")]
    np.testing.assert_allclose(shown[label], [[3, 2.5], [5, 1.5]])
    (line,) = [line for line in regret.lines if line.get_label() == "this run"]
    np.testing.assert_allclose(line.get_ydata(), [3, 2, 2, 1, 1])
    assert "without its noise" not in str(promises.get_legend_handles_labels())


def test_a_run_leaves_a_picture_and_a_history_that_add_up(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    words = ("bo", "--problem", "branin", "--model", "gp", "--evaluations", "7", "--batch", "2")
    outcome = command(*words, "--output", "run")
    assert (outcome.code, outcome.err) == (0, "")
    table = pd.read_csv(tmp_path / "run" / "history.csv")
    assert table["batch"].tolist() == [0] * 3 + [1, 1, 2, 2]
    assert (table["kind"] == "initial").tolist() == [True] * 3 + [False] * 4
    problem = make_problem("branin", None)
    truth = problem.value(torch.tensor(table[["x1", "x2"]].to_numpy())).numpy()
    np.testing.assert_allclose(table["y"], truth, rtol=1e-12)
    regret = (np.minimum.accumulate(truth) - BRANIN_MINIMUM) / problem.output_std
    np.testing.assert_allclose(table["regret"], regret, atol=1e-6)
    assert imread(tmp_path / "run" / "regret.png").shape[1] > 1000
    for word in ("best found", "0.3979", "regret", "phantom", "Sobol", "optimism", "s a step"):
        assert word in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100
    assert command(*words).code == 0
    again = pd.read_csv(tmp_path / "results" / "bo" / "branin-gp-evaluations-7-batch-2-0" / "history.csv")
    timings = ["seconds_fit", "seconds_acquisition"]
    pd.testing.assert_frame_equal(again.drop(columns=timings), table.drop(columns=timings))


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ([], "branin-gp-0"),
        (["--seed", "3"], "branin-gp-3"),
        (["--acquisition", "qlog_nei", "--batch", "2"], "branin-gp-acquisition-qlog_nei-batch-2-0"),
        (["--noise-std", "0.1", "--instance", "0"], "branin-gp-noise-0.1-instance-0-0"),
        (["--evaluations", "9", "--initial", "4"], "branin-gp-evaluations-9-initial-4-0"),
        (["--strength", "1e-2"], "branin-gp-strength-0.01-0"),
    ],
)
def test_runs_that_differ_go_into_different_folders(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], folder: str
):
    made: list[str] = []

    def stop(*_arguments: object) -> None:
        made.extend(path.name for path in (tmp_path / "results" / "bo").iterdir())
        raise InputError("far enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bo, "_run_with_progress", stop)
    assert command("bo", "--problem", "branin", "--model", "gp", *options).code == 2
    assert made == [folder]
    assert not (tmp_path / "results").exists()  # it was left empty


def test_noise_is_told_to_the_loop_and_left_out_of_the_regret(command: Command, tmp_path: Path):
    outcome = command(
        *("bo", "--problem", "sparse3", "--instance", "4", "--model", "gp", "--evaluations", "6"),
        *("--initial", "5", "--noise-std", "0.5", "--output", tmp_path),
    )
    assert (outcome.code, outcome.err) == (0, "")
    table, problem = pd.read_csv(tmp_path / "history.csv"), make_problem("sparse3", 4)
    truth = problem.value(torch.tensor(table[["x1", "x2", "x3"]].to_numpy())).numpy()
    np.testing.assert_allclose(table["truth"], truth, rtol=1e-12)
    noise = (table["y"] - table["truth"]) / problem.output_std
    assert 0.1 < noise.std() < 1.2


@pytest.mark.parametrize(
    ("name", "instance", "dim"),
    [("entangled", None, 10), ("piecewise4", 7, 4), ("Hartmann-6", None, 6), ("borehole", None, 8)],
)
def test_problems_are_found_by_name(name: str, instance: int | None, dim: int):
    assert make_problem(name, instance).dim == dim


def test_an_instance_of_a_function_is_another_function_with_the_same_minimum():
    published, moved = make_problem("levy4", None), make_problem("levy4", 2)
    x = torch.rand(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(published.value(x), moved.value(x))
    assert float(moved.optimal_value) == pytest.approx(float(published.optimal_value), abs=1e-9)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--problem"),
        (["--problem", "hartman6"], "hartmann"),
        (["--problem", "hartmann5"], "--problem"),
        (["--problem", "sparse0"], "--problem"),
        (["--problem", "smooth999999999999"], "at most 4 digits"),
        (["--problem", "levy" + "9" * 5000], "at most 4 digits"),
        (["--problem", "borehole", "--instance", "2"], "--instance"),
        (["--problem", "branin", "--model", "forest"], "model"),
        (["--problem", "branin", "--acquisition", "luck"], "acquisition"),
        (["--problem", "branin", "--strength", "strong"], "--strength"),
        (["--problem", "branin", "--seed", "-1"], "seed"),
        (["--problem", "branin", "--evaluations", "5", "--initial", "5"], "--initial"),
        (["--problem", "branin", "--noise-std", "-1"], "--noise-std"),
        (["--problem", "branin", "--output", "run.png"], "--output"),
        (["--problem", "branin", "--output", "file/run"], "--output"),
    ],
)
def test_bad_options_are_refused(
    refused: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    assert expected in refused("bo", *options).err

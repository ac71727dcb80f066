"""surrogate-opt fit-dynamics: figures against ones computed here, its files, real records, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command
from matplotlib.image import imread

from surrogate_opt.cli.dynamics_report import compare, hold_out, lagged
from surrogate_opt.dynamics import Dynamics, Trajectory, fit_dynamics, free_run_error, read_log

QUICK = ("--penalty", "none", "--hidden", "16", "--epochs", "20")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two runs of a pump and a tank, sqrt outflow: 200 rows each, one column a run."""
    generator = np.random.default_rng(0)
    tables = []
    for run in range(2):
        level, levels, pump = 1.0, [], np.repeat(generator.uniform(0.0, 2.0, 40), 5)
        for flow in pump:
            levels.append(level)
            level = max(level + 0.1 * (flow - np.sqrt(level)), 0.0)
        tables.append(pd.DataFrame({"run": run, "level": levels, "pump": pump}))
    path = tmp_path / "log.csv"
    pd.concat(tables).to_csv(path, index=False)
    return path


def words(log: Path, out: Path) -> tuple[str | Path, ...]:
    return ("fit-dynamics", log, "--states", "level", "--actions", "pump", "--dt", "0.1", "--out", out)


def test_the_last_quarter_is_held_out():
    def trajectory(first: int, steps: int) -> Trajectory:
        instants = torch.arange(first, first + steps + 1, dtype=torch.float64)
        return Trajectory(states=instants[:, None], actions=instants[:-1, None])

    train, test = hold_out([trajectory(0, 40), trajectory(100, 40)])
    assert [part.num_steps for part in train] == [40, 20]
    (tail,) = test
    assert tail.states[0, 0] == 120.0
    assert tail.states[-1, 0] == 140.0
    assert tail.num_steps == 20


def test_the_comparison_is_of_rows_that_neither_model_saw(log: Path):
    train, test = hold_out(read_log(log, ["level"], ["pump"], episode="run"))
    learned, fresh = lagged(train, 1, ["level"], ["pump"]), lagged(test, 1, ["level"], ["pump"])
    model = fit_dynamics(learned.trajectories, penalty="none", hidden=(16,), epochs=20)
    network, linear = compare(model, learned, fresh).rivals
    (tail,) = test
    rmse = free_run_error(model, [tail]).rmse
    torch.testing.assert_close(network.free_run.rmse, rmse)
    increments = tail.states.diff(dim=0)
    error = model.step(tail.states[:-1], tail.actions) - tail.states[1:]
    r2 = 1.0 - error.square().mean() / increments.var(correction=0)
    torch.testing.assert_close(network.one_step_r2[0], r2)
    # least squares on the same rows, by NumPy
    columns = torch.cat([torch.cat([part.states[:-1], part.actions], 1) for part in train]).numpy()
    target = torch.cat([part.states.diff(dim=0) for part in train])[:, 0].numpy()
    weights = np.linalg.lstsq(np.column_stack([columns, np.ones(len(columns))]), target, rcond=None)[0]
    level, simulated = float(tail.states[0, 0]), []
    for pump in tail.actions[:, 0].tolist():
        simulated.append(level)
        level += weights @ [level, pump, 1.0]
    np.testing.assert_allclose(linear.simulated[:-1, 0], simulated, atol=1e-6)


def test_a_log_becomes_a_model_a_picture_and_a_report(command: Command, tmp_path: Path, log: Path):
    out = tmp_path / "tank.safetensors"
    outcome = command(*words(log, out), *QUICK, "--trajectory-column", "run", "--lags", "2")
    assert (outcome.code, outcome.err) == (0, "")
    model = Dynamics.load(out)
    assert model.state_names == ("level", "level[-1]", "pump[-1]")
    assert model.dt == 0.1
    assert imread(tmp_path / "tank.png").shape[1] > 1000
    for word in ("one-step R²", "free-run RMSE", "network", "linear (ARX)", "that neither model saw"):
        assert word in outcome.out


def test_another_log_can_be_the_test(command: Command, tmp_path: Path, log: Path):
    table = pd.read_csv(log)
    for run in range(2):
        table[table["run"] == run].to_csv(tmp_path / f"{run}.csv", index=False)
    out = tmp_path / "tank.safetensors"
    outcome = command(*words(tmp_path / "0.csv", out), *QUICK, "--test", tmp_path / "1.csv")
    assert (outcome.code, outcome.err) == (0, "")
    assert "199 transitions to learn from" in outcome.out
    assert "On 199 transitions that neither model saw" in outcome.out


def test_a_real_record(command: Command, tmp_path: Path, real_data: Callable[[str], Path]):
    record = "control/sysid/dryer.dat"
    table = pd.DataFrame(np.loadtxt(real_data(record) / record), columns=["heater", "temperature"])
    table.to_csv(tmp_path / "dryer.csv", index=False)
    outcome = command(
        *("fit-dynamics", tmp_path / "dryer.csv", "--states", "temperature", "--actions", "heater"),
        *("--dt", "0.08", "--lags", "6", *QUICK, "--out", tmp_path / "dryer.safetensors"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    rows = [line.split() for line in outcome.out.splitlines() if "%" in line and "." in line]
    fits = [float(row[-1].rstrip("%")) for row in rows if row[-1].endswith("%")]
    assert len(fits) == 2
    assert min(fits) > 60.0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--dt", "0"], "--dt"),
        (["--dt", "nan"], "--dt"),
        (["--states", "levels"], "level"),
        (["--states", "level,level"], "--states"),
        (["--actions", ""], "--actions"),
        (["--angles", "pump"], "--angles"),
        (["--lags", "500"], "--lags"),
        (["--angles", "level", "--lags", "2"], "--angles"),
        (["--trajectory-column", "trial"], "trial"),
        (["--test", "no.csv"], "no.csv"),
        (["--out", "model.zip"], "--out"),
        (["--out", "no/model.safetensors"], "--out"),
        (["--penalty", "dregs"], "dreg"),
        (["--members", "4"], "members"),
        (["--strength", "strong"], "--strength"),
    ],
)
def test_bad_options_are_refused(
    refused: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: Path,
    options: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in refused(*words(log, tmp_path / "tank.safetensors"), *options).err


def test_a_short_log_is_refused(refused: Command, tmp_path: Path, log: Path):
    pd.read_csv(log).head(12).to_csv(tmp_path / "short.csv", index=False)
    assert "at least 20" in refused(*words(tmp_path / "short.csv", tmp_path / "tank.safetensors")).err

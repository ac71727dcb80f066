"""surrogate-opt fit: what it prints and writes, and how it refuses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK, Command

from surrogate_opt import fitting
from surrogate_opt.adapters.baselines import out_of_fold_linear
from surrogate_opt.cli import fit as fit_command
from surrogate_opt.cli.console import number
from surrogate_opt.surrogate import Surrogate
from surrogate_opt.training.crossvalidation import plan_folds


def _rows(num_rows: int = 40) -> list[list[str]]:
    x = np.random.default_rng(0).random((num_rows, 2))
    y = np.sin(6 * x[:, 0]) + x[:, 1]
    return [[f"{value:.6f}" for value in row] for row in np.column_stack([x, y])]


def _write(folder: Path, rows: list[list[str]] | None = None, header: str = "a,b,y") -> Path:
    path = folder / "data.csv"
    path.write_text("\n".join([header, *(",".join(row) for row in rows or _rows())]) + "\n")
    return path


def test_fit_writes_a_model_and_a_picture_and_prints_the_curve(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_command, "GP_ROWS", 20)
    data, model, plot = _write(tmp_path), tmp_path / "m.safetensors", tmp_path / "s.png"
    outcome = command(
        "fit", data, "--target", "y", "-o", model, "--plot", plot, "--epochs", "20", "--hidden", "16,16"
    )
    assert (outcome.code, outcome.err) == (0, "")
    surrogate = Surrogate.load(model)
    assert surrogate.feature_names == ("a", "b")
    assert surrogate.target_name == "y"
    assert surrogate.stack.sizes == (2, 16, 16, 1)
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "m.safetensors", "s.png"]
    for level in surrogate.selection["level"]:
        assert f"{level:.3g}" in outcome.out
    for word in ("chosen", "linear", "Gaussian process", "20 rows", "p99", "What it means", str(model)):
        assert word in outcome.out
    assert f"{surrogate.record.r2:.3f}" in outcome.out
    assert max(map(len, outcome.out.splitlines()[:-1])) <= 100


def test_the_linear_rival_is_least_squares_on_the_same_folds(command: Command, tmp_path: Path) -> None:
    data, model = _write(tmp_path), tmp_path / "m.safetensors"
    outcome = command("fit", data, "--target", "y", "-o", model, "--seed", "3", *QUICK)
    table = torch.tensor([[float(cell) for cell in row] for row in _rows()], dtype=torch.float64)
    folds = plan_folds(table[:, :2], 5, 3).held_out
    linear = out_of_fold_linear(table[:, :2], table[:, 2], folds)
    torch.testing.assert_close(Surrogate.load(model).record.linear_out_of_fold, linear.predictions)
    assert f"{linear.r2:.3f}" in outcome.out
    assert "Gaussian process" not in outcome.out


def test_no_data_keeps_no_input_row(command: Command, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    assert command("fit", _write(tmp_path), "--target", "y", "-o", model, "--no-data", *QUICK).code == 0
    assert len(Surrogate.load(model).record.x) == 0


def test_bounds_are_taken_from_the_file(command: Command, tmp_path: Path) -> None:
    box = tmp_path / "box.csv"
    box.write_text("name,lower,upper\nb,-1,2\na,-3,4\n")
    model = tmp_path / "m.safetensors"
    assert command("fit", _write(tmp_path), "--target", "y", "-o", model, "--bounds", box, *QUICK).code == 0
    assert Surrogate.load(model).bounds.tolist() == [[-3.0, -1.0], [4.0, 2.0]]


def _changed(row: int, cells: list[str]) -> list[list[str]]:
    rows = _rows()
    rows[row] = cells
    return rows


BAD_TABLES = {
    "text": (_changed(3, ["steel", "0.5", "1"]), "a,b,y", "'a' holds text"),
    "nan": (_changed(3, ["nan", "0.5", "1"]), "a,b,y", "'a' misses"),
    "empty": (_changed(3, ["0.1", "0.5", ""]), "a,b,y", "'y' misses"),
    "constant": ([[row[0], "7", row[2]] for row in _rows()], "a,b,y", "'b': expected values that differ"),
    "few rows": (_rows(9), "a,b,y", "at least 10 rows"),
    "duplicate names": (_rows(), "a,a,y", "'a' came again"),
    "no target": (_rows(), "a,b,z", "'y'"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_refused(refused: Command, tmp_path: Path, case: str) -> None:
    rows, header, expected = BAD_TABLES[case]
    data = _write(tmp_path, rows, header)
    assert expected in refused("fit", data, "--target", "y", "-o", tmp_path / "m.safetensors").err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,lower,upper\na,0,1\nb,0,0.5\n", "'b': expected a box around the data"),
        ("name,lower,upper\na,1,0\nb,0,1\n", "lower < upper"),
        ("name,lower,upper\na,0,1\n", "'b' missing"),
        ("name,lower,upper\na,0,1\nbb,0,1\n", "did you mean 'b'"),
        ("name,low,high\na,0,1\n", "'lower', 'upper' missing"),
    ],
)
def test_bounds_that_do_not_fit_are_refused(
    refused: Command, tmp_path: Path, text: str, expected: str
) -> None:
    box = tmp_path / "box.csv"
    box.write_text(text)
    outcome = refused("fit", _write(tmp_path), "--target", "y", "-o", tmp_path / "m", "--bounds", box, *QUICK)
    assert expected in outcome.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--hidden", "8,x"], "--hidden"),
        (["--hidden", "8,0"], "--hidden"),
        (["--strength", "strong"], "--strength"),
        (["--strength", "-1"], "strength"),
        (["--strength", "nan"], "strength"),
        (["--penalty", "drag"], "penalty"),
        (["--rule", "steep"], "rule"),
        (["--members", "7"], "members"),
        (["--activation", "step"], "activation"),
        (["--plot", "s.txt"], ".png"),
        (["--plot", "nowhere/s.png"], "nowhere"),
        (["--output", "nowhere/m.safetensors"], "--output: expected an existing folder"),
        (["--output", "."], "is a folder"),
    ],
)
def test_options_are_refused_before_any_training(
    refused: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
) -> None:
    def trained(*_: object, **__: object) -> None:
        raise AssertionError("training started")

    monkeypatch.setattr(fitting, "cross_validate", trained)
    monkeypatch.chdir(tmp_path)
    words = ["fit", _write(tmp_path), "--target", "y", "-o", tmp_path / "m", *options]
    assert expected in refused(*words).err


def test_the_data_are_not_overwritten(refused: Command, tmp_path: Path) -> None:
    data = _write(tmp_path)
    assert "another file" in refused("fit", data, "--target", "y", "-o", data).err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (28.0, "28"), (1145.0, "1145"), (0.12345, "0.1235"), (-12.3456, "-12.35"),
        (99999.5, "100000"), (1e9, "1.000e+09"), (1e-7, "1.000e-07"),
        (math.nan, "-"), (math.inf, "inf"), (-math.inf, "-inf"),
    ],
)  # fmt: skip
def test_numbers_are_printed_short(value: float, text: str) -> None:
    assert number(value) == text


def test_columns_that_are_no_inputs_are_left_out(command: Command, tmp_path: Path) -> None:
    rows = [[*row, "a note"] for row in _rows()]
    data, model = _write(tmp_path, rows, "a,b,y,note"), tmp_path / "m.safetensors"
    words = ["--target", "y", "-o", model, "--strength", "0.001", "--epochs", "2", "--no-baselines"]
    assert command("fit", data, *words, "--ignore", "note").code == 0
    assert Surrogate.load(model).feature_names == ("a", "b")
    assert command("fit", data, *words, "--inputs", "b").code == 0
    assert Surrogate.load(model).feature_names == ("b",)


def test_bounds_are_not_overwritten(refused: Command, tmp_path: Path) -> None:
    data, box = _write(tmp_path), tmp_path / "box.csv"
    box.write_text("name,lower,upper\na,-9,9\nb,-9,9\n")
    message = refused("fit", data, "--target", "y", "--bounds", box, "-o", box)
    assert "--output: expected another file than" in message.err
    assert box.read_text().startswith("name")


def test_sizes_beyond_the_memory_are_one_line(refused: Command, tmp_path: Path) -> None:
    words = ("--target", "y", "-o", tmp_path / "m.safetensors", "--hidden", "10000000,10000000")
    assert "not enough memory" in refused("fit", _write(tmp_path), *words).err

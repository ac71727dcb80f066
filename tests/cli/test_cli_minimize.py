"""surrogate-opt minimize: candidates, their warnings and the CSV, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command

from surrogate_opt.cli.candidates import join_candidates
from surrogate_opt.loops import Candidates
from surrogate_opt.surrogate import Surrogate


def _box(folder: Path, text: str) -> Path:
    path = folder / "box.csv"
    path.write_text(f"name,lower,upper\n{text}\n")
    return path


def test_the_minimum_is_found_and_written(command: Command, model_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "c.csv"
    outcome = command("minimize", model_file, "--starts", "16", "--method", "lbfgsb", "-o", output)
    assert (outcome.code, outcome.err) == (0, "")
    table = pd.read_csv(output)
    assert table["candidate"].tolist() == list(range(1, len(table) + 1))
    first = table.iloc[0]
    # The truth's minimum is at a = 0.4, b = 0; the surrogate's is near it.
    assert first["a"] == pytest.approx(0.4, abs=0.2)
    assert first["b"] == 0.0
    assert "b" in first["at_bound"]
    surrogate = Surrogate.load(model_file)
    x = torch.tensor(table[["a", "b"]].to_numpy())
    np.testing.assert_allclose(table["predicted_cost"], surrogate.predict(x)[0], rtol=1e-12)
    np.testing.assert_allclose(table["interval_90_lower"], surrogate.interval(x, 0.9)[0], rtol=1e-12)
    np.testing.assert_allclose(table["distance_to_data"], surrogate.distance_to_data(x), rtol=1e-12)
    assert bool(first["outside_data"])  # at b = 0, below every row's b
    assert "outside the data's range of b" in outcome.out
    assert "at a bound (b" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_maximize_and_fix(command: Command, model_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "c.csv"
    outcome = command("minimize", model_file, "--maximize", "--fix", "a=0.5", "--starts", "8", "-o", output)
    assert outcome.code == 0
    table = pd.read_csv(output)
    assert (table["a"] == 0.5).all()
    assert table["b"].iloc[0] == pytest.approx(2.0, abs=1e-6)
    assert "largest cost" in outcome.out
    assert "none lies in the searched box" in outcome.out  # no row has a = 0.5
    assert "a" not in table["at_bound"].iloc[0]  # it is held, not stopped


def test_the_near_data_guard_stays_by_the_rows(command: Command, model_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "c.csv"
    outcome = command(
        "minimize", model_file, "--guard", "near_data", "--starts", "16", "--method", "lbfgsb", "-o", output
    )
    assert outcome.code == 0
    table = pd.read_csv(output)
    rows = Surrogate.load(model_file).record
    # Half of the reach, and what the penalty gives way to the slope.
    assert table["distance_to_data"].max() < 0.06
    assert table["predicted_cost"].min() < float(rows.target.quantile(0.05))


def test_the_pessimistic_guard_runs(command: Command, model_file: Path) -> None:
    outcome = command("minimize", model_file, "--guard", "pessimistic", "--starts", "8")
    assert outcome.code == 0
    assert "ranked by what the loop followed" in outcome.out


def test_a_box_beyond_the_models_is_warned_of(command: Command, model_file: Path, tmp_path: Path) -> None:
    box = _box(tmp_path, "b,0.5,1\na,0,3")
    outcome = command("minimize", model_file, "--bounds", box, "--starts", "8")
    assert outcome.code == 0
    assert "bounds of a (0 to 3) leave the model's box" in outcome.out
    assert "bounds of b" not in outcome.out


def test_many_candidates_come_in_several_tables(command: Command, model_file: Path) -> None:
    outcome = command(
        "minimize", model_file, "--method", "gradient_descent", "--starts", "40", "--num-candidates", "7"
    )
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_a_model_without_data_says_so(command: Command, model_file: Path, tmp_path: Path) -> None:
    bare, output = tmp_path / "bare.safetensors", tmp_path / "c.csv"
    Surrogate.load(model_file).save(bare, include_data=False)
    outcome = command("minimize", bare, "--starts", "8", "-o", output)
    assert outcome.code == 0
    assert "holds no data" in outcome.out
    assert pd.read_csv(output)["outside_data"].tolist()[0] == "unknown"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--fix", "c=1"], "'c'"),
        (["--fix", "a"], "name=value"),
        (["--fix", "a=x"], "a number"),
        (["--fix", "a=9"], "expected 'a' from 0 to 1; came 9"),
        (["--fix", "a=0.1", "--fix", "a=0.2"], "came again"),
        (["--method", "newton"], "method"),
        (["--guard", "dog"], "--guard"),
        (["--starts", "0"], "--starts"),
        (["--output", "nowhere/c.csv"], "--output"),
        (["--bounds", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_bad_options_are_refused(
    refused: Command,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in refused("minimize", model_file, *options).err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a,1,0\nb,0,1", "lower < upper"), ("a,0,1\nc,0,1", "'c'"), ("a,0,1", "'b' missing")],
)
def test_bad_bounds_are_refused(
    refused: Command, model_file: Path, tmp_path: Path, text: str, expected: str
) -> None:
    assert expected in refused("minimize", model_file, "--bounds", _box(tmp_path, text)).err


def test_near_data_without_data_is_refused(refused: Command, model_file: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    Surrogate.load(model_file).save(bare, include_data=False)
    assert "holds none" in refused("minimize", bare, "--guard", "near_data").err


def test_nothing_joins_nothing():
    empty = Candidates(x=torch.empty(0, 2), value=torch.empty(0), start=())
    assert join_candidates(empty, empty, [[0.0, 0.0], [1.0, 1.0]], 5) is empty


def test_joined_candidates_lie_apart_and_keep_their_order():
    first = Candidates(x=torch.tensor([[0.1, 0.1]]), value=torch.tensor([1.0]), start=(3,))
    more = Candidates(
        x=torch.tensor([[0.11, 0.1], [0.9, 0.9], [0.5, 0.1]]),
        value=torch.tensor([2.0, 3.0, 4.0]),
        start=(0, 1, 2),
    )
    joined = join_candidates(first, more, [[0.0, 0.0], [1.0, 1.0]], 2)
    assert joined.start == (3, 1)
    assert joined.value.tolist() == [1.0, 3.0]


def test_the_model_is_not_overwritten(refused: Command, model_file: Path) -> None:
    before = model_file.read_bytes()
    assert "expected another file" in refused("minimize", model_file, "-o", model_file).err
    assert "expected another file" in refused("audit", model_file, "--json", model_file).err
    assert model_file.read_bytes() == before

"""Runs of the command line in this process, a small model file, and the folder of real tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from surrogate_opt.cli import main
from surrogate_opt.fitting import fit

QUICK = ("--strength", "1e-3", "--epochs", "3", "--hidden", "16", "--no-baselines")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(str(stopped.value.code)), captured.out, captured.err)

    return run


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Command:
    """A run that must end in exit code 2 with one line on stderr, and write nothing."""

    def run(*arguments: str | Path) -> Outcome:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        outcome = command(*arguments)
        assert outcome.code == 2
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 1
        assert outcome.err.endswith("\n")
        assert "Traceback" not in outcome.err + outcome.out
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        return outcome

    return run


@pytest.fixture(scope="session")
def csv_folder(real_data: Callable[[str], Path]) -> Path:
    return real_data("csv") / "csv"


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A surrogate of 4 (a - 0.4)^2 + b on [0, 1] x [0, 2], 80 rows."""
    x = np.random.default_rng(0).random((80, 2)) * [1.0, 2.0]
    y = 4 * (x[:, 0] - 0.4) ** 2 + x[:, 1]
    surrogate = fit(
        x, y, bounds=[[0, 0], [1, 2]], strength=0.0, epochs=1000, hidden=(16,),
        feature_names=("a", "b"), target_name="cost",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    surrogate.save(path)
    return path

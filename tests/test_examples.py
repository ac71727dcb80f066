"""Every script in examples/ runs, and says what its first lines promise."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
QUICK = ["--epochs", "5"]
RUNS = {
    "quickstart.py": ([*QUICK, "-n", "60"], "best possible"),
    "compare_penalties.py": ([*QUICK, "-n", "60", "--family", "piecewise"], "gradient error"),
    "audit_your_own_model.py": ([], "Gaussian process"),
    "constrained_minimum.py": (QUICK, "predicted"),
    "botorch_loop.py": (["--steps", "3"], "as many Sobol points"),
    "ask_tell.py": (["--evaluations", "11", "--model", "gp"], "meshes failed"),
    "control_loop.py": (["--epochs", "10", "--steps", "20"], "upright at the end"),
    "sample_borehole.py": (["-n", "20"], "standard deviation"),
}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_example(name, tmp_path, monkeypatch, capsys):
    arguments, expected = RUNS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert expected in capsys.readouterr().out

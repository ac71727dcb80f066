"""The command line as a whole: help without heavy imports, exit codes, interruption."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from surrogate_opt import surrogate as surrogate_module

_HELP = """
import sys
from surrogate_opt.cli import main
try:
    main([{words}])
except SystemExit as stopped:
    assert not stopped.code, stopped.code
heavy = sorted({{"torch", "botorch", "numpy", "pandas", "scipy", "matplotlib"}} & set(sys.modules))
assert not heavy, heavy
"""


@pytest.mark.parametrize("words", ["", "'--help'", "'fit', '--help'", "'minimize', '--help'"])
def test_help_loads_nothing_heavy_and_teaches_by_examples(words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HELP.format(words=words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "surrogate-opt fit" in done.stdout or "surrogate-opt minimize model" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dance"], "dance"),
        (["fit"], "DATA"),
        (["fit", "data.csv"], "--target"),
        (["fit", "data.csv", "--target", "y", "-o", "m", "--epochs", "0"], "--epochs"),
        (["fit", "data.csv", "--target", "y", "-o", "m", "--colour", "red"], "--colour"),
        (["audit"], "MODEL"),
        (["minimize", "m", "--starts", "many"], "--starts"),
    ],
)
def test_wrong_usage_is_one_line(refused, words: list[str], expected: str) -> None:  # type: ignore[no-untyped-def]
    assert expected.lower() in Text.from_ansi(refused(*words).err).plain.lower()


def test_the_installed_program_exits_with_2_and_no_traceback(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("surrogate-opt")
    if not program.exists():
        pytest.skip("the package is not installed with its program")
    done = subprocess.run(
        [program, "fit", tmp_path / "no.csv", "--target", "y", "-o", tmp_path / "m.safetensors"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'no.csv'}: expected a CSV file; there is none\n"
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_exits_with_130(command, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def interrupted(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(surrogate_module.Surrogate, "load", interrupted)
    assert command("audit", "model.safetensors").code == 130

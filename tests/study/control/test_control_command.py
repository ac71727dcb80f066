"""surrogate-opt run --loops mpc: options, exit codes, report, a run that goes on where it was."""

import pytest
from rich.text import Text
from same_process import Here
from surrogate_problems.plants import PLANTS, VanDerPol

from surrogate_opt.cli import main
from surrogate_opt.loops.mpc import ILQR, PLANNERS
from surrogate_opt.study import runner

TOML = """
plants = ["van_der_pol"]
methods = ["none", "dreg"]
controllers = ["ilqr"]
instances = 1
num_train = [60]
starts = 1
hidden = [6]
train_steps = 30
loop_noise = 0.0
"""


def short_plant():
    """An episode of a few steps."""
    plant = VanDerPol()
    plant.num_steps = 8
    return plant


def run(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--loops", "mpc", *words])
    captured = capsys.readouterr()
    return int(str(stopped.value.code)), captured.out, Text.from_ansi(captured.err).plain


def test_a_study_from_the_command_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "worker_pool", lambda workers: Here())
    hasty = ILQR(iterations=1, search_sequences=1, search_iterations=1)
    monkeypatch.setitem(PLANNERS, "ilqr", hasty)
    monkeypatch.setitem(PLANTS, "van_der_pol", short_plant)
    spec = tmp_path / "study.toml"
    spec.write_text(TOML)
    words = ("--spec", str(spec), "--name", "small", "--results", str(tmp_path))
    code, out, _ = run(capsys, *words)
    assert code == 0, out
    assert "1 cells computed" in out
    folder = tmp_path / "small"
    page = (folder / "report.html").read_text(encoding="utf-8")
    for name in ("costs", "trajectories", "phase"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 10_000
        assert (folder / "figures" / f"{name}.svg").exists()
    assert page.count("data:image/png") == 3
    assert "data:image/gif" not in page  # there is no pendulum
    assert "href" not in page
    before = (folder / "results.db").read_bytes()
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "0 cells computed" in out
    assert (folder / "results.db").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--families", "smooth"], ["--families", "--loops mpc", "--plants"]),
        (["--plants", "rocket"], ["plants", "rocket", "pendulum"]),
        (["--controllers", "pid"], ["controllers", "pid", "ilqr"]),
        (["--transitions", "many"], ["--transitions", "whole numbers", "many"]),
        (["--transitions", "20"], ["num_train", "50"]),
        (["--budget", "paper"], ["budget", "smoke, default, full"]),
    ],
)
def test_bad_input_is_one_line_and_code_2(capsys, tmp_path, words, expected):
    code, out, err = run(capsys, "--results", str(tmp_path / "none"), *words)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) <= 2
    for word in expected:
        assert word in err.replace("\n", " ")
    assert not (tmp_path / "none").exists()

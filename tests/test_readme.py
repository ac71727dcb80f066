"""The README's commands and snippets run, on fewer epochs where they train."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

import surrogate_opt as so
from surrogate_opt.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = {"fit": ["--epochs", "5", "--no-baselines"]}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(words):
    """What a line of the console would do, in this process."""
    program, *arguments = words
    if program == "python":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", arguments)
            runpy.run_path(arguments[0], run_name="__main__")
        return
    assert program == "surrogate-opt"
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert not stopped.value.code


def test_the_csv_walk_through(tmp_path, monkeypatch):
    commands = [line for line in blocks("console")[1].splitlines() if line]
    assert len(commands) == 4
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        words = shlex.split(command)
        run([*words, *QUICK.get(words[1], [])])
    assert (tmp_path / "candidates.csv").stat().st_size > 100


def test_the_python_snippet(tmp_path, monkeypatch, capsys):
    snippet, _, _, botorch, _ = blocks("python")
    monkeypatch.chdir(tmp_path)
    fit = so.fit
    monkeypatch.setattr(so, "fit", lambda *arguments, **named: fit(*arguments, epochs=2, **named))
    names = {}
    exec(compile(snippet, "README.md", "exec"), names)
    assert "Gradients:" in capsys.readouterr().out
    names.update(x=names["x"][:50], y=names["y"][:50])
    exec(compile(botorch, "README.md", "exec"), names)
    assert names["model"].posterior(names["x"][:3]).mean.shape == (3, 1)


def test_the_snippet_of_a_training_loop():
    names = {}
    exec(compile(blocks("python")[1], "README.md", "exec"), names)
    assert names["loss"].isfinite()
    assert names["value"] > 0


def test_the_bayesian_snippet(tmp_path, monkeypatch, capsys):
    _, _, snippet, _, _ = blocks("python")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    assert "BestEvaluation" in capsys.readouterr().out
    assert so.BayesianLoop.load("loop.db").best is not None


def test_the_control_snippet(monkeypatch, capsys):
    *_, snippet = blocks("python")
    fit, run = so.fit_dynamics, so.run_closed_loop
    monkeypatch.setattr(so, "fit_dynamics", lambda *arguments, **named: fit(*arguments, epochs=3, **named))
    monkeypatch.setattr(so, "run_closed_loop", lambda *arguments, **named: run(*arguments, steps=3, **named))
    names = {}
    exec(compile(snippet, "README.md", "exec"), names)
    assert names["loops"].states.shape == (5, 4, 2)
    assert "tensor" in capsys.readouterr().out


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_and_pictures_are_there(link):
    assert (ROOT / link).exists()

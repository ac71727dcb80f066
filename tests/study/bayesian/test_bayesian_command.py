"""surrogate-opt run --loops bo: options, exit codes, a run that goes on where it was."""

import pytest
from rich.text import Text
from same_process import Here
from small_bayesian_study import failing_gp, small_spec

from surrogate_opt.cli import main
from surrogate_opt.study import runner
from surrogate_opt.study.bayesian import cell as cell_module
from surrogate_opt.study.bayesian import report

SMALL = (
    "--loops",
    "bo",
    "--problems",
    "branin",
    "--models",
    "sobol",
    "--evaluations",
    "6",
    "--name",
    "small",
)


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """A run in this process; returns the exit code, stdout and stderr."""

    class Pool(Here):
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(runner, "worker_pool", lambda workers: Pool())

    def run(*words):
        with pytest.raises(SystemExit) as stopped:
            main(["run", "--results", str(tmp_path), *words])
        captured = capsys.readouterr()
        return int(str(stopped.value.code)), captured.out, Text.from_ansi(captured.err).plain

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--loops", "pid"], ["--loops", "gradient, bo, mpc", "pid"]),
        (["--loops", "bo", "--families", "smooth"], ["--families", "--loops bo", "--problems"]),
        (["--loops", "bo", "--methods", "dreg"], ["--methods", "--models"]),
        (["--loops", "bo", "--device", "cuda"], ["--device"]),
        (["--problems", "branin"], ["--problems", "--loops gradient", "--families"]),
        (["--models", "gp"], ["--models", "--methods"]),
        (["--evaluations", "9"], ["--evaluations"]),
        (["--loops", "bo", "--budget", "paper"], ["budget", "full"]),
        (["--budget", "full"], ["budget", "paper"]),
        (["--loops", "bo", "--models", "forest"], ["models", "forest", "last_layer"]),
    ],
)
def test_what_does_not_fit_is_one_line(command, tmp_path, words, expected):
    code, _, err = command(*words)
    assert code == 2
    assert err.startswith("error: ")
    assert err.strip().count("\n") == 0
    assert all(word in err for word in expected), err
    assert not list(tmp_path.iterdir())


def test_a_run_writes_a_report_and_a_second_one_computes_nothing(command, tmp_path):
    code, out, err = command(*SMALL, "--instances", "2")
    assert (code, err) == (0, "")
    assert "2 cells computed" in out
    assert (tmp_path / "small" / "report.html").exists()
    assert (tmp_path / "small" / "results.db").exists()
    code, out, _ = command(*SMALL, "--instances", "2")
    assert code == 0
    assert "0 cells computed" in out
    assert "2 found stored" in out


def test_a_model_that_is_added_is_computed_alone_and_named_where_it_fails(command, monkeypatch, tmp_path):
    monkeypatch.setattr(report, "draw_pictures", lambda data, found: iter(()))
    assert command(*SMALL, "--instances", "1")[0] == 0
    monkeypatch.setattr(cell_module, "make_search", failing_gp)
    code, out, err = command(*SMALL, "--instances", "1", "--models", "sobol,gp")
    assert code == 2
    assert "1 cells computed" in out
    assert "1 found stored" in out
    failure = "first gp on branin 200: TrainingError: no luck (stored; not tried again)"
    assert err == f"error: 1 of 2 runs failed, {failure}\n"
    assert "report:" in out
    assert (tmp_path / "small" / "report.html").exists()


def test_the_options_make_the_study(command, monkeypatch):
    made = []
    monkeypatch.setattr(
        "surrogate_opt.cli.study_bayesian.run_bayesian",
        lambda study, results, workers: made.append((study, workers)),
    )
    words = ["--loops", "bo", "--problems", "smooth, branin", "--models", "gp,sobol", "--instances", "1"]
    assert command(*words, "--evaluations", "8", "--seed", "5", "--name", "small", "--workers", "2")[0] == 0
    ((study, workers),) = made
    assert workers == 2
    expected = small_spec(seed=5, dim=10)
    assert study == expected

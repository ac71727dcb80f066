"""surrogate-opt control: its judgements from made-up figures, its files, and how it refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from conftest import Command
from matplotlib.image import imread
from surrogate_problems.plants import PLANTS, make_plant

from surrogate_opt.cli.control_run import load_model
from surrogate_opt.cli.control_run import make_plant as plant_of
from surrogate_opt.cli.control_summary import verdict
from surrogate_opt.dynamics import Dynamics, fit_dynamics
from surrogate_opt.errors import InputError
from surrogate_opt.study.control.data import collect_transitions


def run_of(ratio: float, *, oracle: int = 20, learned: int = 20, gap: float = 0.0, starts: int = 20):
    """What a verdict is of, from as many starts."""

    def figures(successes: int) -> SimpleNamespace:
        return SimpleNamespace(
            success=torch.arange(starts) < successes,
            cost_ratio=torch.full((starts,), ratio),
            plan_gap=torch.full((starts,), gap),
        )

    return SimpleNamespace(oracle_figures=figures(oracle), learned_figures=figures(learned))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (run_of(1.02), "As good as the true model: 2.0% more cost."),
        (run_of(0.99), "1.0% less cost"),
        (run_of(1.3), "Usable, at a price: 30% more cost"),
        (run_of(3.0), "A poor stand-in"),
        (run_of(1.0, learned=10), "fails from 10 starts"),
        (run_of(1.0, oracle=5, learned=5), "even with the true model"),
        (run_of(1.05, gap=0.5), "follows ghosts"),
        (run_of(1.0, oracle=3, learned=3, starts=3), "3 starts are few"),
    ],
)
def test_the_verdict_says_what_the_figures_say(run, expected):
    assert expected in verdict(run)


@pytest.fixture(scope="module")
def pendulum_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plant = make_plant("pendulum")
    model = fit_dynamics(
        collect_transitions(plant, 200, 0), angles=plant.angles, strength=0.0, epochs=10, hidden=(16,),
        state_names=plant.state_names, action_names=plant.action_names, dt=plant.dt,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "swing.safetensors"
    model.save(path)
    return path


def test_a_run_fits_and_leaves_tables_pictures_and_the_model(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    short = make_plant("van_der_pol")
    short.num_steps = 8
    monkeypatch.setitem(PLANTS, "van_der_pol", lambda: short)
    outcome = command(
        *("control", "--plant", "van_der_pol", "--penalty", "none", "--transitions", "300"),
        *("--epochs", "20", "--hidden", "16", "--starts", "2", "--output", tmp_path / "run"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    folder = tmp_path / "run"
    expected = {"trajectories.png", "phase.png", "loops.csv", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == expected
    table = pd.read_csv(folder / "loops.csv")
    assert table["model"].tolist() == ["oracle"] * 2 + ["none"] * 2
    cost = table.set_index(["model", "start"])["cost"]
    ratios = table[table["model"] == "none"].set_index("start")["cost_ratio"]
    for start in range(2):
        assert ratios[start] == pytest.approx(cost["none", start] / cost["oracle", start])
    assert imread(folder / "phase.png").shape[1] > 1000
    assert Dynamics.load(folder / "model.safetensors").state_names == ("position", "velocity")
    for word in ("closed-loop cost", "success", "plan gap", "chatter", "ms a control step", "no penalty"):
        assert word in outcome.out
    assert max(map(len, outcome.out.splitlines()[:-1])) <= 100


@pytest.mark.slow
def test_a_saved_model_swings_the_pendulum_in_a_gif(
    command: Command, tmp_path: Path, pendulum_file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    outcome = command("control", "--plant", "pendulum", "--model", pendulum_file, "--starts", "1")
    assert (outcome.code, outcome.err) == (0, "")
    picture = tmp_path / "results" / "control" / "pendulum-swing-starts-1-0" / "pendulum.gif"
    assert 10_000 < picture.stat().st_size < 1_500_000


def test_a_model_of_another_plant_is_refused(pendulum_file: Path):
    assert load_model(pendulum_file, make_plant("pendulum")).dt == 0.05
    with pytest.raises(InputError, match="expected the states of van_der_pol"):
        load_model(pendulum_file, make_plant("van_der_pol"))


def test_instances_of_a_family_differ_and_other_plants_have_none():
    first, second = plant_of("family:smooth", 0), plant_of("family:smooth", 1)
    assert not torch.equal(first.cost.action_target, second.cost.action_target)
    with pytest.raises(InputError, match="--instance"):
        plant_of("cstr", 1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--plant"),
        (["--plant", "pendulu"], "pendulum"),
        (["--plant", "pendulum", "--instance", "2"], "--instance"),
        (["--plant", "pendulum", "--controller", "pid"], "--controller"),
        (["--plant", "pendulum", "--penalty", "dregs"], "dreg"),
        (["--plant", "pendulum", "--strength", "strong"], "--strength"),
        (["--plant", "pendulum", "--hidden", "64,wide"], "--hidden"),
        (["--plant", "pendulum", "--transitions", "5"], "--transitions"),
        (["--plant", "pendulum", "--noise", "-1"], "--noise"),
        (["--plant", "pendulum", "--starts", "0"], "--starts"),
        (["--plant", "pendulum", "--seed", "-1"], "seed"),
        (["--plant", "pendulum", "--epochs", "0"], "epochs"),
        (["--plant", "pendulum", "--phase", "angle"], "--phase"),
        (["--plant", "pendulum", "--phase", "angle,tilt"], "--phase"),
        (["--plant", "pendulum", "--model", "no.safetensors"], "no.safetensors"),
        (["--plant", "pendulum", "--output", "run.gif"], "--output"),
        (["--plant", "pendulum", "--output", "file/run"], "--output"),
    ],
)
def test_bad_options_are_refused(
    refused: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    assert expected in refused("control", *options).err
    assert not (tmp_path / "results").exists()

"""surrogate-opt ask and tell: a campaign through CSV files, where nothing counts twice or gets lost."""

from __future__ import annotations

import io
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import Command

from surrogate_opt.cli import campaign_file, campaign_report, experiment_table, new_results, tell
from surrogate_opt.errors import InputError
from surrogate_opt.loops.bayesian import BayesianLoop, Campaign

BEGIN = ("--bounds", "copper=0:5", "--bounds", "steps=1:4", "--integer", "steps", "--model", "gp")


def value(row):
    return (row["copper"] - 2.0) ** 2 + row["steps"]


def fill_in(path: Path, results: list[object] | None = None, column: str = "y") -> pd.DataFrame:
    """Results for the rows of a table, the truth's by default; as text, as a user's editor saves it."""
    table = pd.read_csv(path)
    table[column] = table.apply(value, axis=1) if results is None else results
    table.to_csv(path, index=False)
    return table


@pytest.fixture
def begun(command: Command, tmp_path: Path) -> Path:
    """A campaign with four points asked for."""
    path = tmp_path / "alloy.db"
    assert command("ask", path, *BEGIN, "--initial", "4", "-q", "4").code == 0
    return path


_HELP = """
import sys
from surrogate_opt.cli import main
for word in ("ask", "tell", "bo"):
    try:
        main([word, "--help"])
    except SystemExit as stopped:
        assert not stopped.code, stopped.code
heavy = sorted({"torch", "botorch", "numpy", "pandas", "scipy", "matplotlib"} & set(sys.modules))
assert not heavy, heavy
"""


def test_help_loads_nothing_heavy_and_teaches_by_examples():
    done = subprocess.run([sys.executable, "-c", _HELP], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for example in ("ask alloy.db", "tell alloy.db", "bo --problem hartmann6"):
        assert f"surrogate-opt {example}" in done.stdout


def test_an_experiment_goes_on_step_by_step(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path, sheet = Path("alloy.db"), Path("alloy-next.csv")
    first = command("ask", path, *BEGIN, "--initial", "4", "-q", "4")
    assert (first.code, first.err) == (0, "")
    table = pd.read_csv(sheet, dtype=str, keep_default_na=False)
    assert list(table) == ["id", "copper", "steps", "y"]
    assert (table["y"] == "").all()
    assert set(table["steps"]) <= {"1", "2", "3", "4"}
    assert all(each in first.out for each in table["id"])
    for word in ("smallest y", "copper 0 to 5", "steps 1 to 4 (whole numbers)", "gp", "no model yet"):
        assert word in first.out
    twin = BayesianLoop(
        [[0, 1], [5, 4]], model="gp", integers=[1], num_initial=4, feature_names=["copper", "steps"]
    )
    twin.ask(4)
    for _ in range(2):
        filled = fill_in(sheet)
        assert twin.pending.tolist() == filled[["copper", "steps"]].to_numpy().tolist()
        told = command("tell", path, sheet)
        assert (told.code, told.err) == (0, "")
        twin.tell(filled[["copper", "steps"]].to_numpy(), filled["y"].to_numpy())
        assert f"evaluations: {len(twin.history)} (0 failed)" in told.out
        assert f"evaluation {twin.best.evaluation}, at copper" in told.out
        asked = command("ask", path)
        assert asked.code == 0
        assert "expected y" in asked.out
        assert "proposed by the model" in asked.out
        twin.ask()
        assert len(pd.read_csv(sheet)) == 1
    assert max(map(len, (first.out + told.out + asked.out).splitlines())) <= 100


def test_asking_again_shows_the_pending_points(command: Command, begun: Path):
    sheet = begun.with_name("alloy-next.csv")
    before = sheet.read_text()
    again = command("ask", begun, "-q", "9")
    assert again.code == 0
    assert "--more" in again.out
    assert sheet.read_text() == before
    assert command("ask", begun, "-q", "2", "--more").code == 0
    assert sheet.read_text().startswith(before)
    assert len(pd.read_csv(sheet)) == 6


def test_rows_without_a_result_wait_and_failures_count(command: Command, begun: Path):
    sheet = begun.with_name("alloy-next.csv")
    fill_in(sheet, ["3.5", "", "Failed", "nan"])
    told = command("tell", begun, sheet)
    assert "3 new, 0 told before and skipped, 1 without a result" in told.out
    assert "evaluations: 3 (2 failed)" in told.out
    assert "proposals without a result: 1" in told.out
    loop = Campaign(begun).loop
    assert loop.history["status"].tolist() == ["ok", "failed", "failed"]
    assert set(loop.history["kind"]) == {"initial"}
    assert len(loop.pending) == 1


def test_telling_a_file_twice_counts_once(command: Command, begun: Path):
    sheet = begun.with_name("alloy-next.csv")
    table = fill_in(sheet)
    own = pd.DataFrame({"copper": [1.0, 1.0], "steps": [2, 2], "y": [3.0, 3.0]})
    pd.concat([table, own]).to_csv(sheet, index=False)
    assert "6 new" in command("tell", begun, sheet).out
    before = begun.read_bytes()
    again = command("tell", begun, sheet)
    assert (again.code, again.err) == (0, "")
    assert "0 new, 6 told before and skipped" in again.out
    assert begun.read_bytes() == before
    # A third measurement with the same numbers can be one more row, or be insisted on.
    pd.concat([table, own, own[:1]]).to_csv(sheet, index=False)
    assert "1 new, 6 told before" in command("tell", begun, sheet).out
    own[:1].to_csv(sheet, index=False)
    assert "0 new, 1 told" in command("tell", begun, sheet).out
    assert "1 new, 0 told" in command("tell", begun, sheet, "--repeats").out
    assert Campaign(begun).loop.history["kind"].tolist() == ["initial"] * 4 + ["user"] * 4


def test_inputs_that_a_spreadsheet_rounds_are_still_the_proposal(command: Command, begun: Path):
    sheet = begun.with_name("alloy-next.csv")
    proposed = Campaign(begun).loop.pending
    table = fill_in(sheet)
    table["copper"] = table["copper"].round(4)
    table.to_csv(sheet, index=False)
    assert "4 new" in command("tell", begun, sheet).out
    history = Campaign(begun).loop.history
    assert history[["copper", "steps"]].to_numpy().tolist() == proposed.tolist()
    assert "0 new, 4 told" in command("tell", begun, sheet).out


def test_a_table_of_old_experiments_gives_inputs_bounds_and_first_evaluations(
    command: Command, tmp_path: Path
):
    path, old = tmp_path / "old.db", tmp_path / "old.csv"
    old.write_text(
        "id,copper,heat,hold,strength,crack\n1,0.5,300,7,10,-1\n2,4,450,7,12,0.5\n3,2,350,7,failed,\n"
        "4,1,310,7,11,-2\n5,3,400,7,13,-1\n6,3.5,420,7,14,-3\n"
    )
    words = (
        *("ask", path, "--table", old, "--target", "strength", "--constraint", "crack", "--maximize"),
        *("--bounds", "heat=200:500", "--model", "gp", "--initial", "6"),
    )
    first = command(*words)
    assert (first.code, first.err) == (0, "")
    for word in ("copper 0.5 to 4", "heat 200 to 500", "hold held at 7", "largest strength", "crack up to 0"):
        assert word in first.out
    assert "expected strength" in first.out  # six evaluations are enough for a model
    loop = Campaign(path).loop
    assert loop.history["status"].tolist() == ["ok", "infeasible", "failed", "ok", "ok", "ok"]
    assert math.isnan(loop.history["constraint_0"][2])
    assert loop.best.y == 14.0
    sheet = tmp_path / "old-next.csv"
    assert list(pd.read_csv(sheet)) == ["id", "copper", "heat", "hold", "strength", "crack"]
    assert command(*words).code == 0  # the same words go on with the same campaign
    assert len(Campaign(path).loop.history) == 6
    fill_in(sheet, [15.0], "strength")
    filled = fill_in(sheet, [-1.0], "crack")
    renamed = filled.rename(columns={"strength": "mpa", "crack": "width"}).assign(note="fine")
    renamed.to_csv(tmp_path / "lab.csv", index=False)
    told = command("tell", path, tmp_path / "lab.csv", "--target", "mpa", "--constraint", "width")
    assert (told.code, told.err) == (0, "")
    assert "strength 15 in evaluation 7" in told.out


def test_a_campaign_of_the_python_interface_can_be_driven_too(command: Command, tmp_path: Path):
    path = tmp_path / "python.db"
    Campaign.create(path, BayesianLoop([[0.0], [1.0]], model="gp", num_constraints=1))
    assert command("ask", path).code == 0
    sheet = tmp_path / "python-next.csv"
    assert list(pd.read_csv(sheet)) == ["id", "x0", "y", "constraint_0"]
    fill_in(sheet, [2.0], "y")
    fill_in(sheet, [0.5], "constraint_0")
    assert "1 infeasible" in command("tell", path, sheet).out


def die(*_arguments: object, **_options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_between_storing_and_writing_loses_no_proposal(
    command: Command, killed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, sheet = tmp_path / "alloy.db", tmp_path / "alloy-next.csv"
    with monkeypatch.context() as patch:
        patch.setattr(experiment_table, "write_proposals", die)
        killed(command, "ask", path, *BEGIN, "-q", "3")
    stored = Campaign(path).loop.pending
    assert len(stored) == 3
    assert not sheet.exists()
    assert command("ask", path, *BEGIN, "-q", "3").code == 0  # the arrow key and return
    assert pd.read_csv(sheet)[["copper", "steps"]].to_numpy().tolist() == stored.tolist()


def test_a_kill_while_a_campaign_begins_leaves_none(
    command: Command, killed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "alloy.db"
    with monkeypatch.context() as patch:
        patch.setattr(campaign_file.ResultNames, "columns", property(die))
        killed(
            campaign_file.create_campaign,
            path,
            BayesianLoop([[0.0], [1.0]]),
            campaign_file.ResultNames(target="y"),
        )
    assert not path.exists()


def test_a_kill_after_a_tell_does_not_make_it_count_twice(
    command: Command, killed, begun: Path, monkeypatch: pytest.MonkeyPatch
):
    sheet = begun.with_name("alloy-next.csv")
    fill_in(sheet)
    with monkeypatch.context() as patch:
        patch.setattr(campaign_report, "print_state", die)
        killed(command, "tell", begun, sheet)
    assert "0 new, 4 told before" in command("tell", begun, sheet).out
    assert len(Campaign(begun).loop.history) == 4


def test_a_file_told_twice_at_once_counts_once(
    command: Command, begun: Path, monkeypatch: pytest.MonkeyPatch
):
    """The second one begins while the first has sorted its rows and not told them yet."""
    sheet = begun.with_name("alloy-next.csv")
    own = pd.DataFrame({"copper": [1.0], "steps": [2], "y": [3.0]})
    pd.concat([fill_in(sheet), own]).to_csv(sheet, index=False)
    tell_rows = new_results.tell_rows
    second = threading.Thread(target=tell.run, args=(begun, sheet))

    def tell_late(*arguments: object) -> None:
        if second.ident is None:
            second.start()
            time.sleep(0.3)
        tell_rows(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(new_results, "tell_rows", tell_late)
    assert command("tell", begun, sheet).code == 0
    second.join()
    assert len(Campaign(begun).loop.history) == 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "there is none (--bounds"),
        (["--bounds", "copper"], "NAME=LOW:HIGH"),
        (["--bounds", "copper=5"], "NAME=LOW:HIGH"),
        (["--bounds", "copper=5:0"], "NAME=LOW:HIGH"),
        (["--bounds", "copper=0:inf"], "NAME=LOW:HIGH"),
        (["--bounds", "copper=0:1", "--bounds", "copper=0:2"], "'copper' came again"),
        (["--bounds", "copper=1:1"], "lower < upper"),
        (["--bounds", "id=0:1"], "'id'"),
        (["--bounds", "copper=0:1", "--target", "copper"], "'copper'"),
        (["--bounds", "copper=0:1", "--constraint", "y"], "'y'"),
        (["--bounds", "copper=0:1", "--integer", "cooper"], "did you mean 'copper'"),
        (["--bounds", "copper=0:1.5", "--integer", "copper"], "whole"),
        (["--bounds", "copper=0:1", "--model", "forest"], "model"),
        (
            ["--bounds", "copper=0:1", "--model", "ensemble", "--acquisition", "knowledge_gradient"],
            "acquisition",
        ),
        (["--bounds", "copper=0:1", "--strength", "strong"], "--strength"),
        (["--bounds", "copper=0:1", "--strength", "-1"], "strength"),
        (["--bounds", "copper=0:1", "--penalty", "sn", "--strength", "0"], "over 0 for sn"),
        (["--bounds", "copper=0:2", "--integer", "copper", "-q", "4"], "points left"),
        (["--bounds", "copper=0:1", "--output", "nowhere/next.csv"], "--output"),
        (["--bounds", "copper=0:1", "--output", "alloy.db"], "--output"),
        (["--bounds", "copper=0:1", "--output", "notes.csv"], "--output"),
        (["--table", "nowhere.csv"], "nowhere.csv"),
        (["--table", "old.csv", "--target", "strength"], "'strength' missing"),
        (["--table", "old.csv", "--bounds", "cooper=0:1"], "did you mean 'copper'"),
        (["--table", "old.csv", "--bounds", "copper=0:1"], "row 3: expected 'copper' from 0 to 1; came 2"),
        (["--table", "old.csv", "--output", "old.csv"], "--output"),
        (["--table", "gaps.csv"], "row 3: expected a result"),
        (["--table", "notes.csv"], "row 2: expected a finite number for the input 'note'"),
        (["--table", "ragged.csv"], "row 2: expected 2 values"),
        (["--table", "empty.csv"], "at least 1 rows"),
    ],
)
def test_what_cannot_begin_is_refused(
    refused: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
):
    monkeypatch.chdir(tmp_path)
    Path("old.csv").write_text("copper,y\n1,2\n2,3\n")
    Path("gaps.csv").write_text("copper,y\n1,2\n2,\n")
    Path("notes.csv").write_text("note,y\nhello,2\n")
    Path("ragged.csv").write_text("copper,y\n1,2,3\n")
    Path("empty.csv").write_text("copper,y\n")
    assert expected in refused("ask", "alloy.db", *options).err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model", "ensemble"], "--model: expected none, or what the campaign was begun with, gp"),
        (["--bounds", "copper=0:6"], "copper=0:5; came copper=0:6"),
        (["--bounds", "tin=0:6"], "'tin'"),
        (["--integer", "copper"], "--integer"),
        (["--maximize"], "--maximize"),
        (["--initial", "5"], "--initial"),
        (["--seed", "1"], "--seed"),
        (["--target", "z"], "--target"),
        (["--constraint", "z"], "--constraint"),
        (["--strength", "0.1"], "--strength"),
        (["--table", "alloy-next.csv"], "--output"),
    ],
)
def test_settings_stay(
    refused: Command, begun: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
):
    monkeypatch.chdir(begun.parent)
    assert expected in refused("ask", "alloy.db", *options).err


def test_a_table_is_told_not_asked_later(refused: Command, command: Command, begun: Path, tmp_path: Path):
    other = tmp_path / "other.csv"
    other.write_text("copper,steps,y\n1,2,3\n")
    assert "tell adds experiments" in refused("ask", begun, "--table", other).err
    assert "1 new" in command("tell", begun, other).out
    assert command("ask", begun, "--table", other).code == 0


def test_results_that_were_not_told_are_not_written_over(refused: Command, command: Command, begun: Path):
    sheet = begun.with_name("alloy-next.csv")
    fill_in(sheet, [1.0, None, None, None])
    assert "some were not" in refused("ask", begun).err
    assert command("tell", begun, sheet).code == 0
    assert command("ask", begun).code == 0
    assert len(pd.read_csv(sheet)) == 3


def test_answers_without_ids_and_with_rounded_inputs_are_the_proposals(
    refused: Command, command: Command, begun: Path
):
    sheet = begun.with_name("alloy-next.csv")
    asked = sheet.read_text()
    answers = fill_in(sheet).round({"copper": 4}).drop(columns="id")
    answers.to_csv(begun.with_name("lab.csv"), index=False)
    assert "4 new" in command("tell", begun, begun.with_name("lab.csv")).out
    filled = sheet.read_text()
    sheet.write_text(asked)
    assert command("ask", begun, "-q", "2").code == 0  # over the table that was never filled in
    assert len(pd.read_csv(sheet)) == 2
    table = pd.read_csv(io.StringIO(filled))
    table["y"] = answers["y"]
    table.to_csv(sheet, index=False)
    assert "0 new, 4 told" in command("tell", begun, sheet).out
    fill_in(sheet, [9.0, *table["y"][1:]])
    assert "row 2: expected the result of" in refused("tell", begun, sheet).err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("p12345678,1,2,3", "row 2: expected an id of this campaign"),
        ("p12345678,1,2,much", "row 2: expected a number or the word failed for 'y'; came 'much'"),
        (",1,2,3", "row 2 has no id"),
    ],
)
def test_a_table_that_is_kept_is_kept_for_a_reason(refused: Command, begun: Path, line: str, reason: str):
    other = begun.with_name("other.csv")
    other.write_text(rows(line))
    assert reason in refused("ask", begun, "--output", other).err
    other.write_text(rows(header="id;copper;steps;y"))
    assert "has other columns" in refused("ask", begun, "--output", other).err


def test_names_with_brackets_are_printed_as_they_are(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = Path("[red]alloy.db")
    asked = command("ask", path, "--bounds", "t [/C]=0:1", "--target", "[mm]", "--model", "gp")
    assert (asked.code, asked.err) == (0, "")
    for word in ("New campaign [red]alloy.db", "smallest [mm]", "t [/C] 0 to 1", "fill in [mm]"):
        assert word in asked.out
    assert "t [/C]" in asked.out.partition("no model yet")[0].partition("seed 0")[2]  # in the table
    sheet = Path("[red]alloy-next.csv")
    fill_in(sheet, [2.0], "[mm]")
    told = command("tell", path, sheet)
    assert (told.code, told.err) == (0, "")
    assert "best so far: [mm] 2 in evaluation 1, at t [/C]" in told.out


def test_a_campaign_that_began_meanwhile_is_not_written_over(tmp_path: Path):
    path = tmp_path / "alloy.db"
    first = BayesianLoop([[0.0], [1.0]], model="gp", seed=7)
    names = campaign_file.ResultNames(target="y")
    campaign_file.create_campaign(path, first, names)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"expected a new file; .* is there already"):
        campaign_file.create_campaign(path, BayesianLoop([[0.0], [1.0]], model="gp"), names)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "id,copper,steps,y,note\n", "id,copper,steps,y\n,1,2,\n", "\0\xff"])
def test_other_files_are_not_written_over(refused: Command, begun: Path, text: str):
    other = begun.with_name("other.csv")
    other.write_text(text, encoding="latin-1")
    assert "--output: expected a new file" in refused("ask", begun, "--output", other).err


def rows(*cells: str, header: str = "id,copper,steps,y") -> str:
    return "\n".join([header, *cells]) + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rows(header="id,copper,y"), "'steps' missing"),
        (rows("p12345678,1,2,3"), "row 2: expected an id of this campaign"),
        (rows(",1,2,3", ",9,2,3"), "row 3: expected 'copper' from 0 to 5; came 9"),
        (rows(",1,2.5,3"), "row 2: expected a whole number for 'steps'"),
        (rows(",x,2,3"), "row 2: expected a finite number for the input 'copper'; came 'x'"),
        (rows(",1,2,much"), "row 2: expected a number or the word failed for 'y'; came 'much'"),
        (rows(",1,2,"), "row 2: expected a result"),
        (rows(",1,2"), "row 2: expected 4 values"),
        (rows("{first},{x},3"), "expected every id once"),
        (rows("{first},0,1,3"), "as proposed under"),
        (rows(header="id;copper;steps;y"), "missing"),
        (rows(header="id,copper,copper,y"), "a name of its own"),
        ("", "is empty"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_whole(
    refused: Command, begun: Path, tmp_path: Path, text: str, expected: str
):
    first = pd.read_csv(begun.with_name("alloy-next.csv"), dtype=str).iloc[0]
    x = f"{first['copper']},{first['steps']}"
    good = f"{first['id']},{x},1.5\n"
    if "{x}" in text:
        text = text.replace("{first},{x}", f"{first['id']},{x}") + good
    text = text.replace("{first}", first["id"])
    (tmp_path / "results.csv").write_text(text)
    outcome = refused("tell", begun, tmp_path / "results.csv")
    assert expected in outcome.err
    assert len(Campaign(begun).loop.history) == 0


def test_a_result_cannot_be_changed(refused: Command, command: Command, begun: Path):
    sheet = begun.with_name("alloy-next.csv")
    fill_in(sheet, [1.0, 2.0, "failed", 4.0])
    assert command("tell", begun, sheet).code == 0
    fill_in(sheet, [1.0, 2.5, "failed", 4.0])
    assert "row 3" in refused("tell", begun, sheet).err
    fill_in(sheet, [1.0, 2.0, 3.0, 4.0])
    assert "row 4" in refused("tell", begun, sheet).err


def test_campaigns_that_are_none_are_refused(refused: Command, tmp_path: Path):
    (tmp_path / "results.csv").write_text(rows(",1,2,3"))
    assert "no such file" in refused("tell", tmp_path / "no.db", tmp_path / "results.csv").err
    assert "results.csv" in refused("ask", tmp_path / "results.csv").err
    assert "folder" in refused("ask", tmp_path).err

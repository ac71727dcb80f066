"""The report on made-up studies: one page without links, and a terminal that says the same."""

import dataclasses
import html
import re
import tomllib
import warnings

import numpy as np
import pytest
from rich.console import Console
from synthetic_studies import Behaviour, synthetic_study, with_failures, without_runs

from surrogate_opt.errors import InputError
from surrogate_opt.study.bayesian.comparisons import gather
from surrogate_opt.study.bayesian.figures.matrix import draw_matrix
from surrogate_opt.study.bayesian.problems import TUNING_PROBLEMS
from surrogate_opt.study.bayesian.report import render, terminal_tables, write_report
from surrogate_opt.study.bayesian.spec import MODELS, make_bayesian_spec
from surrogate_opt.study.bayesian.summaries import MEASURES
from surrogate_opt.study.bayesian.verdict import verdict
from surrogate_opt.study.text_tables import MISSING

MINUS = "\N{MINUS SIGN}"
TRUTH = {
    "ensemble:none": Behaviour(regret=0.3, optimism=-0.5),
    "ensemble:dreg": Behaviour(),
    "gp": Behaviour(regret=0.1),
    "sobol": Behaviour(regret=1.0),
}


@pytest.fixture(scope="module")
def data():
    return synthetic_study(TRUTH, problems=("hartmann6", "ackley10", "branin"), instances=10, evaluations=20)


@pytest.fixture(scope="module")
def findings(data):
    return gather(data)


@pytest.fixture(scope="module")
def small():
    return synthetic_study(TRUTH, problems=("ackley10",), instances=3, evaluations=12)


@pytest.fixture(scope="module")
def page(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write_report(small, folder, lambda done, total: seen.append((done, total)))
    assert path == folder / "report.html"
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (5, 5)
    return path


def printed(renderables):
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for one in renderables:
        console.print(one)
    return console.export_text()


def test_the_page_holds_everything_itself(page):
    source = page.read_text()
    assert not re.search(r"https?://|<script|<link|@import|url\(", source)
    assert all(value.startswith("data:image/png;base64,") for value in re.findall(r'src="([^"]*)"', source))
    figures = page.parent / "figures"
    assert source.count("<img ") == len(list(figures.glob("*.png"))) == len(list(figures.glob("*.svg"))) == 5
    assert not list(page.parent.glob("**/.*"))


def test_the_same_data_give_the_same_bytes(small, page, tmp_path):
    again = write_report(small, tmp_path, findings=gather(small))
    for one in [page, *sorted((page.parent / "figures").iterdir())]:
        assert (again.parent / one.relative_to(page.parent)).read_bytes() == one.read_bytes(), one.name


def test_the_page_says_the_verdict_first(data, findings):
    source = html.unescape(render(data, findings, {}))
    said = verdict(data, findings)
    assert len(said) == 7
    places = [source.index(sentence) for sentence in said]
    assert places == sorted(places)
    assert places[-1] < source.index("<h2>")


def test_the_pages_numbers_are_those_of_the_runs(data, findings):
    said = re.findall(r"<(?:td|th|small)[^>]*>([^<]*)", render(data, findings, {}))
    runs = findings.runs
    for names in (["hartmann6", "ackley10"], ["branin"], ["ackley10"]):
        finals = runs.loc[runs["problem"].isin(names) & runs["model"].eq("gp"), "final_regret"]
        low, median, high = np.quantile(finals, [0.25, 0.5, 0.75])
        assert f"{median:.3f} [{low:.3f}, {high:.3f}]" in said
        optimism = runs.loc[
            runs["problem"].isin(names) & runs["model"].eq("ensemble:none"), "optimism_median"
        ]
        assert f"{optimism.mean():.3f}".replace("-", MINUS) in said
    for table in findings.pooled["reported"].values():
        for row in table:
            assert f"{round(row.difference, 3) + 0.0:+.3f}".replace("-", MINUS) in said


def test_the_terminal_says_the_same_in_110_columns(data, findings):
    text = printed(terminal_tables(data))
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 110
    said = re.findall(r"<(?:td|th|small)[^>]*>([^<]*)", render(data, findings, {}))
    numbers = set(re.findall(rf"[+{MINUS}]?\d+\.\d+", " ".join(said)))
    of_the_terminal = re.findall(rf"[+{MINUS}]?\d+\.\d+", text)
    assert len(of_the_terminal) > 80
    assert set(of_the_terminal) <= numbers
    assert " ".join(verdict(data, findings)) in " ".join(text.split())


def test_all_models_fit_the_terminal():
    """The longest names, the widest numbers, failures in every row."""
    models = {name: Behaviour() for name in MODELS}
    wide = synthetic_study(
        models, problems=("styblinski_tang10", "rosenbrock10"), instances=10, evaluations=12
    )
    for model in MODELS:
        wide = with_failures(wide, model, ["styblinski_tang10"], [200])
    found = gather(wide)
    runs = found.runs.copy()
    runs[MEASURES] = runs[MEASURES].where(runs[MEASURES].isna(), -12.3456)
    shares = ["phantom_share", "coverage50", "coverage95"]
    runs[shares] = runs[shares].where(runs[shares].isna(), 1.0)
    text = printed(terminal_tables(wide, findings=dataclasses.replace(found, runs=runs)))
    assert "…" not in text
    assert f"{MINUS}12.3 [{MINUS}12.3, {MINUS}12.3]" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 110


def test_the_terminal_marks_who_is_ahead(data, findings):
    lines = printed(terminal_tables(data, findings=findings)).splitlines()
    row = next(line for line in lines if line.startswith("ackley10"))
    none, dreg, gp, sobol = row.split()[1:]
    assert [none[-1], dreg[-1], sobol[-1]] == ["▼", "▲", "▼"]
    assert gp[-1].isdigit()


def test_failures_are_on_the_page(data, findings):
    spoilt = with_failures(data, "ensemble:dreg", ["branin"], [204, 205])
    found = gather(spoilt)
    source = render(spoilt, found, {})
    assert source.count("TrainingError: diverged") == 2
    assert "<th>branin 204</th>" in source
    assert '<td class="">8/10</td>' in source
    assert "8/10" in printed(terminal_tables(spoilt, findings=found))
    assert "Runs that failed" not in render(data, findings, {})


def test_an_incomplete_study_says_so(data, findings):
    assert "120 of 120 runs, " in render(data, findings, {})
    spec = data.spec.model_copy(update={"instances": 11})
    longer = dataclasses.replace(data, spec=spec)
    assert "120 of 132 runs (not complete" in render(longer, findings, {})


def test_a_study_whose_gp_is_still_to_be_computed_is_shown(data):
    begun = without_runs(data, "gp", ["hartmann6", "ackley10", "branin"], range(200, 210))
    begun = without_runs(begun, "sobol", ["branin"], range(200, 210))
    found = gather(begun)
    assert "80 of 120 runs (not complete" in render(begun, found, {})
    text = printed(terminal_tables(begun, findings=found))
    assert "ensemble:dreg / gp" in text
    row = next(line for line in text.splitlines() if line.startswith("branin"))
    assert row.split()[-2:] == [MISSING, MISSING]
    assert draw_matrix(begun, found) is not None


def test_text_from_outside_is_escaped(small):
    message = "<b>bold</b>"
    spoilt = with_failures(small, "gp", ["ackley10"], [200])
    spoilt.failures["message"] = message
    source = render(spoilt, gather(spoilt), {})
    assert message not in source
    assert html.escape(message) in source


def test_the_page_repeats_the_study(data, findings, tmp_path):
    source = html.unescape(render(data, findings, {}))
    command, toml = re.findall(r"<pre>(.*?)</pre>", source, flags=re.DOTALL)
    assert command == "surrogate-opt run --loops bo --spec study.toml"
    assert tomllib.loads(toml)["evaluations"] == 20
    path = tmp_path / "study.toml"
    path.write_text(toml)
    assert make_bayesian_spec("full", path) == data.spec


def test_one_model_alone_can_be_reported(tmp_path):
    alone = synthetic_study({"sobol": Behaviour()}, problems=("hartmann6",), instances=1, evaluations=12)
    source = write_report(alone, tmp_path).read_text()
    assert "Paired statistics" not in source
    assert "There is nothing to compare with Sobol search." in source
    text = printed(terminal_tables(alone))
    assert "with gp" not in text
    assert "hartmann6" in text


def test_a_folder_that_cannot_be_made_is_one_line(data, findings, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match=r"^output: cannot write .*taken"):
        write_report(data, tmp_path / "taken", findings=findings)


def test_the_page_names_all_problems_that_defaults_were_tuned_on(data, findings):
    tuned_on = f"Defaults were tuned on instances 0 to 9 of {', '.join(TUNING_PROBLEMS)}, "
    assert f"{tuned_on}of which branin is shown here; " in render(data, findings, {})
    other = synthetic_study(TRUTH, problems=("ackley10",), instances=2, evaluations=12)
    other.problems["half"] = "reported"
    assert f"{tuned_on}none of which is shown here; " in render(other, gather(other), {})

"""The report on made-up studies: one page, and a terminal that says the same."""

import html
import io
import tomllib

import pytest
from rich.console import Console
from synthetic_control_studies import Behaviour, synthetic_control_study

from surrogate_opt.study.control.comparisons import gather
from surrogate_opt.study.control.figures.costs import draw_costs
from surrogate_opt.study.control.figures.planners import draw_planners
from surrogate_opt.study.control.report import render, terminal_tables
from surrogate_opt.study.control.spec import make_control_spec
from surrogate_opt.study.control.verdict import verdict

TRUTH = {"none": Behaviour(cost_ratio=1.2), "dreg": Behaviour(), "igp": Behaviour(kind="collapsed")}


@pytest.fixture(scope="module")
def data():
    return synthetic_control_study(TRUTH, instances=10)


@pytest.fixture(scope="module")
def findings(data):
    return gather(data)


def test_page_says_what_the_terminal_says(data, findings):
    page = html.unescape(render(data, findings, {}))
    console = Console(width=110, record=True, file=io.StringIO())
    for renderable in terminal_tables(data, findings=findings):
        console.print(renderable)
    shown = console.export_text()
    assert max(len(line) for line in shown.splitlines()) <= 110
    for sentence in verdict(data, findings):
        assert sentence in page
        assert sentence.split(". ")[0] in " ".join(shown.split())
    assert "40 of 40 cells" in page


def test_the_page_ends_with_a_spec_that_repeats_it(data, findings, tmp_path):
    page = html.unescape(render(data, findings, {}))
    text = page.split("with these lines as study.toml:</p>\n<pre>")[1].split("</pre>")[0]
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    assert tomllib.loads(text)["name"] == "synthetic"
    assert make_control_spec("default", path) == data.spec


def test_pictures_are_left_out_where_they_would_show_nothing(data, findings):
    assert draw_costs(data.spec, findings) is not None
    assert draw_planners(data.spec, findings) is not None
    alone = synthetic_control_study(TRUTH, instances=1, controllers=("ilqr",))
    assert draw_planners(alone.spec, gather(alone)) is None

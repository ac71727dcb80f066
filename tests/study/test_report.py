"""The report: one page without links, its numbers the tables', its words those of the statistics."""

import dataclasses
import math
import re
import shlex
import tomllib
import warnings

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from study_specs import stored_study, tiny_spec

from surrogate_opt.errors import InputError
from surrogate_opt.study import claims
from surrogate_opt.study.report import render, terminal_tables, write_report
from surrogate_opt.study.reproduce import command
from surrogate_opt.study.spec import BUDGETS, make_spec
from surrogate_opt.study.statistics import ERROR_MARGIN, REGRET_MARGIN, Pairing, compare_table
from surrogate_opt.study.tables import (
    comparisons,
    family_comparisons,
    summarize,
    summary_figures,
)
from surrogate_opt.study.text_tables import (
    MISSING,
    both_settings_table,
    number,
    paired_table,
    probability,
    summary_table,
)

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return stored_study(tiny_spec(methods=("none", "dreg", "sn")), tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def many(data):
    """Twelve made-up instances a family: the real rows, with figures that say who is ahead."""
    generator = np.random.default_rng(0)
    rows, truths = [], []
    for place in range(12):
        moved = data.surrogates.copy()
        moved["instance"] = 500 + place
        base = moved["method"].map({"none": 1.0, "dreg": 0.6, "sn": 1.0})
        moved["adam.regret_selected"] = base + 0.05 * place + 1e-3 * generator.random(len(moved))
        moved["degeneracy.kind"] = "sound"
        rows.append(moved)
        truth = data.truths.copy()
        truth["instance"] = 500 + place
        truths.append(truth)
    return dataclasses.replace(
        data, surrogates=pd.concat(rows, ignore_index=True), truths=pd.concat(truths), arrays={}
    )


@pytest.fixture(scope="module")
def page(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write_report(
            data, claims.gather(data), folder, progress=lambda done, total: seen.append((done, total))
        )
    assert path == folder / "report.html"
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    return path


def texts(page):
    """What the page says in its cells."""
    found = re.findall(r"<(?:td|th|small)[^>]*>([^<]*)", page.read_text())
    return [text.replace("&lt;", "<").replace("&#39;", "'") for text in found]


def test_the_page_holds_everything_itself(page):
    source = page.read_text()
    assert not re.search(r"https?://|<script|<link|@import|url\(", source)
    assert all(value.startswith("data:image/png;base64,") for value in re.findall(r'src="([^"]*)"', source))
    assert source.count("<img ") == len(list((page.parent / "figures").glob("*.png"))) > 0
    assert not list(page.parent.glob("**/.*"))


def test_the_same_data_give_the_same_bytes(data, page, tmp_path):
    again = write_report(data, claims.gather(data), tmp_path)
    for one in [page, *sorted((page.parent / "figures").iterdir())]:
        assert (again.parent / one.relative_to(page.parent)).read_bytes() == one.read_bytes(), one.name


def test_the_pages_numbers_are_the_tables(data, page):
    said = texts(page)
    for setting in claims.SETTINGS:
        summary = summarize(data, setting)
        for figure in summary_figures(data.spec):
            for value in summary[figure.column]:
                assert f"{value:.{figure.digits}f}".replace("-", MINUS) in said, (setting, figure.column)
        for row in claims.gather(data).paired[setting]["adam.regret_selected"]:
            assert f"{round(row.difference, 3) + 0.0:+.3f}".replace("-", MINUS) in said


def test_the_terminal_says_the_same_in_110_columns(data, page):
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for one in terminal_tables(data, claims.gather(data)):
        console.print(one)
    printed = console.export_text()
    assert "…" not in printed
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 110
    said = set(texts(page))
    figures = [word for word in printed.split() if re.fullmatch(rf"[+{MINUS}]?\d+\.\d+", word)]
    assert len(figures) > 60
    assert set(figures) <= said
    assert "too few instances to say" in printed


def test_default_study_fits_the_terminal(data):
    """The longest names and every method at its widest."""
    spec = make_spec()
    rows = data.surrogates[data.surrogates["method"] == "none"]
    wide = pd.concat([rows.assign(method=name) for name in spec.methods], ignore_index=True)
    numbers = [column for column in wide.columns if wide[column].dtype == float]
    wide[numbers] = -1.23456
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    widest = dataclasses.replace(data, spec=spec, surrogates=wide)
    console.print(terminal_tables(widest, claims.gather(data))[0])
    assert "…" not in console.export_text()


@pytest.mark.parametrize(
    ("value", "digits", "signed", "expected"),
    [
        (1.23456, 3, False, "1.235"),
        (-1.5, 1, True, f"{MINUS}1.5"),
        (1.5, 1, True, "+1.5"),
        (-0.0001, 2, False, "0.00"),
        (math.nan, 2, False, MISSING),
        (math.inf, 2, True, "+∞"),
        (-math.inf, 2, False, f"{MINUS}∞"),
    ],
)
def test_numbers(value, digits, signed, expected):
    assert number(value, digits, signed=signed) == expected


def test_probabilities():
    assert [probability(p) for p in (0.0004, 0.001, 1.0, math.nan)] == ["<0.001", "0.001", "1.000", MISSING]


def made_up(**methods):
    """Comparisons with none of methods whose difference to it is given, ten instances or as many as said."""
    generator = np.random.default_rng(0)
    none = 1.0 + 0.1 * generator.random(30)
    rows = []
    for method, (difference, spread, n) in methods.items():
        values = none[:n] + difference + spread * generator.standard_normal(n)
        rows.append(
            Pairing(values=values, rival_values=none[:n], margin=REGRET_MARGIN, method=method, rival="none")
        )
    return compare_table(rows)


STANDINGS = [
    (made_up(dreg=(-0.3, 0.01, 12)), frozenset(), "On regret, ahead of none: dreg (n = 12 instances)."),
    (
        made_up(dreg=(0.3, 0.01, 12), igp=(0.0, 0.01, 12), sn=(0.0, 2.0, 12)),
        frozenset(),
        "On regret, no method is ahead of none; level with none: igp; behind none: dreg; "
        "undecided against none: sn (n = 12 instances).",
    ),
    (
        made_up(dreg=(-0.3, 0.01, 9)),
        frozenset(),
        "On regret, too few instances to say: dreg (n = 9 instances).",
    ),
    (
        made_up(dreg=(-0.3, 0.01, 12), sn=(0.3, 0.01, 12)),
        frozenset({"dreg", "sn"}),
        "On regret, no method is ahead of none; behind none: sn; not ranked, since most of their surrogates "
        "are degenerate: dreg (n = 12 instances).",
    ),
    ([], frozenset(), "On regret there is nothing to compare with none."),
]


@pytest.mark.parametrize(("table", "degenerate", "expected"), STANDINGS)
def test_standings_follow_the_statistics(table, degenerate, expected):
    assert claims.standing(table, degenerate, "regret") == expected


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["borne out", "borne out"], "borne out"),
        (["borne out", "not borne out"], "borne out in part"),
        (["borne out", "undecided"], "borne out in part"),
        (["not borne out", "undecided"], "not borne out"),
        (["undecided", "undecided"], "undecided"),
        (["borne out", "too few to say"], "too few to say"),
    ],
)
def test_a_claim_needs_all_its_figures(statuses, expected):
    assert claims.together(statuses) == expected


@pytest.mark.parametrize(
    ("tails", "error", "signals", "degenerate", "expected"),
    [
        (-0.3, 0.0, -0.3, False, ["borne out", "borne out", "borne out"]),
        (0.0, 0.3, 0.3, False, ["not borne out", "not borne out", "not borne out"]),
        (-0.3, 0.0, -0.3, True, ["void", "void", "void"]),
    ],
)
def test_claims_follow_the_statistics(tails, error, signals, degenerate, expected):
    spec = tiny_spec()
    shifts = {"sensitivity.tail_ratio": tails, "test_error": error}
    paired = {
        figure.column: made_up(dreg=(shifts.get(figure.column, signals), 0.01, 12))
        for figure in claims.paired_figures(spec)
    }
    hollow = frozenset({"dreg"} if degenerate else ())
    evidence = claims.Evidence(
        paired={"chosen": paired, "paper": paired},
        by_family={"chosen": {}, "paper": {}},
        degenerate={"chosen": hollow, "paper": hollow},
        family_degenerate={"chosen": {}, "paper": {}},
    )
    found = claims.dreg_claims(spec, evidence, "chosen")
    assert [claim.status for claim in found] == expected
    figure = claims.paired_figures(spec)[0]
    verdicts = [row[-1].text for row in paired_table(paired[figure.column], figure, hollow, "").rows]
    assert verdicts == [
        "degenerate" if degenerate else ("ahead" if signals < 0 else "behind" if signals > 0 else "level")
    ]


def test_a_study_with_enough_instances_gets_its_verdict_on_the_page(many):
    evidence = claims.gather(many)
    source = render(many, evidence, {})
    assert "ahead of none: dreg" in source
    assert "level with none: sn" in source
    assert "(n = 24 instances)" in source
    rows = evidence.paired["chosen"]["adam.regret_selected"]
    assert [(row.method, row.rival, row.verdict) for row in rows] == [
        ("dreg", "none", "ahead"),
        ("sn", "none", "level"),
        ("dreg", "sn", "ahead"),
    ]


def test_families_are_corrected_on_their_own(many):
    tables = family_comparisons(many, "chosen", "adam.regret_selected", REGRET_MARGIN)
    assert list(tables) == ["smooth", "piecewise"]
    for name, table in tables.items():
        alone = dataclasses.replace(many, surrogates=many.surrogates[many.surrogates["family"] == name])
        assert (
            table
            == comparisons(alone, "chosen", {"adam.regret_selected": REGRET_MARGIN})["adam.regret_selected"]
        )
        assert {row.num_instances for row in table} == {12}


def test_missing_values_are_counted_not_dropped(many):
    rows = many.surrogates.copy()
    lost = rows["method"].eq("dreg") & rows["instance"].lt(503)
    rows.loc[lost, "field.gradient_error"] = math.nan
    (table,) = comparisons(
        dataclasses.replace(many, surrogates=rows), "chosen", {"field.gradient_error": ERROR_MARGIN}
    ).values()
    assert [(row.num_instances, row.missing) for row in table if row.rival == "none"] == [(18, 6), (24, 0)]


def test_degenerate_methods_are_grey_and_last(many):
    rows = many.surrogates.copy()
    rows.loc[rows["method"] == "dreg", "degeneracy.kind"] = "linearized"
    spoilt = dataclasses.replace(many, surrogates=rows)
    last = summary_table(spoilt, "chosen").rows[-1]
    assert last[0].text == "dreg"
    assert all(cell.muted for cell in last)
    assert last[-1].text == "100%"
    both = both_settings_table(spoilt).rows[-1]
    assert both[1].muted
    assert both[1].beside_muted
    assert "not ranked, since most of their surrogates are degenerate: dreg" in render(
        spoilt, claims.gather(spoilt), {}
    )


def test_test_error_is_what_r2_leaves(data):
    np.testing.assert_allclose(data.surrogates["test_error"], 1 - data.surrogates["degeneracy.r2"])


def test_one_method_alone_can_be_reported(tmp_path):
    alone = stored_study(tiny_spec(methods=("none",), families=("smooth",)), tmp_path)
    source = write_report(alone, claims.gather(alone), tmp_path).read_text()
    assert "nothing to compare" in source
    assert "Paired statistics" not in source
    assert terminal_tables(alone, claims.gather(alone))


def test_a_folder_that_cannot_be_made_is_one_line(data, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match=r"^output: cannot write .*taken"):
        write_report(data, claims.gather(data), tmp_path / "taken")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (make_spec(), "surrogate-opt run --budget default"),
        (make_spec("paper"), "surrogate-opt run --budget paper"),
        (
            make_spec(methods=("none", "dreg+igp"), instances=20, name="kinks"),
            "surrogate-opt run --budget default --methods none,dreg+igp --instances 20 --name kinks",
        ),
        (make_spec(noise_std=0.2), "surrogate-opt run --budget default --spec study.toml"),
    ],
)
def test_the_command_repeats_the_study(spec, expected, tmp_path):
    words, toml = command(spec)
    assert words == expected
    options = dict(zip(*[iter(shlex.split(words)[2:])] * 2, strict=True))
    values = {name.removeprefix("--"): value for name, value in options.items()}
    path = tmp_path / "study.toml"
    path.write_text(toml)
    assert ("spec" in values) == bool(tomllib.loads(toml))
    changes = {name: values[name].split(",") for name in ("families", "methods") if name in values}
    changes |= {name: values[name] for name in ("name", "device") if name in values}
    changes |= {name: int(values[name]) for name in ("instances", "seed") if name in values}
    assert values["budget"] in BUDGETS
    assert make_spec(values["budget"], path, **changes) == spec

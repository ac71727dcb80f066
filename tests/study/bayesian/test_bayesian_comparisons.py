"""Figures of runs, comparisons and verdicts of studies whose truth is known."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from synthetic_studies import Behaviour, synthetic_study, with_failures, without_runs

from surrogate_opt.study.bayesian.comparisons import FIGURES, against, gather, pairs
from surrogate_opt.study.bayesian.spec import MODELS
from surrogate_opt.study.bayesian.summaries import problem_names, run_figures, summarize
from surrogate_opt.study.bayesian.verdict import verdict
from surrogate_opt.study.paired_tests import holm
from surrogate_opt.study.statistics import REGRET_MARGIN, compare

TRUTH = {
    "ensemble:none": Behaviour(regret=0.3, optimism=0.5, phantoms=0.7),
    "ensemble:dreg": Behaviour(regret=0.0, optimism=0.2, phantoms=0.3),
    "ensemble:sn": Behaviour(regret=0.3, optimism=0.5, phantoms=0.7, spread=0.001),
    "gp": Behaviour(regret=0.0, optimism=0.1, phantoms=0.3),
    "sobol": Behaviour(regret=1.0),
}


@pytest.fixture(scope="module")
def data():
    return synthetic_study(TRUTH)


@pytest.fixture(scope="module")
def findings(data):
    return gather(data)


def rows_of(data, problem, instance, model):
    part = data.proposals
    return part[(part["problem"] == problem) & (part["instance"] == instance) & (part["model"] == model)]


def test_figures_of_a_run_are_those_of_its_proposals(data):
    runs = run_figures(data).set_index(["problem", "instance", "model"])
    assert len(runs) == 3 * 12 * 5
    for model in TRUTH:
        run = runs.loc[("ackley10", 205, model)]
        rows = rows_of(data, "ackley10", 205, model).to_dict("records")
        proposals = [row for row in rows if not row["initial"]]
        assert len(proposals) == 30
        assert run["final_regret"] == rows[-1]["regret"]
        assert run["mean_regret"] == pytest.approx(sum(row["regret"] for row in proposals) / 30)
        if model == "sobol":
            assert math.isnan(run["optimism_size"])
            assert math.isnan(run["phantom_share"])
            continue
        optimism = sorted(row["truth"] - row["predicted"] for row in proposals)
        assert run["optimism_median"] == pytest.approx((optimism[14] + optimism[15]) / 2)
        assert run["optimism_size"] == pytest.approx(sum(map(abs, optimism)) / 30)
        promised = [row for row in proposals if row["promised"]]
        assert run["phantom_share"] == pytest.approx(sum(row["phantom"] for row in promised) / len(promised))
        assert run["coverage95"] == pytest.approx(sum(row["in95"] for row in proposals) / 30)
        assert run["seconds_step"] == pytest.approx(0.15)
        assert run["fallback_share"] == 0


def test_mean_regret_is_the_area_under_the_curve():
    """Of a curve that falls from 3 to 1 in even ratios it is a geometric sum."""
    data = synthetic_study({"gp": Behaviour(spread=0.0)}, problems=("branin",), instances=1)
    run = run_figures(data).iloc[0]
    start, final = data.proposals["regret"].iloc[0], run["final_regret"]
    ratio = (final / start) ** (1 / 30)
    assert run["mean_regret"] == pytest.approx(start * ratio * (1 - ratio**30) / (1 - ratio) / 30)


def test_a_run_that_promises_nothing_has_no_phantom_share():
    data = synthetic_study({"gp": Behaviour(phantoms=1.0)}, instances=2)
    assert (run_figures(data)["phantom_share"] == 1).all()
    silent = data.proposals.assign(promised=False, phantom=False)
    assert run_figures(dataclasses.replace(data, proposals=silent))["phantom_share"].isna().all()


def test_fallbacks_do_not_count_as_predictions(data):
    proposals = data.proposals.copy()
    lost = (proposals["model"] == "gp") & (proposals["evaluation"] == 40)
    proposals.loc[lost, "fallback"] = True
    proposals.loc[lost, ["predicted", "predicted_std", "optimism", "in50", "in95"]] = math.nan
    proposals.loc[lost, ["promised", "phantom"]] = False
    runs = run_figures(dataclasses.replace(data, proposals=proposals))
    gp = runs[runs["model"] == "gp"].set_index(["problem", "instance"])
    assert gp["fallback_share"].to_numpy() == pytest.approx(1 / 30)
    rows = rows_of(data, "branin", 200, "gp")
    kept = rows[~rows["initial"] & rows["evaluation"].lt(40)]
    assert gp.loc[("branin", 200), "optimism_size"] == pytest.approx(kept["optimism"].abs().mean())
    assert gp.loc[("branin", 200), "coverage50"] == pytest.approx(kept["in50"].mean())


def test_summaries_are_means_and_quartiles_over_runs(data, findings):
    table = summarize(findings.runs, ["half", "model"]).set_index(["half", "model"])
    finals = [
        rows_of(data, problem, 200 + place, "gp")["regret"].iloc[-1]
        for problem in ("hartmann6", "ackley10")
        for place in range(12)
    ]
    row = table.loc[("reported", "gp")]
    assert row["final_regret"] == pytest.approx(np.mean(finals))
    assert list(row[["regret_lower", "regret_median", "regret_upper"]]) == pytest.approx(
        list(np.quantile(finals, [0.25, 0.5, 0.75]))
    )
    assert (row["finished"], row["failed"]) == (24, 0)


def test_reported_problems_come_first(data):
    assert problem_names(data) == ["hartmann6", "ackley10", "branin"]
    assert problem_names(
        synthetic_study({"gp": Behaviour()}, problems=("branin", "sparse"), instances=1)
    ) == [
        "sparse",
        "branin",
    ]


def test_who_is_compared_with_whom():
    wanted = pairs(MODELS)
    assert sum(rival == "sobol" for _, rival in wanted) == 8
    assert {model for model, rival in wanted if rival == "gp"} == set(MODELS) - {"gp", "sobol"}
    assert {model for model, rival in wanted if rival == "ensemble:none"} == {
        "ensemble:dreg",
        "ensemble:igp",
        "ensemble:sn",
        "ensemble:dreg+igp",
    }
    # Ten instances can decide a table of at most 25 rows.
    assert len(wanted) == len(set(wanted)) == 19
    assert pairs(("ensemble:dreg", "last_layer")) == []


def test_a_known_advantage_is_found(findings):
    for half, n in (("reported", 24), ("tuning", 12)):
        table = findings.pooled[half]["final_regret"]
        found = against(table, "ensemble:none")["ensemble:dreg"]
        # The mean of n differences, each with a spread of sqrt(2) 0.01.
        assert found.difference == pytest.approx(-0.3, abs=4 * math.sqrt(2 / n) * 0.01)
        assert (found.verdict, found.num_instances) == ("ahead", n)
        assert against(table, "ensemble:none")["ensemble:sn"].verdict == "level"
        assert against(table, "gp")["ensemble:dreg"].verdict == "level"
        assert against(table, "gp")["ensemble:none"].verdict == "behind"
        assert {row.verdict for row in against(table, "sobol").values()} == {"ahead"}
        optimism = findings.pooled[half]["optimism_size"]
        assert against(optimism, "ensemble:none")["ensemble:dreg"].verdict == "ahead"
        assert against(optimism, "gp")["ensemble:dreg"].verdict == "behind"
    phantoms = findings.pooled["reported"]["phantom_share"]
    found = against(phantoms, "ensemble:none")["ensemble:dreg"]
    assert found.verdict == "ahead"
    # Shares of 15 promises in each of 24 instances.
    assert found.difference == pytest.approx(-0.4, abs=4 * math.sqrt(2 * 0.7 * 0.3 / 15 / 24))


def test_promising_too_little_is_no_merit():
    timid = {"ensemble:none": Behaviour(optimism=0.1), "ensemble:dreg": Behaviour(optimism=-0.4)}
    table = gather(synthetic_study(timid)).pooled["reported"]["optimism_size"]
    assert against(table, "ensemble:none")["ensemble:dreg"].verdict == "behind"


@pytest.mark.parametrize(("instances", "expected"), [(9, "too few to say"), (10, "ahead")])
def test_nine_instances_are_too_few(instances, expected):
    data = synthetic_study(TRUTH, problems=("branin",), instances=instances)
    found = gather(data)
    assert against(found.by_problem["branin"], "sobol")["gp"].verdict == expected
    assert against(found.pooled["tuning"]["final_regret"], "sobol")["gp"].num_instances == instances
    assert found.pooled["reported"] == {figure.column: [] for figure in FIGURES}


def test_ten_instances_decide_a_problem_with_all_models():
    models = {name: Behaviour(regret=1.0 if name == "sobol" else 0.0) for name in MODELS}
    table = gather(synthetic_study(models, problems=("hartmann6",), instances=10)).by_problem["hartmann6"]
    assert {row.verdict for row in against(table, "sobol").values()} == {"ahead"}


def test_sobol_is_compared_only_on_what_needs_no_model(findings):
    for column, table in findings.pooled["reported"].items():
        assert bool(against(table, "sobol")) == (column in ("final_regret", "mean_regret"))


def test_a_half_is_corrected_over_all_its_figures(findings):
    for half in ("reported", "tuning"):
        rows = [row for table in findings.pooled[half].values() for row in table]
        assert len(rows) == 2 * 9 + 3 * 5
        expected = holm(np.array([row.p_wilcoxon for row in rows]))
        assert [row.p_corrected for row in rows] == list(expected)
    for table in findings.by_problem.values():
        expected = holm(np.array([row.p_wilcoxon for row in table]))
        assert [row.p_corrected for row in table] == list(expected)


def test_pairs_are_matched_by_instance(data, findings):
    """In any order of the rows, each instance is compared with itself."""
    shuffled = dataclasses.replace(data, proposals=data.proposals.sample(frac=1, random_state=0))
    values = {
        model: np.array([rows_of(data, "ackley10", 200 + k, model)["regret"].iloc[-1] for k in range(12)])
        for model in ("ensemble:none", "gp")
    }
    alone = compare(values["ensemble:none"], values["gp"], margin=REGRET_MARGIN)
    for found in (findings, gather(shuffled)):
        row = against(found.by_problem["ackley10"], "gp")["ensemble:none"]
        for name in ("num_instances", "difference", "lower", "upper", "p_wilcoxon", "effect_size"):
            assert getattr(row, name) == pytest.approx(getattr(alone, name)), name


def test_halves_are_kept_apart(data, findings):
    proposals = data.proposals.copy()
    tuning = (proposals["problem"] == "branin") & (proposals["model"] == "ensemble:dreg")
    proposals.loc[tuning, "regret"] += 5.0
    spoilt = gather(dataclasses.replace(data, proposals=proposals))
    assert spoilt.pooled["reported"] == findings.pooled["reported"]
    assert against(spoilt.pooled["tuning"]["final_regret"], "gp")["ensemble:dreg"].verdict == "behind"


def test_failures_never_help(data):
    spoilt = with_failures(data, "ensemble:dreg", ["hartmann6"], [203])
    found = gather(spoilt)
    row = against(found.pooled["reported"]["final_regret"], "sobol")["ensemble:dreg"]
    assert (row.num_instances, row.missing, row.verdict) == (23, 1, "undecided")
    assert against(found.pooled["tuning"]["final_regret"], "sobol")["ensemble:dreg"].verdict == "ahead"
    lost = found.runs[(found.runs["model"] == "ensemble:dreg") & (found.runs["problem"] == "hartmann6")]
    assert lost["final_regret"].isna().sum() == lost["optimism_size"].isna().sum() == 1
    table = summarize(found.runs, ["model"]).set_index("model")
    assert (table.loc["ensemble:dreg", "finished"], table.loc["ensemble:dreg", "failed"]) == (35, 1)


def test_runs_still_to_be_computed_are_no_failures(data):
    begun = without_runs(data, "ensemble:dreg", ["hartmann6"], [203])
    found = gather(begun)
    row = against(found.pooled["reported"]["final_regret"], "sobol")["ensemble:dreg"]
    assert (row.num_instances, row.missing, row.rival_missing, row.verdict) == (23, 0, 0, "ahead")
    assert against(found.pooled["reported"]["final_regret"], "sobol")["gp"].num_instances == 24
    table = summarize(found.runs, ["model"]).set_index("model")
    assert (table.loc["ensemble:dreg", "finished"], table.loc["ensemble:dreg", "failed"]) == (35, 0)


def test_an_instance_on_which_all_failed_is_counted(data):
    spoilt = data
    for model in TRUTH:
        spoilt = with_failures(spoilt, model, ["branin"], [200])
    found = gather(spoilt)
    assert len(found.runs) == 3 * 12 * 5
    assert against(found.by_problem["branin"], "sobol")["gp"].num_instances == 11


def test_the_verdict_says_what_the_comparisons_say(data, findings):
    assert verdict(data, findings) == [
        "Final regret against Sobol search, all reported problems together (2): ahead: ensemble:none, "
        "ensemble:dreg, ensemble:sn, gp (n = 24 instances).",
        "Every model of ours is ahead of Sobol search on 2 of 2 reported problems (hartmann6, ackley10).",
        "ensemble:dreg against gp on 2 reported problems, final regret: level on 2 (hartmann6, "
        f"ackley10). {together(findings)}",
        "Penalties against ensemble:none, final regret: ahead: ensemble:dreg; level: ensemble:sn "
        "(n = 24 instances).",
        "Penalties against ensemble:none, |optimism|: ahead: ensemble:dreg; level: ensemble:sn "
        "(n = 24 instances).",
        "Penalties against ensemble:none, phantom share: ahead: ensemble:dreg; undecided: ensemble:sn "
        "(n = 24 instances).",
        "Every model of ours is ahead of Sobol search on 1 of 1 tuning problem (branin).",
    ]


def together(findings):
    row = against(findings.pooled["reported"]["final_regret"], "gp")["ensemble:dreg"]
    low, mean, high = (
        f"{value:+.3f}".replace("-", "\N{MINUS SIGN}") for value in (row.lower, row.difference, row.upper)
    )
    return f"All together: {mean} [{low}, {high}], level (n = 24 instances)."


def test_the_verdict_names_where_models_fail():
    """On one of two problems nothing is gained; no penalty helps; the default is another model."""
    models = {
        "ensemble:none": Behaviour(),
        "ensemble:dreg": Behaviour(regret=0.4, optimism=0.4),
        "last_layer": Behaviour(regret=-0.3),
        "gp": Behaviour(),
        "sobol": Behaviour(regret=0.7),
    }
    data = synthetic_study(models, problems=("sparse", "ackley10"), instances=10)
    sparse = data.proposals["problem"] == "sparse"
    weak = sparse & data.proposals["model"].isin(["ensemble:dreg", "last_layer"])
    proposals = data.proposals.copy()
    proposals.loc[weak, "regret"] += 2.0
    spec = data.spec.model_copy(update={"default_model": "last_layer"})
    changed = dataclasses.replace(data, proposals=proposals, spec=spec)
    said = verdict(changed, gather(changed))
    assert said[1] == (
        "Every model of ours is ahead of Sobol search on 1 of 2 reported problems (ackley10); not ahead on "
        "sparse (ensemble:dreg, last_layer)."
    )
    assert said[2].startswith(
        "last_layer against gp on 2 reported problems, final regret: ahead on 1 (ackley10); behind on 1 "
        "(sparse). All together: "
    )
    assert said[3] == (
        "Penalties against ensemble:none, final regret: no penalty is ahead; behind: ensemble:dreg "
        "(n = 20 instances)."
    )


@pytest.mark.parametrize(
    ("models", "problems", "instances", "expected"),
    [
        (("gp",), ("branin",), 2, "No reported problem is stored: there is no headline."),
        (("gp", "ensemble:dreg"), ("hartmann6",), 2, "There is nothing to compare with Sobol search."),
        (("sobol", "ensemble:dreg"), ("hartmann6",), 2, "ensemble:dreg and gp are not both in this study."),
        (
            ("sobol", "gp", "ensemble:dreg"),
            ("hartmann6",),
            2,
            "On single reported problems there are too few instances to say who is ahead of Sobol search.",
        ),
    ],
)
def test_the_verdict_says_what_it_cannot_say(models, problems, instances, expected):
    data = synthetic_study(
        {name: Behaviour() for name in models}, problems=problems, instances=instances, evaluations=12
    )
    said = verdict(data, gather(data))
    assert expected in said
    assert not any("ahead:" in sentence or "level:" in sentence for sentence in said)


def test_nothing_but_failures_is_no_crash(data):
    message = data.proposals[["problem", "instance", "model"]].drop_duplicates().assign(message="broken")
    lost = dataclasses.replace(
        data, proposals=data.proposals[:0], checkpoints=data.checkpoints[:0], failures=message
    )
    found = gather(lost)
    assert found.runs["final_regret"].isna().all()
    assert isinstance(found.runs, pd.DataFrame)
    assert {row.verdict for row in found.pooled["reported"]["final_regret"]} == {"too few to say"}

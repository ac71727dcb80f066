"""Figures of loops, comparisons and verdicts of studies whose truth is known."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from synthetic_control_studies import Behaviour, synthetic_control_study

from surrogate_opt.study.control.comparisons import FIGURES, gather
from surrogate_opt.study.control.result_tables import (
    cost_matrix,
    paired_tables,
    plant_verdicts,
    pooled_verdicts,
    task_table,
)
from surrogate_opt.study.control.summaries import run_figures, summarize
from surrogate_opt.study.control.verdict import verdict

TRUTH = {
    "none": Behaviour(cost_ratio=1.2, plan_gap=0.5),
    "dreg": Behaviour(cost_ratio=1.05, plan_gap=-0.1),
    "sn": Behaviour(cost_ratio=1.2, plan_gap=0.5, gradient_error=0.2),
}


@pytest.fixture(scope="module")
def data():
    return synthetic_control_study(TRUTH)


@pytest.fixture(scope="module")
def findings(data):
    return gather(data)


def against(table, rival):
    return {row.method: row for row in table if row.rival == rival}


def test_figures_of_a_run_are_medians_over_its_starts(data):
    runs = run_figures(data)
    assert len(runs) == 2 * 12 * 2 * 2 * 3
    place = {"plant": "cstr", "instance": 103, "num_train": 100, "controller": "mppi", "method": "dreg"}
    hit = np.logical_and.reduce([data.loops[name] == value for name, value in place.items()])
    loops = data.loops[hit]
    run = runs[np.logical_and.reduce([runs[name] == value for name, value in place.items()])].iloc[0]
    assert run["cost_ratio"] == pytest.approx(float(np.median(loops["cost_ratio"])))
    assert run["plan_gap"] == pytest.approx(float(np.median(loops["plan_gap"])))
    assert run["plan_gap_size"] == abs(run["plan_gap"])
    assert (run["success"], run["failure"], run["oracle_success"], run["solved"]) == (1.0, 0.0, 1.0, True)


def test_lost_plants_count_as_infinite_costs_not_as_missing(data):
    """Where most loops of an instance are lost, its median is infinite; where few are, it is finite."""
    loops = data.loops.copy()
    of_dreg = (loops["method"] == "dreg") & (loops["instance"] == 100)
    loops.loc[of_dreg & (loops["start"] < 3), "cost_ratio"] = math.inf
    loops.loc[(loops["method"] == "sn") & (loops["start"] == 0), "cost_ratio"] = math.inf
    runs = run_figures(dataclasses.replace(data, loops=loops))
    assert np.isinf(runs.loc[(runs["method"] == "dreg") & (runs["instance"] == 100), "cost_ratio"]).all()
    assert np.isfinite(runs.loc[runs["method"] == "sn", "cost_ratio"]).all()


def test_a_known_advantage_is_found(findings):
    for place, tables in findings.pooled.items():
        found = against(tables["cost_ratio"], "none")
        assert (found["dreg"].verdict, found["dreg"].num_instances) == ("ahead", 24), place
        assert found["sn"].verdict == "level"
        assert against(tables["gradient_error"], "none")["sn"].verdict == "behind"
        assert against(tables["cost_ratio"], "sn")["dreg"].verdict == "ahead"
    assert {row.verdict for row in against(findings.by_plant["ilqr", 100]["cstr"], "none").values()} == {
        "ahead",
        "level",
    }


def test_promising_too_little_is_no_merit():
    truth = {"none": Behaviour(plan_gap=0.1), "dreg": Behaviour(plan_gap=-0.4)}
    findings = gather(synthetic_control_study(truth, plants=("pendulum",), instances=10))
    assert against(findings.pooled["ilqr", 100]["plan_gap_size"], "none")["dreg"].verdict == "behind"


def test_ten_instances_of_a_plant_can_decide_all_methods():
    names = ("none", "dreg", "igp", "sn", "dreg+igp")
    truth = {name: Behaviour(cost_ratio=1.5 if name == "none" else 1.0) for name in names}
    findings = gather(synthetic_control_study(truth, plants=("cstr",), instances=10))
    table = against(findings.by_plant["ilqr", 100]["cstr"], "none")
    assert {row.verdict for row in table.values()} == {"ahead"}
    few = gather(synthetic_control_study(truth, plants=("cstr",), instances=9))
    assert {row.verdict for row in few.by_plant["ilqr", 100]["cstr"]} == {"too few to say"}


def test_tasks_that_the_oracle_fails_are_left_out():
    data = synthetic_control_study(TRUTH, oracle_success={("mppi", "cstr"): 0.5})
    findings = gather(data)
    assert set(findings.by_plant["mppi", 100]) == {"pendulum"}
    assert set(findings.by_plant["ilqr", 100]) == {"pendulum", "cstr"}
    assert findings.pooled["mppi", 100]["cost_ratio"][0].num_instances == 12
    assert "mppi on cstr" in verdict(data, findings)[0]


def test_planners_are_compared_on_the_same_surrogates():
    data = synthetic_control_study(TRUTH, gradient_penalty=1.0)
    row = gather(data).planners["plan_gap_size"][0]
    assert (row.method, row.rival, row.verdict) == ("ilqr", "mppi", "behind")
    # Sizes 0.5, 0.1 and 0.5 become 1.5, 0.9 and 1.5.
    assert row.difference == pytest.approx((1.0 + 0.8 + 1.0) / 3, abs=0.01)
    alone = synthetic_control_study(TRUTH, controllers=("ilqr",))
    assert gather(alone).planners == {"cost_ratio": [], "plan_gap_size": []}


def test_a_method_that_could_not_be_trained_is_missing_not_ahead(data):
    lost = (data.loops["method"] == "dreg") & (data.loops["instance"] == 100)
    gone = (data.surrogates["method"] == "dreg") & (data.surrogates["instance"] == 100)
    failures = data.surrogates.loc[gone, ["plant", "instance", "num_train", "method"]]
    broken = dataclasses.replace(
        data,
        loops=data.loops[~lost],
        surrogates=data.surrogates[~gone],
        failures=failures.assign(message="every strength failed"),
    )
    row = against(gather(broken).pooled["ilqr", 100]["cost_ratio"], "none")["dreg"]
    assert (row.missing, row.num_instances, row.verdict) == (2, 22, "undecided")


def test_summaries_name_degenerate_surrogates():
    truth = {"none": Behaviour(), "sn": Behaviour(kind="collapsed")}
    data = synthetic_control_study(truth, instances=2)
    table = summarize(run_figures(data), ["method"]).set_index("method")
    assert (table.loc["sn", "degenerate"], table.loc["none", "degenerate"]) == (1.0, 0.0)
    rows = task_table(gather(data), "ilqr", 100).rows
    assert [row[0].muted for row in rows if len(row) > 1] == [False, True] * 2


def test_verdict_says_what_the_comparisons_say(data, findings):
    text = " ".join(verdict(data, findings))
    assert "ilqr on surrogates of 100 transitions, against none. cost ratio: dreg ahead, sn level" in text
    assert "With 1,000 transitions dreg costs at most 1.1 times the oracle on 2 of 2 plants" in text
    assert "ilqr against mppi, cost ratio" in text


def test_tables_have_a_cell_for_every_column(data, findings):
    tables = [
        cost_matrix(data, findings),
        task_table(findings, "ilqr", 100),
        pooled_verdicts(findings, "ilqr", 100),
        plant_verdicts(findings, "ilqr", 100),
        *paired_tables(findings, "ilqr", 100),
    ]
    assert len(paired_tables(findings, "ilqr", 100)) == len(FIGURES)
    for table in tables:
        assert table.rows
        for row in table.rows:
            assert len(row) in (1, len(table.header))


def test_incomplete_studies_compare_what_is_there(data):
    there = data.loops["instance"] < 105
    part = dataclasses.replace(data, loops=data.loops[there])
    row = gather(part).pooled["ilqr", 100]["cost_ratio"][0]
    assert (row.num_instances, row.verdict) == (10, "ahead")
    assert isinstance(run_figures(part), pd.DataFrame)

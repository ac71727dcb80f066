"""Which diagnostic predicts ghosts: judgements on tables made here, tiny cells, the picture."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from surrogate_opt.study.evidence.ghosts.bayesian_cells import BayesianGhostSpec, run_bayesian_ghost_cell
from surrogate_opt.study.evidence.ghosts.control_cells import ControlGhostSpec, run_control_ghost_cell
from surrogate_opt.study.evidence.ghosts.experiments import (
    BAYESIAN_TABLE,
    CONTROL,
    CONTROL_TABLE,
    GRADIENT,
    GRADIENT_TABLE,
    SINGLE,
    SINGLE_TABLE,
)
from surrogate_opt.study.evidence.ghosts.gradient_cells import GradientGhostSpec, run_gradient_ghost_cell
from surrogate_opt.study.evidence.ghosts.prediction import DIAGNOSTICS, READINGS
from surrogate_opt.study.evidence.ghosts.single_cells import SingleGhostSpec, run_single_ghost_cell
from surrogate_opt.study.evidence.ghosts.single_findings import find_single
from surrogate_opt.study.evidence.synthetic.cells import SyntheticSpec
from surrogate_opt.study.spec import StudySpec

TINY = GradientGhostSpec(
    study=StudySpec(
        families=("smooth",), methods=("none", "dreg"), instances=1, starts=4, dim=3, epochs=5, loop_steps=10
    ),
    num_train=(40, 30),
    noise_std=(0.1,),
)


def made_table(causes, num_instances=12, rows=10):
    """Surrogates whose losses follow one diagnostic, the others being chance."""
    generator = np.random.default_rng(0)
    parts = []
    for instance in range(num_instances):
        part = pd.DataFrame({name: generator.normal(size=rows) for name in DIAGNOSTICS})
        losses = [
            column
            for table in (GRADIENT_TABLE, CONTROL_TABLE)
            for one in table.outcomes.values()
            for column in one
        ]
        for column in losses:
            part[column] = part[causes] + 0.1 * generator.normal(size=rows)
        parts.append(part.assign(problem="smooth", instance=instance, num_train=100, noise_std=0.1))
    return pd.concat(parts, ignore_index=True).assign(kind="sound", failed=False)


def verdicts(ghosts, table):
    return {
        finding.claim.removeprefix(f"{ghosts.prefix}-"): finding.verdict for finding in ghosts.find(table)
    }


@pytest.mark.parametrize("ghosts", [GRADIENT_TABLE, CONTROL_TABLE])
def test_tails_that_decide_are_found_to(ghosts):
    found = verdicts(ghosts, made_table("tail_ratio"))
    assert set(found) == {claim.name.removeprefix(f"{ghosts.prefix}-") for claim in ghosts.claims()}
    for claim, verdict in found.items():
        assert (verdict == "reproduced") == (not claim.startswith("p99"))


@pytest.mark.parametrize("ghosts", [GRADIENT_TABLE, CONTROL_TABLE])
def test_errors_that_decide_leave_nothing_to_tails(ghosts):
    found = verdicts(ghosts, made_table("test_mse"))
    assert all(verdict != "reproduced" for verdict in found.values())
    assert all(v == "not reproduced" for claim, v in found.items() if claim.startswith("over-error"))


@pytest.mark.parametrize("ghosts", [GRADIENT_TABLE, CONTROL_TABLE])
def test_tails_that_are_wrong_are_no_better_than_errors_that_are_worse(ghosts):
    table = made_table("test_mse")
    losses = [column for one in ghosts.outcomes.values() for column in one]
    table[losses] *= -1.0
    table["tail_ratio"] -= 0.5 * table[losses[0]]
    found = verdicts(ghosts, table)
    assert all(v == "not reproduced" for claim, v in found.items() if claim.startswith("over-error"))


def test_failed_and_degenerate_surrogates_are_left_out_where_they_are_to_be():
    table = made_table("tail_ratio")
    spoilt = pd.concat([table, table.assign(failed=True, tail_ratio=-table["tail_ratio"])])
    pair = ("tail_ratio", "adam.optimism")
    want = GRADIENT_TABLE.correlations(table, "within")[pair].value
    assert GRADIENT_TABLE.correlations(spoilt, "within")[pair].value == pytest.approx(want)
    hollow = spoilt.assign(kind=np.where(spoilt["failed"], "collapsed", "sound"), failed=False)
    assert GRADIENT_TABLE.correlations(hollow, "sound only")[pair].value == pytest.approx(want)
    assert GRADIENT_TABLE.correlations(hollow, "within")[pair].value < 0.5


def test_the_table_and_the_picture_have_every_diagnostic(tmp_path):
    table = made_table("p99")
    shown = GRADIENT.summarize(table)
    assert len(shown) == len(READINGS) * len(DIAGNOSTICS) - 1  # test error is not given itself
    assert CONTROL.draw is not None
    (picture,) = CONTROL.draw(table, tmp_path / "pictures")
    assert picture.stat().st_size > 10_000


def test_a_cell_follows_every_strength_with_every_loop():
    cells = TINY.cells(Path())
    assert [cell.own.spec.num_train for cell in cells] == [40, 30]
    assert len({cell.key for cell in cells}) == 2
    table = pd.DataFrame(run_gradient_ghost_cell(cells[1]).rows)
    assert table["method"].value_counts().to_dict() == {"dreg": 7, "none": 1}
    numbers = table[[*DIAGNOSTICS, *(c for one in GRADIENT_TABLE.outcomes.values() for c in one)]]
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()
    np.testing.assert_allclose(table["p99"] / table["mean"], table["tail_ratio"])
    assert (table["disagreement"] > 0).all()
    again = pd.DataFrame(run_gradient_ghost_cell(cells[1]).rows)
    pd.testing.assert_frame_equal(table, again)


def test_single_networks_are_followed_one_by_one():
    networks = SyntheticSpec(
        families=("smooth",),
        activations=("relu",),
        strengths=(0.0, 1e-2),
        instances=1,
        seeds=3,
        num_train=60,
        num_valid=20,
        hidden=(6,),
        epochs=3,
    )
    (cell,) = SingleGhostSpec(networks=networks, starts=4, loop_steps=10).cells(Path())
    table = pd.DataFrame(run_single_ghost_cell(cell).rows)
    assert table.groupby("strength").size().to_dict() == {0.0: 3, 1e-2: 3}
    numbers = table[[*DIAGNOSTICS, *(c for one in GRADIENT_TABLE.outcomes.values() for c in one)]]
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()
    assert table["test_mse"].nunique() == 6
    assert table["disagreement"].nunique() == 2  # of a strength's seeds
    assert cell.key != SingleGhostSpec(networks=networks, starts=5, loop_steps=10).cells(Path())[0].key


@pytest.mark.parametrize(
    ("gain", "poly_gain", "verdict"),
    [(0.5, 0.2, "reproduced"), (0.5, -0.2, "not reproduced"), (-0.5, -0.5, "not reproduced")],
)
def test_what_the_penalty_does_is_judged_under_both_activations(gain, poly_gain, verdict):
    strong = [
        made_table("p99").assign(activation=activation, strength=1e-2) for activation in ("relu", "poly")
    ]
    losses = [column for columns in SINGLE_TABLE.outcomes.values() for column in columns]
    weak = [part.assign(strength=0.0) for part in strong]
    for part, more in zip(weak, (gain, poly_gain), strict=True):
        part[losses] += more
    table = pd.concat([*strong, *weak], ignore_index=True)
    found = {finding.claim: finding for finding in find_single(SINGLE_TABLE, table)}
    assert set(found) == {claim.name for claim in SINGLE.claims}
    for outcome in SINGLE_TABLE.outcomes:
        effect = found[f"ghosts-single-effect-{outcome}"]
        assert effect.verdict == verdict
        assert f"relu {gain:+.2f} [" in effect.ours


def test_a_bayesian_cell_lets_every_strength_propose():
    spec = BayesianGhostSpec(
        problems=("branin",), instances=1, num_points=8, proposals=2, levels={"none": (0.0,), "igp": (0.1,)}
    )
    (cell,) = spec.cells(Path())
    table = pd.DataFrame(run_bayesian_ghost_cell(cell).rows)
    assert table["method"].tolist() == ["none", "igp"]
    numbers = table[[*DIAGNOSTICS, *(c for one in BAYESIAN_TABLE.outcomes.values() for c in one)]]
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()
    assert (table["log_ei.regret"] >= 0).all()
    assert cell.key != BayesianGhostSpec(problems=("branin",)).cells(Path())[0].key


@pytest.mark.slow
def test_a_control_cell_closes_the_loops_of_every_strength():
    spec = ControlGhostSpec(
        study=CONTROL.presets["smoke"].cells(Path())[0].spec.study.model_copy(update={"instances": 1}),
        levels={"none": (0.0,), "sn": (2.0, 1.0)},
    )
    (cell,) = spec.cells(Path())
    torch.manual_seed(0)
    table = pd.DataFrame(run_control_ghost_cell(cell).rows)
    assert list(zip(table["method"], table["level"], strict=True)) == [
        ("none", 0.0),
        ("sn", 2.0),
        ("sn", 1.0),
    ]
    numbers = table[[*DIAGNOSTICS, *(c for one in CONTROL_TABLE.outcomes.values() for c in one)]]
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()
    assert cell.key != cell.model_copy(update={"spec": ControlGhostSpec()}).key

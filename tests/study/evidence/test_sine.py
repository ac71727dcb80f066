"""The sine: pairing and data of cells, judgements on tables made here, both pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from surrogate_opt.study.evidence.sine.cells import SineSpec, grid, run_sine_cell, sine, training_points
from surrogate_opt.study.evidence.sine.claims import CLAIMS, find_sine
from surrogate_opt.study.evidence.sine.experiment import SINE

TINY = SineSpec(runs=2, minibatches=60, hidden=(8, 8), weights=(0.0, 0.03, 10.0), num_train=30, batch_size=10)
WEIGHTS = SineSpec().weights


def test_points_are_noisy_values_of_the_sine():
    x, y = training_points(SineSpec(num_train=20_000).cells(Path())[0])
    assert x.abs().max() <= 1.0
    assert float((y - sine(x)).std()) == pytest.approx(0.1, rel=0.03)
    other = training_points(SineSpec().cells(Path())[1])[0]
    assert not torch.equal(x[:100], other)


def test_a_cell_trains_every_weight_and_the_first_run_keeps_its_curves():
    first, second = (pd.DataFrame(run_sine_cell(cell).rows) for cell in TINY.cells(Path()))
    assert first["weight"].tolist() == [0.0, 0.03, 10.0]
    assert first["slope_mean"].iloc[-1] < first["slope_mean"].iloc[0]
    assert all(curve is None for curve in second["curve"])
    assert first["slope_between_twins"].notna().tolist() == [True, False, False]
    # trained so shortly, twins or none, the network is the same smooth function
    assert first["slope_between_twins"].iloc[0] == pytest.approx(first["slope_at_points"].iloc[0], rel=0.3)
    error = np.mean((np.array(first["curve"].iloc[0]) - sine(grid())[:, 0].numpy()) ** 2)
    assert first["mse"].iloc[0] == pytest.approx(error)
    again = pd.DataFrame(run_sine_cell(TINY.cells(Path())[0]).rows)
    pd.testing.assert_frame_equal(first, again)


def made_table(best, gain):
    """Errors least at one weight, gain times lower there than without a penalty."""
    rows = []
    for run in range(10):
        for weight in WEIGHTS:
            slope = 3.0 - 0.1 * weight
            error = 0.01 / gain if weight == best else 0.01 * (1.0 + weight)
            rows.append(
                {"run": run, "weight": weight, "mse": error * (1.0 + 0.01 * run)}
                | {"slope_mean": slope, "slope_at_points": slope, "slope_max": 9.0 if weight == 0.0 else 4.0}
                | {"slope_between_twins": 1.0 + 0.02 * run if weight == 0.0 else None}
                | {"curve": sine(grid())[:, 0].tolist() if run == 0 else None}
            )
    return pd.DataFrame(rows)


def test_a_weight_at_which_a_run_diverged_is_chosen_by_none():
    table = made_table(0.03, 12.0)
    want = {one.claim: one.verdict for one in find_sine(table)}
    figures = ["mse", "slope_mean", "slope_at_points", "slope_max"]
    table.loc[(table["weight"] == 10.0) & (table["run"] == 4), figures] = np.nan
    assert {one.claim: one.verdict for one in find_sine(table)} == want


@pytest.mark.parametrize(
    ("best", "gain", "expected"),
    [
        (0.03, 12.0, {"gain": "reproduced", "optimum": "reproduced"}),
        (0.03, 2.0, {"gain": "reproduced in direction", "optimum": "reproduced"}),
        (0.001, 12.0, {"gain": "reproduced", "optimum": "not reproduced"}),
    ],
)
def test_judgements(best, gain, expected):
    found = {
        finding.claim.removeprefix("sine-"): finding.verdict for finding in find_sine(made_table(best, gain))
    }
    assert set(found) == {claim.name.removeprefix("sine-") for claim in CLAIMS}
    assert found == expected | dict.fromkeys(
        ("everywhere", "no-steps", "smoother", "degrades", "twins"), "reproduced"
    )


def test_twins_with_a_slope_between_them_are_no_flat_spots():
    table = made_table(0.03, 12.0)
    table.loc[table["weight"] == 0.0, "slope_between_twins"] = 2.8 + 0.01 * np.arange(10)
    found = {finding.claim: finding for finding in find_sine(table)}["sine-twins"]
    assert found.verdict == "not reproduced"
    assert found.ours.startswith("1.05 times flatter")


def test_steps_at_one_weight_are_steps():
    table = made_table(0.03, 12.0)
    table.loc[table["weight"] == 0.1, "slope_mean"] *= 2.0
    found = {finding.claim: finding.verdict for finding in find_sine(table)}
    assert found["sine-no-steps"] == "not reproduced"


def test_fits_that_do_not_get_smoother_or_worse_refute_that():
    table = made_table(0.03, 12.0)
    table = table.assign(slope_mean=3.0 + table["weight"], slope_at_points=3.0 + table["weight"])
    table.loc[table["weight"] == 10.0, "mse"] = 1e-3
    found = {finding.claim: finding.verdict for finding in find_sine(table)}
    assert found["sine-smoother"] == found["sine-degrades"] == "not reproduced"


def test_no_gain_is_not_reproduced():
    table = made_table(0.03, 12.0)
    table.loc[table["weight"] > 0.0, "mse"] = 1.0
    found = {finding.claim: finding.verdict for finding in find_sine(table)}
    assert found["sine-gain"] == "not reproduced"


def test_the_table_and_the_pictures(tmp_path):
    table = made_table(0.003, 4.0)
    shown = SINE.summarize(table)
    assert len(shown) == len(WEIGHTS)
    assert shown["Table 7"].tolist()[0] == "16.6"
    assert SINE.draw is not None
    for picture in SINE.draw(table, tmp_path / "pictures"):
        assert picture.stat().st_size > 10_000

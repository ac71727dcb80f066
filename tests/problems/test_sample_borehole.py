"""The example script: files with unit-bearing names, a separate holdout, and one clear line on bad input."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from surrogate_problems.functions import Borehole

SCRIPT = Path(__file__).parents[2] / "examples" / "sample_borehole.py"


def test_files_and_printed_optimum(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(SCRIPT))["main"](["-n", "50", "--noise", "0", "--holdout", "holdout.csv"])
    printed = capsys.readouterr().out
    truth = Borehole()
    assert "7.8197 (closed form)" in printed
    assert "well_radius_m = 0.05" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["borehole.csv", "holdout.csv"]
    runs, holdout = (pd.read_csv(tmp_path / name) for name in ("borehole.csv", "holdout.csv"))
    assert list(runs.columns) == list(holdout.columns) == [*truth.input_names, truth.output_name]
    assert len(runs) == 50
    assert len(holdout) == 25
    x, y = truth.sample(50, seed=0)
    np.testing.assert_allclose(runs[list(truth.input_names)], x.numpy(), rtol=1e-5)
    np.testing.assert_allclose(runs[truth.output_name], y.numpy(), rtol=1e-5)
    assert not np.isin(holdout["well_length_m"], runs["well_length_m"]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "0"), "n: expected at least 1 point, got 0"),
        (("--noise", "-1"), "noise_std: expected a finite number of at least 0, got -1.0"),
        (("-o", "missing/borehole.csv"), "missing"),
    ],
)
def test_bad_input(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT))["main"](list(arguments))
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

"""The whole path on real tables: fit, audit, minimize."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import QUICK, Command

TABLES = {
    "concrete": "compressive_strength_mpa",
    "kin8nm": "distance",
    "energy": "heating_load",
    "yacht": "residuary_resistance",
    "power-plant": "electrical_output_mw",
}


@pytest.mark.parametrize(
    "name", ["energy", *(pytest.param(name, marks=pytest.mark.slow) for name in TABLES if name != "energy")]
)
def test_fit_audit_minimize(command: Command, csv_folder: Path, tmp_path: Path, name: str) -> None:
    model, output = tmp_path / "m.safetensors", tmp_path / "c.csv"
    fitted = command("fit", csv_folder / f"{name}.csv", "--target", TABLES[name], "-o", model, *QUICK)
    assert (fitted.code, fitted.err) == (0, "")
    audited = command("audit", model, "--data", csv_folder / f"{name}.csv")
    assert (audited.code, audited.err) == (0, "")
    assert "are training rows" in " ".join(audited.out.split())
    found = command("minimize", model, "--starts", "8", "--method", "lbfgsb", "-o", output)
    assert (found.code, found.err) == (0, "")
    assert f"predicted_{TABLES[name]}" in pd.read_csv(output).columns
    for outcome in (fitted, audited, found):
        assert max(len(line) for line in outcome.out.splitlines() if "safetensors" not in line) <= 100


@pytest.mark.slow
def test_concrete_with_defaults(command: Command, csv_folder: Path, tmp_path: Path) -> None:
    model, plot, output = tmp_path / "m.safetensors", tmp_path / "s.svg", tmp_path / "c.csv"
    table = csv_folder / "concrete.csv"
    fitted = command("fit", table, "--target", TABLES["concrete"], "-o", model, "--plot", plot)
    assert fitted.code == 0
    r2 = {
        name: float(value) for name, value in re.findall(r"^ (surrogate|linear) +([\d.]+)", fitted.out, re.M)
    }
    assert r2["surrogate"] > 0.8 > r2["linear"]
    assert plot.read_text().startswith("<?xml")
    assert "TRUST WITH CARE" in command("audit", model).out
    guarded = command(
        "minimize", model, "--maximize", "--fix", "age_days=28", "--guard", "near_data", "-o", output
    )
    assert guarded.code == 0
    candidates = pd.read_csv(output)
    assert len(candidates) == 5
    assert not candidates["outside_data"].any()

"""surrogate-opt audit: its words, its JSON, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command
from safetensors.torch import save_file

from surrogate_opt.surrogate import Surrogate


def _hold_out(folder: Path, header: str = "cost,b,a", num_rows: int = 60) -> Path:
    """Rows of the model's truth, columns in another order than the model's."""
    x = np.random.default_rng(9).random((num_rows, 2)) * [1.0, 2.0]
    y = 4 * (x[:, 0] - 0.4) ** 2 + x[:, 1]
    path = folder / "holdout.csv"
    table = np.column_stack([y, x[:, 1], x[:, 0]])
    np.savetxt(path, table, delimiter=",", header=header, comments="")
    return path


def test_audit_prints_a_verdict_with_its_evidence(command: Command, model_file: Path) -> None:
    outcome = command("audit", model_file)
    assert (outcome.code, outcome.err) == (0, "")
    for word in ("Gradients: ", "out of fold", "skill", "agreement", "direction", "density", "tails"):
        assert word in outcome.out
    assert max(map(len, outcome.out.splitlines()[1:])) <= 100


def test_audit_of_a_hold_out_sorts_its_columns_and_writes_json(
    command: Command, model_file: Path, tmp_path: Path
) -> None:
    target = tmp_path / "audit.json"
    outcome = command("audit", model_file, "--data", _hold_out(tmp_path), "--json", target)
    assert (outcome.code, outcome.err) == (0, "")
    assert "hold-out, 60 rows" in outcome.out
    assert "90% interval held" in outcome.out
    report = json.loads(target.read_text())
    assert report["verdict"] in ("trust", "trust with care", "do not trust")
    assert report["skill"]["r2"] > 0.9  # it would be far below with the columns in the wrong order
    assert report["coverage"]["num_rows"] == 60


def test_a_model_without_data_is_audited_on_what_is_left(
    command: Command, model_file: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.safetensors"
    Surrogate.load(model_file).save(bare, include_data=False)
    outcome = command("audit", bare)
    assert outcome.code == 0
    assert "? direction" in outcome.out
    assert "holds no data" in outcome.out


@pytest.mark.parametrize("content", [b"", b"junk" * 100, None])
def test_files_that_are_no_models_are_refused(
    refused: Command, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "m.safetensors"
    if content is not None:
        path.write_bytes(content)
    assert "model: " in refused("audit", path).err


def test_a_truncated_model_is_refused(refused: Command, model_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(model_file.read_bytes()[:-100])
    assert "truncated" in refused("audit", path).err


def test_a_foreign_safetensors_file_is_refused(refused: Command, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    assert "another kind" in refused("audit", path).err


@pytest.mark.parametrize(
    ("header", "expected"), [("cost,c,a", "'b' missing"), ("price,b,a", "'cost'"), ("cost,b,b", "came again")]
)
def test_a_hold_out_with_other_columns_is_refused(
    refused: Command, model_file: Path, tmp_path: Path, header: str, expected: str
) -> None:
    assert expected in refused("audit", model_file, "--data", _hold_out(tmp_path, header)).err


def test_output_into_a_missing_folder_is_refused(refused: Command, model_file: Path, tmp_path: Path) -> None:
    assert "--json" in refused("audit", model_file, "--json", tmp_path / "no" / "a.json").err

"""Learned dynamics as files: what comes back is what went in, and damage is one clear line."""

import json

import pandas as pd
import pytest
import torch
from dynamics_cases import ENCODINGS, random_dynamics, random_points
from safetensors.torch import save_file

from surrogate_opt.dynamics import Dynamics
from surrogate_opt.errors import InputError, ModelFileError
from surrogate_opt.model_file import read_safetensors


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("activation", ["silu", "poly"])
def test_a_model_comes_back_as_it_was(tmp_path, name, activation):
    dynamics = random_dynamics(ENCODINGS[name], activation=activation)
    path = tmp_path / "plant.safetensors"
    dynamics.save(path)
    loaded = Dynamics.load(path)
    x, u = random_points(dynamics.encoding, 8)
    for got, expected in zip(loaded.linearize(x, u), dynamics.linearize(x, u), strict=True):
        assert torch.equal(got, expected)
    assert torch.equal(loaded.stack.flat, dynamics.stack.flat)
    assert torch.equal(loaded.bounds, dynamics.bounds)
    assert torch.equal(loaded.one_step_r2, dynamics.one_step_r2)
    assert torch.equal(loaded.record.one_step_rmse, dynamics.record.one_step_rmse)
    pd.testing.assert_frame_equal(loaded.selection, dynamics.selection, check_exact=True)
    for attribute in ("encoding", "penalty", "strength", "level", "state_names", "action_names", "dt"):
        assert getattr(loaded, attribute) == getattr(dynamics, attribute)
    assert (loaded.record.num_rows, loaded.record.rollout_steps) == (321, 1)
    assert repr(loaded) == repr(dynamics)


def test_no_dt_stays_none(tmp_path):
    dynamics = random_dynamics()
    dynamics.dt = None
    dynamics.save(tmp_path / "m.safetensors")
    assert Dynamics.load(tmp_path / "m.safetensors").dt is None


def rewritten(tmp_path, change):
    """A saved model after its tensors and description were changed."""
    path = tmp_path / "m.safetensors"
    random_dynamics().save(path)
    tensors, metadata = read_safetensors(path)
    about = json.loads(metadata["dynamics"])
    change(tensors, about)
    save_file(tensors, path, {**metadata, "dynamics": json.dumps(about)})
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, about: tensors.pop("std"),
        lambda tensors, about: tensors.update(std=torch.zeros(3).double()),
        lambda tensors, about: tensors.update(lower=tensors["upper"].clone()),
        lambda tensors, about: tensors.update(mean=torch.full((3,), torch.nan).double()),
        lambda tensors, about: tensors.update(parameters=tensors["parameters"][1:].clone()),
        lambda tensors, about: about.update(angles=[7]),
        lambda tensors, about: about.update(angles=[]),
        lambda tensors, about: about.update(copies=[[0, 1]]),
        lambda tensors, about: about.update(state_names=["a"]),
        lambda tensors, about: about.update(penalty="ridge"),
        lambda tensors, about: about.pop("dt"),
    ],
)
def test_damage_is_one_clear_line(tmp_path, change):
    path = rewritten(tmp_path, change)
    with pytest.raises(ModelFileError, match="is damaged") as caught:
        Dynamics.load(path)
    assert "\n" not in str(caught.value)


def test_files_of_another_kind(tmp_path):
    with pytest.raises(ModelFileError, match="no such file"):
        Dynamics.load(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other, {"format": "surrogate-opt/1"})
    with pytest.raises(ModelFileError, match="of another kind"):
        Dynamics.load(other)
    other.write_bytes(b"12345678")
    with pytest.raises(ModelFileError, match="truncated"):
        Dynamics.load(other)
    with pytest.raises(InputError, match="output: cannot write"):
        random_dynamics().save(tmp_path / "no folder" / "m.safetensors")

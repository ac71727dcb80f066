"""Files of BoTorch models: damage and strangers are refused in one line; nothing else is read."""

from __future__ import annotations

import json

import pytest
import torch
from botorch.models import SingleTaskGP
from ensemble_cases import make_case
from safetensors import safe_open
from safetensors.torch import save_file

from surrogate_opt.adapters.botorch.files import load_model, save_model
from surrogate_opt.errors import InputError, ModelFileError


@pytest.fixture
def path(tmp_path):
    save_model(make_case().pair, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def parts_of(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def rewrite(path, change):
    tensors, metadata = parts_of(path)
    about = json.loads(metadata["about"])
    change(tensors, metadata, about)
    save_file(tensors, path, metadata | {"about": json.dumps(about)})


def test_two_outputs_come_back_in_their_order(path):
    x = make_case().points(3, 2)
    loaded = load_model(str(path))
    assert torch.equal(loaded.posterior(x).mean, make_case().pair.posterior(x).mean)
    assert torch.equal(loaded.posterior(x).variance, make_case().pair.posterior(x).variance)


def test_a_second_trip_gives_the_same_file(path, tmp_path):
    save_model(load_model(path), tmp_path / "again")
    (first, about), (second, again) = parts_of(path), parts_of(tmp_path / "again")
    assert about == again
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


CUTS = {
    "a missing tensor": lambda tensors, metadata, about: tensors.pop("outputs.1.weights"),
    "another architecture": lambda tensors, metadata, about: about["outputs"][0].update(num_members=7),
    "an unknown activation": lambda tensors, metadata, about: about["outputs"][0].update(activation="soft"),
    "nan": lambda tensors, metadata, about: tensors["outputs.0.weights"].fill_(torch.nan),
    "no outputs": lambda tensors, metadata, about: about.update(outputs=[]),
    "no calibration": lambda tensors, metadata, about: tensors["outputs.0.calibration"].zero_(),
    "an about of another kind": lambda tensors, metadata, about: about.pop("outputs"),
}


@pytest.mark.parametrize("change", CUTS.values(), ids=CUTS)
def test_damage_is_refused(path, change):
    rewrite(path, change)
    with pytest.raises(ModelFileError, match=r"model: .* is damaged") as error:
        load_model(path)
    assert "\n" not in str(error.value)


def test_truncated_missing_and_foreign_files_are_refused(path, make_surrogate, tmp_path):
    make_surrogate().save(tmp_path / "surrogate")
    with pytest.raises(ModelFileError, match="another kind: expected format 'surrogate-opt-botorch/1'"):
        load_model(tmp_path / "surrogate")
    rewrite(path, lambda tensors, metadata, about: metadata.update(kind="oracle"))
    with pytest.raises(ModelFileError, match=r"kinds .*ensemble.* got .* and 'oracle'"):
        load_model(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="truncated"):
        load_model(path)
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "nowhere")


def test_other_models_are_refused(tmp_path):
    model = SingleTaskGP(torch.rand(4, 2).double(), torch.rand(4, 1).double())
    with pytest.raises(InputError, match=r"model: expected one of EnsembleSurrogate.*, got SingleTaskGP"):
        save_model(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="output: cannot write"):
        save_model(make_case().model, tmp_path / "no" / "model")

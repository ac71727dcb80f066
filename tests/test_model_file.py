"""Model files: a round trip loses nothing, damage and strangers are refused, nothing is left half-written."""

import json
import math
import os
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from surrogate_opt import model_file
from surrogate_opt.errors import InputError, ModelFileError
from surrogate_opt.fitting import fit
from surrogate_opt.model_file import write_atomically
from surrogate_opt.surrogate import Surrogate


def parts_of(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.mark.parametrize(
    "kind",
    [{}, {"hidden": ()}, {"activation": "poly", "hidden": (4,)}, {"d": 1, "repeats": 1}],
    ids=["default", "no hidden layer", "poly", "one input"],
)
def test_a_round_trip_keeps_every_bit(make_surrogate, tmp_path, kind):
    surrogate = make_surrogate(**kind)
    surrogate.save(tmp_path / "model.safetensors")
    loaded = Surrogate.load(str(tmp_path / "model.safetensors"))
    x = surrogate.record.x[:7]
    for name in ("predict", "value_and_gradient", "interval", "members_value_and_gradient"):
        for mine, theirs in zip(getattr(loaded, name)(x), getattr(surrogate, name)(x), strict=True):
            assert torch.equal(mine, theirs)
    assert torch.equal(loaded.distance_to_data(x + 0.1), surrogate.distance_to_data(x + 0.1))
    assert torch.equal(loaded.bounds, surrogate.bounds)
    for field in fields(surrogate.record):
        mine, theirs = getattr(loaded.record, field.name), getattr(surrogate.record, field.name)
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)
    for name in (
        "penalty",
        "strength",
        "level",
        "feature_names",
        "target_name",
        "num_members",
        "output_scale",
    ):
        assert getattr(loaded, name) == getattr(surrogate, name)
    pd.testing.assert_frame_equal(loaded.selection, surrogate.selection, check_exact=True)
    loaded.save(tmp_path / "again.safetensors")
    (first, about), (second, again) = (
        parts_of(tmp_path / f"{name}.safetensors") for name in ("model", "again")
    )
    assert about == again
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("penalty", ["none", "sn"])
def test_a_fitted_surrogate_survives(tmp_path, penalty):
    x = np.random.default_rng(0).uniform(size=(40, 2))
    surrogate = fit(
        x,
        np.sin(5 * x[:, 0]),
        penalty=penalty,
        hidden=(4,),
        epochs=1,
        feature_names=["a", "b"],
        target_name="c",
    )
    surrogate.save(tmp_path / "model")
    loaded = Surrogate.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.value(x), surrogate.value(x))
    pd.testing.assert_frame_equal(loaded.selection, surrogate.selection, check_exact=True)
    assert loaded.strength == surrogate.strength
    assert (loaded.feature_names, loaded.target_name) == (("a", "b"), "c")


def test_infinite_strengths_and_names_in_any_script_survive(make_surrogate, tmp_path):
    surrogate = make_surrogate()
    assert math.isinf(surrogate.strength.spectral_bound)
    surrogate.feature_names = ("Länge in m", "压力", 'a "b", {c}')
    surrogate.level = math.inf
    surrogate.save(tmp_path / "model")
    loaded = Surrogate.load(tmp_path / "model")
    assert loaded.feature_names == surrogate.feature_names
    assert math.isinf(loaded.level)
    assert math.isinf(loaded.strength.spectral_bound)


def test_without_data(make_surrogate, tmp_path):
    surrogate = make_surrogate()
    surrogate.save(tmp_path / "with")
    surrogate.save(tmp_path / "without", include_data=False)
    loaded = Surrogate.load(tmp_path / "without")
    x = surrogate.record.x
    assert loaded.record.x.shape == (0, 3)
    assert len(loaded.record.rows) == 0
    for tensor in parts_of(tmp_path / "without")[0].values():
        assert not torch.isin(x, tensor.double()).any(), "no input is anywhere in the file"
    assert torch.equal(torch.stack(loaded.interval(x)), torch.stack(surrogate.interval(x)))
    assert torch.isnan(loaded.distance_to_data(x)).all()
    assert len(surrogate.record.x) == 40, "the surrogate in memory keeps its data"


def test_the_file_is_no_pickle(make_surrogate, tmp_path):
    make_surrogate().save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    assert int.from_bytes(content[:8], "little") < len(content)
    assert content[8:9] == b"{"


def test_a_truncated_file_is_refused_wherever_it_ends(make_surrogate, tmp_path):
    make_surrogate().save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    for length in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"^model: .*cut is truncated or no safetensors file"):
            Surrogate.load(tmp_path / "cut")


@pytest.mark.parametrize("content", [b"a,b,c\n1,2,3\n", b"\x80\x04\x95pickle", b"{}", bytes(1000)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ModelFileError, match="truncated or no safetensors file"):
        Surrogate.load(tmp_path / "other")


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(ModelFileError, match="model: no such file"):
            Surrogate.load(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "surrogate-opt/999"}])
def test_foreign_safetensors_are_refused(tmp_path, metadata):
    save_file({"weight": torch.zeros(3)}, tmp_path / "foreign", metadata)
    with pytest.raises(ModelFileError, match="safetensors file of another kind: expected format"):
        Surrogate.load(tmp_path / "foreign")


def replaced(**changes):
    return lambda about: {**about, **changes}


DAMAGE = {
    "no JSON": lambda about: "{",
    "a list": lambda about: [],
    "a number": lambda about: 3,
    "null": lambda about: None,
    "nothing in it": lambda about: {},
    "no sizes": lambda about: {k: v for k, v in about.items() if k != "sizes"},
    "sizes of another network": replaced(sizes=[3, 7, 1]),
    "sizes as text": replaced(sizes="3-6-1"),
    "two outputs": replaced(sizes=[3, 6, 5, 2]),
    "members": replaced(num_members=3),
    "negative members": replaced(num_members=-10),
    "activation": replaced(activation="sine"),
    "activation as a list": replaced(activation=["silu"]),
    "an unknown strength": replaced(strength={"sobolev": 1.0}),
    "strength as a list": replaced(strength=[1.0]),
    "selection": replaced(selection=[1, 2]),
    "selection as text": replaced(selection="all"),
    "too few names": replaced(feature_names=["a"]),
    "names as a number": replaced(feature_names=3),
    "scale as text": replaced(y_std="seven"),
    "mean missing": replaced(y_mean=None),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_metadata_is_refused(make_surrogate, tmp_path, name):
    make_surrogate().save(tmp_path / "model")
    tensors, metadata = parts_of(tmp_path / "model")
    about = DAMAGE[name](json.loads(metadata["surrogate"]))
    metadata["surrogate"] = about if isinstance(about, str) else json.dumps(about)
    save_file(tensors, tmp_path / "damaged", metadata)
    with pytest.raises(ModelFileError, match="damaged is damaged"):
        Surrogate.load(tmp_path / "damaged")


def test_metadata_without_our_part_are_refused(make_surrogate, tmp_path):
    make_surrogate().save(tmp_path / "model")
    tensors, metadata = parts_of(tmp_path / "model")
    del metadata["surrogate"]
    save_file(tensors, tmp_path / "damaged", metadata)
    with pytest.raises(ModelFileError, match="is damaged"):
        Surrogate.load(tmp_path / "damaged")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("parameters", lambda t: t[:-1]),
        ("parameters", lambda t: t[:1]),
        ("lower", lambda t: t[:2]),
        ("upper", lambda t: torch.cat([t, t])),
        ("record.target", lambda t: t[:5]),
        ("record.out_of_fold", lambda t: t[:1]),
        ("record.holders", lambda t: t + 1000),
        ("record.holders", lambda t: t[:, :4]),
        ("record.x", lambda t: t[:, :2]),
        ("record.rows", lambda t: t[:3]),
        ("record.rows", None),
        ("parameters", None),
        ("upper", None),
    ],
)
def test_damaged_tensors_are_refused(make_surrogate, tmp_path, name, change):
    make_surrogate().save(tmp_path / "model")
    tensors, metadata = parts_of(tmp_path / "model")
    if change is None:
        del tensors[name]
    else:
        tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, tmp_path / "damaged", metadata)
    with pytest.raises(ModelFileError, match="is damaged"):
        Surrogate.load(tmp_path / "damaged")


def fail_half_way(error):
    def write(tensors, path, metadata):
        path.write_bytes(b"half")
        raise error

    return write


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")]
)
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    make_surrogate, tmp_path, monkeypatch, error
):
    surrogate, path = make_surrogate(), tmp_path / "model"
    surrogate.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(model_file, "save_file", fail_half_way(error))
    with pytest.raises(InputError, match=r"^output: cannot write .*model: .*No space left on device"):
        surrogate.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_an_interrupted_write_leaves_nothing(make_surrogate, tmp_path, monkeypatch):
    monkeypatch.setattr(model_file, "save_file", fail_half_way(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        make_surrogate().save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_to_is_named(make_surrogate, tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent" / "model", tmp_path / "folder"):
        with pytest.raises(InputError, match="output: cannot write"):
            make_surrogate().save(path)
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == []


def test_a_new_file_has_ordinary_permissions(tmp_path):
    write_atomically(tmp_path / "new", lambda temporary: temporary.write_text("text"))
    (tmp_path / "plain").write_text("text")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "new").read_text() == "text"

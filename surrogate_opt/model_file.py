"""Surrogates as files: safetensors for the numbers, JSON metadata for the rest, never pickle."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from surrogate_opt.data import Scaling
from surrogate_opt.errors import InputError, ModelFileError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import METHODS, Strength
from surrogate_opt.surrogate import Surrogate, TrainingRecord

FORMAT = "surrogate-opt/1"

ModelT = TypeVar("ModelT")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it.

    Raises:
        InputError: the folder is not there or cannot be written to, or the path is no plain file.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError(f"output: cannot write {path}: it is no plain file")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"output: cannot write {path}: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"output: cannot write {path}: {reason}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save_surrogate(surrogate: Surrogate, path: Path, *, include_data: bool = True) -> None:
    """Write a surrogate; without data, distances to data and audits on training data are not possible."""
    record = surrogate.record if include_data else surrogate.record.without_inputs()
    tensors = {f"record.{f.name}": getattr(record, f.name).contiguous() for f in fields(record)}
    tensors |= {
        "parameters": surrogate.stack.flat.contiguous(),
        "lower": surrogate.scaling.lower.contiguous(),
        "upper": surrogate.scaling.upper.contiguous(),
    }
    about = {
        "sizes": surrogate.stack.sizes,
        "num_members": surrogate.num_members,
        "activation": surrogate.stack.activation.name,
        "y_mean": surrogate.scaling.y_mean,
        "y_std": surrogate.scaling.y_std,
        "penalty": surrogate.penalty,
        "strength": surrogate.strength.to_dict(),
        "level": surrogate.level,
        "selection": surrogate.selection.to_dict(orient="split"),
        "feature_names": surrogate.feature_names,
        "target_name": surrogate.target_name,
    }
    metadata = {"format": FORMAT, "surrogate": json.dumps(about)}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors of a file, and its metadata.

    Raises:
        ModelFileError: the file is missing, truncated, or no safetensors file.
    """
    if not path.is_file():
        raise ModelFileError(f"model: no such file: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"model: {path} is truncated or no safetensors file ({error})") from None


def load_surrogate(path: Path) -> Surrogate:
    """Read a surrogate.

    Raises:
        ModelFileError: the file is missing, truncated, or not one of ours.
    """
    return read_model(
        path, FORMAT, lambda tensors, metadata: _rebuild(json.loads(metadata["surrogate"]), tensors)
    )


def read_model(
    path: Path, file_format: str, rebuild: Callable[[dict[str, torch.Tensor], dict[str, str]], ModelT]
) -> ModelT:
    """A model from a file of one format.

    Args:
        path: the file.
        file_format: what its metadata must say.
        rebuild: of tensors and metadata; raises KeyError, TypeError, ValueError or RuntimeError where they
            do not belong together.

    Raises:
        ModelFileError: the file is missing, truncated, of another format, or damaged.
    """
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != file_format:
        raise ModelFileError(
            f"model: {path} is a safetensors file of another kind: expected format {file_format!r}, "
            f"got {metadata.get('format')!r}"
        )
    try:
        return rebuild(tensors, metadata)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"model: {path} is damaged ({type(error).__name__}: {error})") from None


def _rebuild(about: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Surrogate:
    stack = StackedMLP(tuple(about["sizes"]), about["num_members"], about["activation"], dtype=torch.float64)
    record = TrainingRecord(**{f.name: tensors[f"record.{f.name}"] for f in fields(TrainingRecord)})
    _check_shapes(stack, record, tensors, about)
    stack.flat.copy_(tensors["parameters"])
    return Surrogate(
        stack,
        Scaling(tensors["lower"], tensors["upper"], float(about["y_mean"]), float(about["y_std"])),
        record,
        penalty=about["penalty"],
        strength=Strength(**about["strength"]),
        level=about["level"],
        selection=pd.DataFrame(**about["selection"]),
        feature_names=tuple(about["feature_names"]),
        target_name=about["target_name"],
    )


def _check_shapes(
    stack: StackedMLP, record: TrainingRecord, tensors: dict[str, torch.Tensor], about: dict[str, Any]
) -> None:
    """Raise a ValueError where the parts of a file do not belong together."""
    d, n = stack.sizes[0], len(record.target)
    expected = {
        "parameters": (stack.flat.numel(),),
        "lower": (d,),
        "upper": (d,),
        "record.out_of_fold": (n,),
        "record.linear_out_of_fold": (n,),
        "record.holders": (len(record.holders), n),
        "record.x": (len(record.rows), d),
    }
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{name}: expected the shape {shape}, got {tuple(tensors[name].shape)}")
    for name in ("parameters", "lower", "upper"):
        if not bool(tensors[name].isfinite().all()):
            raise ValueError(f"{name}: expected finite numbers")
    if not bool((tensors["lower"] < tensors["upper"]).all()):
        raise ValueError("lower, upper: expected lower < upper")
    if not (math.isfinite(about["y_mean"]) and about["y_std"] > 0.0 and math.isfinite(about["y_std"])):
        raise ValueError("y_mean, y_std: expected a finite mean and a positive deviation")
    if about["penalty"] not in METHODS or not isinstance(about["level"], int | float):
        raise ValueError("penalty, level: expected a known method and a number")
    if len(about["feature_names"]) != d:
        raise ValueError(f"feature_names: expected {d}, got {len(about['feature_names'])}")
    if not bool(((record.holders >= 0) & (record.holders < stack.num_members)).all()):
        raise ValueError(f"record.holders: expected numbers of the {stack.num_members} members")

"""Learned dynamics as files: safetensors for the numbers, JSON metadata for the rest, never pickle."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save_file

from surrogate_opt.dynamics.dynamics import Dynamics, DynamicsRecord
from surrogate_opt.dynamics.encoding import Encoding
from surrogate_opt.dynamics.scaling import TransitionScaling
from surrogate_opt.model_file import read_model, write_atomically
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import METHODS, Strength

FORMAT = "surrogate-opt-dynamics/1"


def save_dynamics(dynamics: Dynamics, path: Path) -> None:
    """Write learned dynamics to one file."""
    tensors, description = dynamics_parts(dynamics)
    metadata = {"format": FORMAT, "dynamics": description}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def dynamics_parts(dynamics: Dynamics) -> tuple[dict[str, torch.Tensor], str]:
    """All there is to learned dynamics: tensors by name, contiguous, and the rest as JSON."""
    scaling, encoding, record = dynamics.scaling, dynamics.encoding, dynamics.record
    tensors = {
        **{field.name: getattr(scaling, field.name) for field in fields(scaling)},
        "parameters": dynamics.stack.flat,
        "bounds": dynamics.bounds,
        "one_step_r2": record.one_step_r2,
        "one_step_rmse": record.one_step_rmse,
    }
    about = {
        "sizes": dynamics.stack.sizes,
        "num_members": dynamics.num_members,
        "activation": dynamics.stack.activation.name,
        "angles": encoding.angles,
        "copies": list(encoding.copies.items()),
        "penalty": record.penalty,
        "strength": record.strength.to_dict(),
        "level": record.level,
        "selection": record.selection.to_dict(orient="split"),
        "num_rows": record.num_rows,
        "rollout_steps": record.rollout_steps,
        "state_names": dynamics.state_names,
        "action_names": dynamics.action_names,
        "dt": dynamics.dt,
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, json.dumps(about)


def load_dynamics(path: Path) -> Dynamics:
    """Read learned dynamics.

    Raises:
        ModelFileError: the file is missing, truncated, or not one of ours.
    """
    return read_model(
        path, FORMAT, lambda tensors, metadata: dynamics_of_parts(tensors, metadata["dynamics"])
    )


def dynamics_of_parts(tensors: dict[str, torch.Tensor], description: str) -> Dynamics:
    """Learned dynamics from what ``dynamics_parts`` gave.

    Raises:
        KeyError: something is missing.
        TypeError: something is of another type.
        ValueError: parts that do not belong together.
    """
    about = json.loads(description)
    encoding = Encoding(
        num_states=len(about["state_names"]),
        num_actions=len(about["action_names"]),
        angles=tuple(about["angles"]),
        copies=dict(about["copies"]),
    )
    stack = StackedMLP(tuple(about["sizes"]), about["num_members"], about["activation"], dtype=torch.float64)
    _check(encoding, stack, tensors, about)
    stack.flat.copy_(tensors["parameters"])
    record = DynamicsRecord(
        penalty=about["penalty"],
        strength=Strength(**about["strength"]),
        level=about["level"],
        selection=pd.DataFrame(**about["selection"]),
        one_step_r2=tensors["one_step_r2"],
        one_step_rmse=tensors["one_step_rmse"],
        num_rows=about["num_rows"],
        rollout_steps=about["rollout_steps"],
    )
    return Dynamics(
        stack,
        TransitionScaling(**{field.name: tensors[field.name] for field in fields(TransitionScaling)}),
        encoding,
        record,
        bounds=tensors["bounds"],
        state_names=tuple(about["state_names"]),
        action_names=tuple(about["action_names"]),
        dt=about["dt"],
    )


def _check(
    encoding: Encoding, stack: StackedMLP, tensors: dict[str, torch.Tensor], about: dict[str, Any]
) -> None:
    """Raise a ValueError where the parts of a file do not belong together."""
    num_learned = len(encoding.learned)
    if (stack.sizes[0], stack.sizes[-1]) != (encoding.num_features, num_learned):
        raise ValueError(
            f"sizes: expected {encoding.num_features} inputs, {num_learned} outputs, got {stack.sizes}"
        )
    expected = {
        "parameters": (stack.flat.numel(),),
        "mix": (encoding.num_features, encoding.num_features),
        "lower": (encoding.num_features,),
        "upper": (encoding.num_features,),
        "mean": (num_learned,),
        "std": (num_learned,),
        "bounds": (2, encoding.num_states + encoding.num_actions),
        "one_step_r2": (encoding.num_states,),
        "one_step_rmse": (encoding.num_states,),
    }
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{name}: expected the shape {shape}, got {tuple(tensors[name].shape)}")
    for name in ("parameters", "mix", "lower", "upper", "mean", "std"):
        if not bool(tensors[name].isfinite().all()):
            raise ValueError(f"{name}: expected finite numbers")
    if not bool((tensors["lower"] < tensors["upper"]).all()) or not bool((tensors["std"] > 0.0).all()):
        raise ValueError("lower, upper, std: expected lower < upper and positive deviations")
    if about["penalty"] not in METHODS or not isinstance(about["level"], int | float):
        raise ValueError("penalty, level: expected a known method and a number")

"""BoTorch models of ours as files: safetensors for the numbers, JSON metadata for the rest, never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from botorch.models.model import Model
from safetensors.torch import save_file
from torch import Tensor

from surrogate_opt.adapters.botorch.deep_kernel import DeepKernelGP
from surrogate_opt.adapters.botorch.ensemble import EnsembleSurrogate
from surrogate_opt.adapters.botorch.last_layer import LastLayerModel
from surrogate_opt.errors import InputError, ModelFileError
from surrogate_opt.model_file import read_safetensors, write_atomically

FORMAT = "surrogate-opt-botorch/1"


class StorableModel(Protocol):
    """A BoTorch model that can be taken apart and put together again, with an identical posterior."""

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that determines the posterior: tensors, and what JSON can hold."""
        ...

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], about: dict[str, Any]) -> Model:
        """The inverse; raises KeyError, TypeError, ValueError or RuntimeError where parts do not fit."""
        ...


KINDS: dict[str, type[StorableModel]] = {
    "ensemble": EnsembleSurrogate,
    "last_layer": LastLayerModel,
    "deep_kernel": DeepKernelGP,
}


def save_model(model: StorableModel, path: str | Path) -> None:
    """Write a model; a half-written file never takes the name.

    Args:
        model: one of the kinds in ``KINDS``.
        path: the file.

    Raises:
        InputError: a model of another kind, or a path that cannot be written to.
    """
    kinds = {cls: kind for kind, cls in KINDS.items()}
    if type(model) not in kinds:
        raise InputError(
            f"model: expected one of {', '.join(cls.__name__ for cls in kinds)}, got {type(model).__name__}"
        )
    tensors, about = model.to_tensors()
    own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "kind": kinds[type(model)], "about": json.dumps(about)}
    write_atomically(Path(path), lambda temporary: save_file(own, temporary, metadata))


def load_model(path: str | Path) -> Model:
    """Read a model back; its posterior is identical to the saved one's.

    Raises:
        ModelFileError: the file is missing, truncated, or not one of ours.
    """
    path = Path(path)
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT or metadata.get("kind") not in KINDS:
        raise ModelFileError(
            f"model: {path} is a safetensors file of another kind: expected format {FORMAT!r} and one of the "
            f"kinds {', '.join(KINDS)}, got {metadata.get('format')!r} and {metadata.get('kind')!r}"
        )
    try:
        return KINDS[metadata["kind"]].from_tensors(tensors, json.loads(metadata["about"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"model: {path} is damaged ({type(error).__name__}: {error})") from None

"""Cells on another device than the CPU, where their experiment has a choice."""

from __future__ import annotations

from collections.abc import Sequence

from surrogate_opt.data.checks import check_device
from surrogate_opt.errors import InputError
from surrogate_opt.study.store import StudyCell


def on_device(cells: Sequence[StudyCell], device: str | None) -> list[StudyCell]:
    """The cells with their spec's device set; as they are where none is given.

    Raises:
        InputError: the experiment has no device to choose, or torch cannot use it here.
    """
    if device is None:
        return list(cells)
    if any("device" not in type(cell.spec).model_fields for cell in cells):
        raise InputError("device: this experiment runs on the CPU alone")
    check_device(device)
    moved = []
    for cell in cells:
        spec = cell.spec.model_copy(update={"device": device})
        moved.append(cell.model_copy(update={"spec": spec}))  # type: ignore[attr-defined]  # all are models
    return moved

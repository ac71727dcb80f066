"""What the specs of all studies share: strict validation, TOML files, errors of one line, mixed seeds."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from surrogate_opt.errors import InputError

SpecT = TypeVar("SpecT", bound=BaseModel)

Positive = Annotated[int, Field(ge=1)]
"""A count in a spec."""


def budget_spec(
    budgets: Mapping[str, SpecT], budget: str, path: Path | None, changes: Mapping[str, object]
) -> SpecT:
    """A budget's study, with a TOML file's values over it, and the given ones over these.

    Args:
        budgets: the studies that can be named.
        budget: one of them.
        path: TOML file of any of the study's fields, or None.
        changes: fields by name; those that are None change nothing.

    Raises:
        InputError: an unknown budget, name or key, or a value out of range; one line.
    """
    if budget not in budgets:
        raise InputError(f"budget: expected one of {', '.join(budgets)}, got {budget!r}")
    base = budgets[budget]
    values = base.model_dump() | (_read_toml(path) if path else {})
    values |= {name: value for name, value in changes.items() if value is not None}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return type(base).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None


def known_names(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The names as they came, once each is known and comes once.

    Raises:
        ValueError: they are not; a validator's message.
    """
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"expected some of {', '.join(known)}, got {', '.join(unknown) or 'none'}")
    if len(set(names)) < len(names):
        raise ValueError(f"expected each name once in {what}, got {', '.join(names)}")
    return names


def mixed_seed(*numbers: int) -> int:
    """One seed of several numbers; any other numbers give an independent one."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def hashed_key(*parts: object) -> str:
    """A cell's key: the hash of all that determines its result, anything JSON can write."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"spec: cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"spec: {path} is not TOML: {error}") from None

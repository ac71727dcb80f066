"""The methods a user can name, each with its grid of strengths and the source papers' fixed one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from surrogate_opt.errors import InputError

GRID_POINTS = 8


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How strongly each device acts on one network.

    Attributes:
        dreg: weight of the layer-wise Jacobian penalty.
        igp: weight of the input-gradient penalty; with several outputs, or logits, FrobReg.
        spectral_bound: the most that any layer's spectral norm may be.
        datagrad: weight of the penalty on the gradient of every input's own loss.
        spectral_exact: whether every layer's spectral norm is the bound, and not at most the bound.
        spectreg: weight of ||J^T r||^2 with r normal, of variance 1 / m.
        onehot: weight of ||J^T y||^2, y one at the label.
        random_onehot: weight of ||J^T r||^2, r a random basis vector times sqrt(m).
        jacreg: weight of the squared Frobenius norm of the Jacobian of the softmax's probabilities.
        confidence: weight of the softmax's negative entropy.
        dropout: share of each hidden layer's units that a training step switches off.
        weight_decay: AdamW's, instead of the recipe's; None for the recipe's.

    Raises:
        InputError: a field that cannot be used.
    """

    dreg: float = 0.0
    igp: float = 0.0
    spectral_bound: float = math.inf
    datagrad: float = 0.0
    spectral_exact: bool = False
    spectreg: float = 0.0
    onehot: float = 0.0
    random_onehot: float = 0.0
    jacreg: float = 0.0
    confidence: float = 0.0
    dropout: float = 0.0
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        if self.spectral_exact and not math.isfinite(self.spectral_bound):
            raise InputError("spectral_bound: expected a finite one where it is exact, got none")
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(f"dropout: expected a share in [0, 1), got {self.dropout}")
        if self.weight_decay is not None and not 0.0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay: expected a number of at least 0, got {self.weight_decay}")

    def to_dict(self) -> dict[str, float | None]:
        """As plain numbers."""
        return asdict(self)


_COSTLY = ("igp", "datagrad", "spectreg", "onehot", "random_onehot", "jacreg", "dropout")
"""Devices that a stack pays for as a whole, whoever of its members uses them."""


def costly_groups(strengths: Sequence[Strength]) -> dict[frozenset[str], list[int]]:
    """Members by the costly devices that they use, so that nobody pays for those of others."""
    groups: dict[frozenset[str], list[int]] = {}
    for member, strength in enumerate(strengths):
        costly = frozenset(name for name in _COSTLY if getattr(strength, name) != 0.0)
        groups.setdefault(costly, []).append(member)
    return groups


def stacks_of(strengths: Sequence[Strength], most: Callable[[frozenset[str]], int]) -> list[list[int]]:
    """Members cut into stacks of those that pay for the same devices.

    Args:
        strengths: of the members.
        most: members of a stack, by the costly devices that they use.
    """
    stacks = []
    for costly, group in costly_groups(strengths).items():
        num_stacks = math.ceil(len(group) / max(1, most(costly)))
        stacks += [part.tolist() for part in np.array_split(group, num_stacks)]
    return stacks


def _half_decades(position: int) -> float:
    """0, then 1e-4, 3.2e-4, ... 1e-1 and on, in half decades."""
    return 0.0 if position == 0 else 10.0 ** (-4.0 + 0.5 * (position - 1))


def _tenfold(position: int) -> float:
    """Ten times ``_half_decades``: a loss's gradients are the output's times residuals, which are small."""
    return 10.0 * _half_decades(position)


def _half_octaves(position: int) -> float:
    """8, 5.7, 4, ... 0.7 and on, by factors of sqrt 2."""
    return 8.0 * math.pow(2.0, -0.5 * position)


def _left_out(position: int) -> float:
    """Shares 0, 0.09, 0.18, ... 0.5 and on: what is kept falls by a seventh of an octave each time."""
    return 1.0 - math.pow(2.0, -position / 7.0)


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to control derivatives.

    Attributes:
        name: what users type.
        label: the strength's symbol for tables and axes.
        at: turns the method's one number into a ``Strength``.
        paper: the fixed number of the source papers.
        level: the number at position k of the grid, weak to strong, defined beyond the grid's ends too.
        weakest: the first position that exists; the grid begins there (0 penalty cannot be weakened).
        num_points: points of the grid; 1 for a method without a strength.
    """

    name: str
    label: str
    at: Callable[[float], Strength]
    paper: float
    level: Callable[[int], float] = _half_decades
    weakest: int | None = 0
    num_points: int = GRID_POINTS

    def positions(self) -> list[int]:
        """Positions of the default grid."""
        return list(range(self.num_points))

    def extend(self, positions: list[int], chosen: int) -> list[int]:
        """The next position where the chosen one is at an edge of those tried; empty where it is inside."""
        if self.num_points == 1:
            return []
        if chosen == max(positions):
            return [chosen + 1]
        if chosen == min(positions) and self.weakest is None:
            return [chosen - 1]
        return []


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="none",
            label="no penalty",
            at=lambda _: Strength(),
            level=lambda _: 0.0,
            num_points=1,
            paper=0.0,
        ),
        Method(
            name="dreg",
            label="DREG weight λ",
            at=lambda level: Strength(dreg=level),
            paper=1e-2,
        ),
        Method(
            name="igp",
            label="input-gradient weight λ",
            at=lambda level: Strength(igp=level),
            paper=1e-2,
        ),
        Method(
            name="sn",
            label="spectral-norm bound c",
            at=lambda level: Strength(spectral_bound=level),
            level=_half_octaves,
            weakest=None,
            paper=1.0,
        ),
        Method(
            name="dreg+igp",
            label="weight λ of DREG and of input gradient",
            at=lambda level: Strength(dreg=level, igp=level),
            paper=1e-2,
        ),
        Method(
            name="datagrad",
            label="loss-gradient weight λ",
            at=lambda level: Strength(datagrad=level),
            level=_tenfold,
            paper=1.0,
        ),
        Method(
            name="spectreg",
            label="SpectReg weight λ",
            at=lambda level: Strength(spectreg=level),
            paper=0.03,
        ),
        Method(
            name="weight_decay",
            label="weight decay",
            at=lambda level: Strength(weight_decay=level),
            level=lambda position: 10.0 ** (-3.0 + 0.5 * position),
            weakest=None,
            paper=1e-2,
        ),
        Method(
            name="dropout",
            label="share of units left out",
            at=lambda level: Strength(dropout=level),
            level=_left_out,
            paper=0.5,
        ),
    )
}

STUDIED: Final = ("none", "dreg", "igp", "sn", "dreg+igp")
"""Those that a study compares unless it is told others."""


def get_method(name: str) -> Method:
    """Look a method up by name.

    Raises:
        InputError: an unknown name; the message lists the known ones.
    """
    if name not in METHODS:
        raise InputError(f"penalty: expected one of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]

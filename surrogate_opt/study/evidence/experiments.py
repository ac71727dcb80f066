"""The experiments that reproduce the papers' claims, by the names users type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
from surrogate_problems.datasets import load_images

from surrogate_opt.study.evidence import mnist_sensitivity as mnist
from surrogate_opt.study.evidence.claim import Claim, Finding
from surrogate_opt.study.store import CellOutcome, StudyCell

PROTOCOL: Final = "paper"
"""The preset on which verdicts rest."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment: what it computes, and which claims it decides.

    Attributes:
        name: what users type.
        title: one line.
        protocol: how the claims' figures were measured, there and here.
        check: raises where the data folder lacks what is needed.
        claims: those it decides.
        presets: the cells of each, given the data folder; ``paper`` is the protocol.
        compute: computes a cell; a function that worker processes can import.
        find: judges the claims by the rows of all cells of the protocol.
        columns: figures of its table, averaged over seeds.
        groups: columns that name a row of it.
    """

    name: str
    title: str
    protocol: str
    check: Callable[[Path], object]
    claims: tuple[Claim, ...]
    presets: dict[str, Callable[[Path], Sequence[StudyCell]]]
    compute: Callable[[Any], CellOutcome]
    find: Callable[[pd.DataFrame], list[Finding]]
    columns: tuple[str, ...]
    groups: tuple[str, ...]


EXPERIMENTS: Final = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            name="mnist-sensitivity",
            title=mnist.TITLE,
            protocol=mnist.PROTOCOL,
            check=partial(load_images, "mnist"),
            claims=mnist.CLAIMS,
            presets={
                PROTOCOL: mnist.MnistSpec().cells,
                "quick": mnist.MnistSpec(hidden=((32, 16), (128, 64)), epochs=2).cells,
                "smoke": mnist.MnistSpec(hidden=((8,), (16,)), seeds=2, rows=1000, epochs=1).cells,
            },
            compute=mnist.run_mnist_cell,
            find=mnist.find_mnist,
            columns=mnist.COLUMNS,
            groups=("hidden", "activation", "method"),
        ),
    )
}

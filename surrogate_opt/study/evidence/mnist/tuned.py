"""DREG, spectral bounds and a per-image input-gradient penalty on MNIST, each at a strength tuned alike.

A method's strength is the strongest of its grid whose accuracy on 10,000 training images held out, mean over
seeds, is at most 0.1 points under that without a penalty: as much control as costs no accuracy. Where all of
a grid costs more, the method is no penalty. The test images then tell who has the lighter tails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Final

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from surrogate_problems.datasets import load_images

from surrogate_opt.penalties import Strength
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.claim import (
    Finding,
    Judgement,
    describe,
    directional_verdict,
    named_claims,
    named_findings,
)
from surrogate_opt.study.evidence.mnist.sensitivity import (
    COLUMNS,
    normalized_images,
    sensitivity_figures,
)
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key
from surrogate_opt.training.classification import ClassifierRecipe, classify, train_classifiers

CELL_VERSION = 4
NAME: Final = "mnist-tuned"
NUM_DEV: Final = 10_000
FREE_POINTS: Final = 0.1

GRIDS: Final = {
    "base": {0.0: Strength()},
    "dreg": {level: Strength(dreg=level) for level in (10.0 ** (-3.0 + 0.5 * step) for step in range(8))},
    "igp": {level: Strength(datagrad=level) for level in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)},
    "sn": {
        level: Strength(spectral_bound=level)
        for level in (4.0, 2.8, 2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25, 0.18)
    },
}
"""Strengths by method and level, weak to strong; ``igp`` penalizes every image's own loss."""


class TunedSpec(BaseModel):
    """What is trained.

    Attributes:
        hidden: widths of the hidden layers.
        activations: of the hidden layers.
        seeds: of initial weights and minibatches, from 0.
        rows: training images, the first ones; the last 10,000 are held out.
        epochs: passes over them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hidden: tuple[Positive, ...] = (32, 16)
    activations: tuple[str, ...] = ("relu", "poly")
    seeds: Positive = 5
    rows: Annotated[int, Field(ge=100, le=50_000)] = 50_000
    epochs: Positive = 8

    def cells(self, folder: Path) -> list[TunedCell]:
        """A cell for each activation and seed."""
        return [
            TunedCell(spec=self, activation=activation, instance=seed, folder=folder)
            for seed in range(self.seeds)
            for activation in self.activations
        ]


class TunedCell(EvidenceCell):
    """All methods and strengths on one activation and seed."""

    family: ClassVar[str] = NAME
    spec: TunedSpec
    activation: str
    folder: Path

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.activation}, seed {self.instance}"

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        settings = self.spec.model_dump(mode="json", include={"hidden", "rows", "epochs"})
        return hashed_key(NAME, CELL_VERSION, settings, self.activation, self.instance)


def run_tuned_cell(cell: TunedCell) -> StoredOutcome:
    """Train all strengths on the same minibatches; measure on images held out and on the test images."""
    spec, images = cell.spec, load_images("mnist", cell.folder)
    x, dev, test = (
        normalized_images(part)
        for part in (images.x_train[: spec.rows], images.x_train[-NUM_DEV:], images.x_test)
    )
    labels, dev_labels, test_labels = (
        torch.from_numpy(part)
        for part in (images.y_train[: spec.rows], images.y_train[-NUM_DEV:], images.y_test)
    )
    places = [(method, level) for method, grid in GRIDS.items() for level in grid]
    stack = train_classifiers(
        x,
        labels,
        [GRIDS[method][level] for method, level in places],
        ClassifierRecipe(hidden=spec.hidden, activation=cell.activation, epochs=spec.epochs),
        num_classes=10,
        seed=cell.instance,
    ).to(torch.float64)
    dev_accuracy, _ = classify(stack, dev, dev_labels)
    accuracy, norms = classify(stack, test, test_labels)
    rows = [
        {"activation": cell.activation, "seed": cell.instance, "method": method, "level": level}
        | {"dev_accuracy": 100.0 * float(dev_accuracy[member])}
        | sensitivity_figures(100.0 * float(accuracy[member]), norms[member].numpy())
        for member, (method, level) in enumerate(places)
    ]
    return StoredOutcome(truth={}, rows=rows, arrays={})


TITLE: Final = "MNIST: DREG, spectral bounds and a per-image input-gradient penalty, tuned alike"
PROTOCOL: Final = (
    "MLP (32, 16), ReLU and poly, 5 seeds, 50,000 images, 8 epochs; each method at the strongest of its grid "
    "that costs at most 0.1 points of accuracy on 10,000 images held out; pairs share activation and seed."
)
_WHY_IGP: Final = (
    "the rival penalizes, image by image, what the figure measures; DREG what bounds it layer by layer"
)
_WHY_SN: Final = "under ReLU the bounds do so, under polynomials, whose slopes they do not bound, DREG"
_RIVALS: Final = {"igp": ("an input-gradient penalty", _WHY_IGP), "sn": ("spectral bounds", _WHY_SN)}
_LOWERED: Final = {
    "p99": ("p99", "the 99th percentile"),
    "max": ("max", "the maximum"),
    "ratio": ("p99_over_mean", "p99/mean"),
}
"""Columns, and what claims call them."""
CLAIMS: Final = named_claims(
    NAME,
    (
        (f"{method}-{name}", f"DREG lowers {figure} further than {rival}", "Section 6.3, no figure")
        for method, (rival, _) in _RIVALS.items()
        for name, (_, figure) in _LOWERED.items()
    ),
    {f"{method}-{name}": why for method, (_, why) in _RIVALS.items() for name in _LOWERED},
)


def chosen_levels(table: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Every method's strength by activation and method; NaN where all of its grid costs accuracy."""
    chosen = {}
    for activation, group in table.groupby("activation", sort=False):
        dev = group.groupby(["method", "level"])["dev_accuracy"].mean()
        bar = float(dev["base", 0.0]) - FREE_POINTS
        for method, grid in GRIDS.items():
            allowed = [level for level in grid if float(dev[method, level]) >= bar]
            chosen[str(activation), method] = allowed[-1] if allowed else float("nan")
    return chosen


def chosen_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of every method's own strength under each activation; the base's where it has none."""
    kept = []
    for (activation, method), level in chosen_levels(table).items():
        own = table[table["activation"] == activation]
        source, at = (method, level) if np.isfinite(level) else ("base", 0.0)
        rows = own[(own["method"] == source) & (own["level"] == at)]
        kept.append(rows.assign(method=method))
    return pd.concat(kept, ignore_index=True)


def find_tuned(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims by the rows of all cells."""
    rows = chosen_rows(table)
    wide = rows.set_index(["activation", "seed", "method"])[list(COLUMNS)].unstack("method")
    found: dict[str, Judgement] = {}
    for rival in _RIVALS:
        points = (wide["accuracy"]["dreg"] - wide["accuracy"][rival]).to_numpy()
        remark = f"accuracy {describe(points, digits=2, unit=' points')}{_at_edges(table)}"
        for name, (column, _) in _LOWERED.items():
            lower = (wide[column][rival] - wide[column]["dreg"]).to_numpy()
            found[f"{rival}-{name}"] = describe(lower, digits=2), directional_verdict(lower), remark
    return named_findings(NAME, found)


def _at_edges(table: pd.DataFrame) -> str:
    """Which choices are the strongest of their grids."""
    edges = [
        f"{activation} {method}"
        for (activation, method), level in chosen_levels(table).items()
        if len(GRIDS[method]) > 1 and level == list(GRIDS[method])[-1]
    ]
    return f"; at the grid's end: {', '.join(edges)}" if edges else ""


def summarize_tuned(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of every strength, the chosen ones starred."""
    chosen = chosen_levels(table)
    means = table.groupby(["activation", "method", "level"], sort=False)[["dev_accuracy", *COLUMNS]].mean()
    rows = []
    for place, figures in means.iterrows():
        activation, method, level = np.asarray(place, dtype=object)
        star = " *" if chosen[str(activation), str(method)] == level else ""
        row = {"mean over seeds": f"{activation} {method} {level:.3g}{star}"}
        rows.append(row | {str(name): f"{value:.3g}" for name, value in figures.items()})
        for name in ("dev_accuracy", "accuracy"):
            rows[-1][name] = f"{figures[name]:.2f}"
    return pd.DataFrame(rows)

"""Fits of the models to all evaluations so far, each from where the last one that was used has ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from botorch.models.model import Model

from surrogate_opt.adapters.botorch.fitter import FitterState, ModelFitter
from surrogate_opt.adapters.botorch.registry import join_models
from surrogate_opt.loops.bayesian.seeds import Purpose, derived_seed
from surrogate_opt.loops.bayesian.table import ModelTable

CHOICE_INTERVAL = 10
"""The penalty's strength is chosen anew after so many evaluations."""

FitterFactory = Callable[[int], ModelFitter]
"""From a seed to a fitter."""


@dataclass(frozen=True, kw_only=True)
class RefitRecord:
    """What it takes to repeat a fit, and to go on from it.

    Attributes:
        num_evaluations: how many evaluations were fitted.
        start: from output to the state that the fit began with; an output not in it began afresh.
        end: from output to the state that the next fit begins with.
        chosen_before: how many evaluations there were when the strength was last chosen before this fit; 0
            for never.
        chosen: the same after it.
    """

    num_evaluations: int
    start: Mapping[int, FitterState]
    end: Mapping[int, FitterState]
    chosen_before: int
    chosen: int


@dataclass(frozen=True, kw_only=True)
class Refit:
    """A fitted model.

    Attributes:
        model: its first output is the objective, of which more is better; then the constraints of the table.
        table: what it was fitted to.
        record: how to repeat it and go on from it.
        seconds: what it took.
        strength: the penalty's level for the objective; NaN where the fitter's state names no "level".
    """

    model: Model
    table: ModelTable
    record: RefitRecord
    seconds: float
    strength: float


def refit(table: ModelTable, make_fitter: FitterFactory, seed: int, last: RefitRecord | None) -> Refit:
    """Fit one model an output and join them.

    Nothing but the arguments decides the result: fitters are made for the occasion and take up the state they
    are given, so a loop read from a file, or one that was looked at in between, fits the same models.

    Args:
        table: what to fit.
        make_fitter: from a seed to a fitter.
        seed: the loop's.
        last: the last fit that a proposal came from. If it was of as many evaluations, it is repeated.

    Raises:
        TrainingError: no usable model came of an output.
    """
    began = time.perf_counter()
    start, chosen_before = _start(table, last)
    choose = chosen_before == 0 or table.num_evaluations - chosen_before >= CHOICE_INTERVAL
    models, end = [], dict(start)
    for position, output in enumerate(table.columns):
        fitter = make_fitter(seed if output == 0 else derived_seed(seed, Purpose.FIT, output))
        if output in start:
            fitter.restore(start[output])
        models.append(fitter.fit(table.x, table.outputs[:, position], choose_strength=choose))
        end[output] = fitter.state()
    return Refit(
        model=models[0] if len(models) == 1 else join_models(models),
        table=table,
        record=RefitRecord(
            num_evaluations=table.num_evaluations,
            start=start,
            end=end,
            chosen_before=chosen_before,
            chosen=table.num_evaluations if choose else chosen_before,
        ),
        seconds=time.perf_counter() - began,
        strength=float(end[0].about.get("level", math.nan)),
    )


def _start(table: ModelTable, last: RefitRecord | None) -> tuple[Mapping[int, FitterState], int]:
    """The states a fit begins with, and when the strength was last chosen."""
    if last is None:
        return {}, 0
    if last.num_evaluations == table.num_evaluations:
        return last.start, last.chosen_before
    return last.end, last.chosen

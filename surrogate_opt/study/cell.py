"""Computes one cell: trains every method and strength on one instance, audits all, follows the loops."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from surrogate_problems.families import FAMILIES, Family
from torch import Tensor

from surrogate_opt.auditing.loops_compared import LoopMethod, TruthReference, ghost_signals
from surrogate_opt.data import Scaling, fit_linear
from surrogate_opt.diagnostics import (
    Degeneracy,
    GradientField,
    Sensitivity,
    degeneracy,
    evaluate_values,
    gradient_field_each,
    normalize_gradient,
    sensitivity_each,
    sobol_points,
)
from surrogate_opt.fitting import MAX_EXTENSIONS, StrengthSearch
from surrogate_opt.penalties import Strength, get_method
from surrogate_opt.study.ensembles import EnsembleBatch
from surrogate_opt.study.spec import Cell
from surrogate_opt.training.crossvalidation import CrossValidation, plan_folds
from surrogate_opt.training.selection import Choice
from surrogate_opt.training.trainer import TrainingConfig

NUM_MEMBERS = 5
NUM_POINTS = 2048
NORM_EDGES = np.linspace(-3.0, 3.0, 121)
"""Bin edges of the gradient norms' histograms, as log10 of the normalized norm."""


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What a cell leaves in the store.

    Attributes:
        truth: figures of the instance itself: linear R^2, optimum, the truth's own regrets.
        rows: one a method and strength, plain numbers by name.
        arrays: histograms of gradient norms and the parameters of the chosen ensembles, by name.
    """

    truth: dict[str, Any]
    rows: list[dict[str, Any]]
    arrays: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """A method's positions, where each lies among the trained strengths, and what the rule chose."""

    method: str
    positions: list[int]
    places: list[int]
    choice: Choice

    @property
    def chosen_position(self) -> int:
        return self.positions[self.choice.chosen]

    @property
    def paper_position(self) -> int:
        method = get_method(self.method)
        gaps = [abs(method.level(position) - method.paper) for position in self.positions]
        return self.positions[gaps.index(min(gaps))]


def instance_of(cell: Cell) -> tuple[Family, Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """The cell's truth and its training data."""
    truth = FAMILIES[cell.family](dim=cell.spec.dim, seed=cell.instance)
    return truth, *truth.sample(cell.spec.num_train, noise_std=cell.spec.noise_std, seed=cell.data_seed)


def strength_search(
    cell: Cell, scaling: Scaling, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]
) -> StrengthSearch:
    """What trains the cell's strengths on the folds of its data."""
    spec = cell.spec
    config = TrainingConfig(
        hidden=spec.hidden,
        activation=spec.activation,
        epochs=spec.epochs,
        batch_size=spec.batch_size,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        device=spec.device,
    )
    plan = plan_folds(x, NUM_MEMBERS, cell.seed)
    return StrengthSearch(scaling.unit(x), scaling.unit_target(y), plan, config)


def run_cell(cell: Cell) -> CellResult:
    """Train, choose, audit and follow, all from the cell's seeds."""
    spec = cell.spec
    truth, x, y = instance_of(cell)
    scaling = Scaling.from_data(truth.bounds, y)
    search = strength_search(cell, scaling, x, y)
    validation, tried = _try_methods(search, spec.methods)
    batch = EnsembleBatch(validation.stack, NUM_MEMBERS, scaling)
    reference = TruthReference.of(truth, num_starts=spec.starts, num_steps=spec.loop_steps, seed=cell.seed)
    audits = audit_ensembles(batch, reference, x, y)
    looped = _follow(batch, reference, spec.loops, tried)
    rows = [
        _row(one, index, validation, audits, looped) for one in tried for index in range(len(one.positions))
    ]
    return CellResult(
        truth=_truth_figures(truth.linear_r2, truth.optimum_source, reference, spec.loops, looped),
        rows=rows,
        arrays=_arrays(batch, reference, tried),
    )


def _try_methods(search: StrengthSearch, methods: tuple[str, ...]) -> tuple[CrossValidation, list[_Tried]]:
    """Train the union of all grids; where a choice is at an edge, every method gets a point more."""
    positions = {name: get_method(name).positions() for name in methods}
    validation = search.train(_union(positions))
    tried = _choose(search, validation, positions)
    for _ in range(MAX_EXTENSIONS):
        if not any(_edge(one) for one in tried):
            break
        for one in tried:
            edge = _edge(one) or _stronger(one)
            positions[one.method] = sorted([*one.positions, *edge])
        more = [strength for strength in _union(positions) if strength not in validation.strengths]
        validation = validation.joined(search.train(more))
        tried = _choose(search, validation, positions)
    return validation, tried


def _edge(one: _Tried) -> list[int]:
    return get_method(one.method).extend(one.positions, one.chosen_position)


def _stronger(one: _Tried) -> list[int]:
    return get_method(one.method).extend(one.positions, max(one.positions))


def _union(positions: dict[str, list[int]]) -> list[Strength]:
    strengths = [
        get_method(name).at(get_method(name).level(position))
        for name, some in positions.items()
        for position in some
    ]
    return list(dict.fromkeys(strengths))


def _choose(
    search: StrengthSearch, validation: CrossValidation, positions: dict[str, list[int]]
) -> list[_Tried]:
    tried = []
    for name, some in positions.items():
        method = get_method(name)
        places = [validation.strengths.index(method.at(method.level(position))) for position in some]
        choice, _ = search.choose(validation.select(places), "plateau")
        tried.append(_Tried(method=name, positions=some, places=places, choice=choice))
    return tried


@dataclass(frozen=True, kw_only=True)
class Audits:
    """Diagnostics of every ensemble of a batch."""

    sensitivity: list[Sensitivity]
    field: list[GradientField]
    degeneracy: list[Degeneracy]


def audit_ensembles(
    batch: EnsembleBatch, reference: TruthReference, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]
) -> Audits:
    """Diagnose every ensemble against the truth; the data are for the plane beside them."""
    count = batch.num_ensembles
    points = sobol_points(reference.bounds, NUM_POINTS, reference.seed)
    shared = points.expand(count, -1, -1)
    field = gradient_field_each(batch, reference.truth, count, bounds=reference.bounds, seed=reference.seed)
    values, predicted = reference.truth.value(points), evaluate_values(batch, shared)
    plane = fit_linear(x, y).predict(points)
    return Audits(
        sensitivity=sensitivity_each(
            batch, shared, bounds=reference.bounds, scale=reference.scale, seed=reference.seed
        ),
        field=field,
        degeneracy=[
            degeneracy(values, each, plane, gain=one.gain) for each, one in zip(predicted, field, strict=True)
        ],
    )


def _follow(
    batch: EnsembleBatch, reference: TruthReference, loops: tuple[LoopMethod, ...], tried: list[_Tried]
) -> dict[str, dict[int, dict[str, Any]]]:
    """Ghost signals by loop and place: of every strength in the first loop, of those used in the others."""
    used = sorted(
        {
            one.places[one.positions.index(position)]
            for one in tried
            for position in (one.chosen_position, one.paper_position)
        }
    )
    rest = [place for place in range(batch.num_ensembles) if place not in used]
    signals: dict[str, dict[int, dict[str, Any]]] = {}
    for loop in loops:
        first = loop == loops[0]
        found = ghost_signals(batch.select(used), len(used), reference, loop, thorough=first)
        signals[loop] = {place: one.to_dict() for place, one in zip(used, found, strict=True)}
        if first and rest:
            others = ghost_signals(batch.select(rest), len(rest), reference, loop, thorough=False)
            signals[loop] |= {place: one.to_dict() for place, one in zip(rest, others, strict=True)}
    return signals


def _row(
    one: _Tried,
    index: int,
    validation: CrossValidation,
    audits: Audits,
    looped: dict[str, dict[int, dict[str, Any]]],
) -> dict[str, Any]:
    position, place, choice = one.positions[index], one.places[index], one.choice
    row: dict[str, Any] = {
        "method": one.method,
        "position": position,
        "level": get_method(one.method).level(position),
        "chosen": index == choice.chosen,
        "best": index == choice.best,
        "paper": position == one.paper_position,
        "accepted": bool(choice.accepted[index]),
        "failed": bool(validation.failed[place]),
        "out_of_fold_mse": float(choice.mean_error[index]),
    }
    row |= {f"degeneracy.{name}": value for name, value in audits.degeneracy[place].to_dict().items()}
    row |= {f"sensitivity.{name}": value for name, value in asdict(audits.sensitivity[place]).items()}
    row |= {f"field.{name}": value for name, value in audits.field[place].to_dict().items()}
    for loop, by_place in looped.items():
        row |= {f"{loop}.{name}": value for name, value in by_place.get(place, {}).items()}
    return row


def _truth_figures(
    linear_r2: float,
    optimum_source: str,
    reference: TruthReference,
    loops: tuple[LoopMethod, ...],
    looped: dict[str, dict[int, dict[str, Any]]],
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "linear_r2": linear_r2,
        "optimum_source": optimum_source,
        "optimum": reference.optimum,
        "scale": reference.scale,
    }
    for loop in loops:
        first = next(iter(looped[loop].values()))
        figures |= {f"{loop}.{name}": first[f"truth_{name}"] for name in ("regret_selected", "regret_mean")}
    return figures


def _arrays(batch: EnsembleBatch, reference: TruthReference, tried: list[_Tried]) -> dict[str, Tensor]:
    """Histograms of gradient norms, and the chosen ensembles' parameters for pictures."""
    points = sobol_points(reference.bounds, NUM_POINTS, reference.seed)
    chosen = [one.places[one.choice.chosen] for one in tried]
    part = batch.select(chosen)
    gradients = part.value_and_gradient(points.expand(len(chosen), -1, -1))[1]
    arrays = {"truth.norms": _histogram(reference.truth.value_and_gradient(points)[1], reference)}
    for index, one in enumerate(tried):
        arrays[f"{one.method}.norms"] = _histogram(gradients[index], reference)
        arrays[f"{one.method}.parameters"] = part.select([index]).stack.flat.float()
    return arrays


def _histogram(gradient: Float[Tensor, "n d"], reference: TruthReference) -> Tensor:
    norms = normalize_gradient(gradient, reference.bounds, reference.scale).norm(dim=-1)
    clipped = np.clip(np.log10(norms.numpy().clip(1e-30)), NORM_EDGES[0], NORM_EDGES[-1])
    return torch.from_numpy(np.histogram(clipped, NORM_EDGES)[0])

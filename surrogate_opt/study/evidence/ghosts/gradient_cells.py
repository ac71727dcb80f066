"""Surrogates of every strength on one data set: their diagnostics, and where gradient loops on them end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from surrogate_opt.auditing.loops_compared import LoopMethod, TruthReference, ghost_signals
from surrogate_opt.data import Scaling
from surrogate_opt.diagnostics import sobol_points
from surrogate_opt.penalties import get_method
from surrogate_opt.study.cell import (
    NUM_MEMBERS,
    NUM_POINTS,
    Audits,
    audit_ensembles,
    instance_of,
    strength_search,
)
from surrogate_opt.study.ensembles import EnsembleBatch
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.spec import Cell, StudySpec
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import hashed_key

CELL_VERSION = 1
FAMILY: Final = "ghosts-gradient"
_ROW_EPOCHS = 15_000  # rows times epochs: as many steps on every size as the default study's on 300 rows


class GradientGhostSpec(BaseModel):
    """What is trained and followed.

    Attributes:
        study: families, instances, methods, networks, recipe and loops; epochs depend on the size here.
        num_train: sizes of the training data.
        noise_std: of the training targets, in standard deviations of the truth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    study: StudySpec = StudySpec()
    num_train: tuple[Annotated[int, Field(ge=20)], ...] = (100, 300, 1000)
    noise_std: tuple[Annotated[float, Field(ge=0.0)], ...] = (0.0, 0.1)

    def cells(self, folder: Path) -> list[GradientGhostCell]:
        """A cell for each data set; no data are read from the folder."""
        return [
            GradientGhostCell(
                spec=self,
                own=Cell(spec=study, family=cell.family, instance=cell.instance),
                instance=cell.instance,
            )
            for study in self._studies()
            for cell in self.study.cells()
        ]

    def _studies(self) -> list[StudySpec]:
        return [
            self.study.model_copy(
                update={
                    "num_train": num_train,
                    "noise_std": noise_std,
                    "epochs": round(_ROW_EPOCHS / num_train),
                }
            )
            for num_train in sorted(self.num_train, reverse=True)
            for noise_std in self.noise_std
        ]


class GradientGhostCell(EvidenceCell):
    """All strengths of all methods on one data set."""

    family: ClassVar[str] = FAMILY
    spec: GradientGhostSpec
    own: Cell

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return f"{self.own.place}, n = {self.own.spec.num_train}, noise {self.own.spec.noise_std}"

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        return hashed_key(FAMILY, CELL_VERSION, self.own.key)


def run_gradient_ghost_cell(cell: GradientGhostCell) -> StoredOutcome:
    """Train every strength, diagnose it, and follow it and the truth with every loop."""
    own, spec = cell.own, cell.own.spec
    truth, x, y = instance_of(own)
    scaling = Scaling.from_data(truth.bounds, y)
    places = [
        (name, get_method(name).level(position))
        for name in spec.methods
        for position in get_method(name).positions()
    ]
    # strengths that several methods share belong to the first of these
    strengths = {get_method(name).at(level): (name, level) for name, level in reversed(places)}
    validation = strength_search(own, scaling, x, y).train(list(strengths))
    batch = EnsembleBatch(validation.stack, NUM_MEMBERS, scaling)
    reference = TruthReference.of(truth, num_starts=spec.starts, num_steps=spec.loop_steps, seed=own.seed)
    spread = members_on_box(batch, reference).std(0, correction=0)
    disagreement = (spread.square().mean(-1).sqrt() / reference.scale).tolist()
    place = {
        "problem": own.family,
        "instance": own.instance,
        "num_train": spec.num_train,
        "noise_std": spec.noise_std,
    }
    found = diagnosed_and_followed(batch, reference, x, y, spec.loops)
    rows = [
        place
        | {"method": method, "level": level, "failed": bool(validation.failed[index])}
        | {"disagreement": disagreement[index]}
        | found[index]
        for index, (method, level) in enumerate(strengths.values())
    ]
    return StoredOutcome(truth={}, rows=rows, arrays={})


def members_on_box(batch: EnsembleBatch, reference: TruthReference) -> Float[Tensor, "M C n"]:
    """Every member's values at the points of the diagnostics, raw units."""
    points = sobol_points(reference.bounds, NUM_POINTS, reference.seed)
    return batch.members(points.expand(batch.num_ensembles, -1, -1))


def diagnosed_and_followed(
    batch: EnsembleBatch,
    reference: TruthReference,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    loops: Sequence[LoopMethod],
) -> list[dict[str, Any]]:
    """Of every ensemble its diagnostics, and what each loop on it loses, by the names of the table.

    Args:
        batch: the ensembles.
        reference: the truth they stand in for.
        x: training rows, for the plane beside the ensembles, raw units.
        y: their targets.
        loops: by name.
    """
    audits = audit_ensembles(batch, reference, x, y)
    rows = [_diagnostics(audits, index) for index in range(batch.num_ensembles)]
    for loop in loops:
        found = ghost_signals(batch, len(rows), reference, loop, thorough=False)
        for row, one in zip(rows, found, strict=True):
            row |= {f"{loop}.optimism": one.optimism, f"{loop}.regret": one.regret_selected}
    return rows


def _diagnostics(audits: Audits, index: int) -> dict[str, Any]:
    """By the names of the table; errors in variances of the truth."""
    sensitivity, field = audits.sensitivity[index], audits.field[index]
    degeneracy = audits.degeneracy[index]
    return {
        "kind": degeneracy.kind,
        "tail_ratio": sensitivity.tail_ratio,
        "p99": sensitivity.p99,
        "max": sensitivity.max,
        "mean": sensitivity.mean,
        "gradient_error": field.gradient_error,
        "test_mse": 1.0 - degeneracy.r2,
    }

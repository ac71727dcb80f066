"""Single networks of the DREG paper's kind: their diagnostics, and where gradient loops on them end."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict

from surrogate_opt.auditing.loops_compared import LoopMethod, TruthReference
from surrogate_opt.study.ensembles import EnsembleBatch
from surrogate_opt.study.evidence.cell import EvidenceCell
from surrogate_opt.study.evidence.ghosts.gradient_cells import diagnosed_and_followed, members_on_box
from surrogate_opt.study.evidence.synthetic.cells import SyntheticCell, SyntheticSpec, train_networks
from surrogate_opt.study.store import StoredOutcome
from surrogate_opt.study.strict_specs import Positive, hashed_key

CELL_VERSION = 1
FAMILY: Final = "ghosts-single"


class SingleGhostSpec(BaseModel):
    """What is trained and followed.

    Attributes:
        networks: those of the paper's Table 1.
        loops: by name.
        starts: of every loop.
        loop_steps: most steps of a loop.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    networks: SyntheticSpec = SyntheticSpec()
    loops: tuple[LoopMethod, ...] = ("adam", "gradient_descent", "lbfgsb")
    starts: Positive = 64
    loop_steps: Positive = 200

    def cells(self, folder: Path) -> list[SingleGhostCell]:
        """A cell for each family, instance and activation; no data are read from the folder."""
        return [
            SingleGhostCell(spec=self, own=own, instance=own.instance) for own in self.networks.cells(folder)
        ]


class SingleGhostCell(EvidenceCell):
    """All strengths and seeds on one instance."""

    family: ClassVar[str] = FAMILY
    spec: SingleGhostSpec
    own: SyntheticCell

    @property
    def place(self) -> str:
        """What the cell is called in messages."""
        return self.own.place

    @property
    def key(self) -> str:
        """Hash of all that determines the result, and of nothing else."""
        settings = self.spec.model_dump(mode="json", exclude={"networks"})
        return hashed_key(FAMILY, CELL_VERSION, settings, self.own.key)


def run_single_ghost_cell(cell: SingleGhostCell) -> StoredOutcome:
    """Train every network, diagnose it, and follow it and the truth with every loop.

    A single network has no members that could disagree: its strength's seeds stand in for them.
    """
    own, spec = cell.own, cell.spec
    trained = train_networks(own)
    batch = EnsembleBatch(trained.result.stack, 1, trained.scaling)
    reference = TruthReference.of(
        trained.truth, num_starts=spec.starts, num_steps=spec.loop_steps, seed=own.seed
    )
    by_seed = members_on_box(batch, reference).view(len(own.spec.strengths), own.spec.seeds, -1)
    spread = by_seed.std(1, correction=0).square().mean(-1).sqrt() / reference.scale
    disagreement = dict(zip(own.spec.strengths, spread.tolist(), strict=True))
    place = {"problem": own.problem, "instance": own.instance, "activation": own.activation}
    found = diagnosed_and_followed(batch, reference, trained.x, trained.y, spec.loops)
    rows = [
        place
        | {"strength": strength, "seed": seed, "failed": bool(trained.result.failed[member])}
        | {"disagreement": disagreement[strength]}
        | found[member]
        for member, (strength, seed) in enumerate(trained.places)
    ]
    return StoredOutcome(truth={}, rows=rows, arrays={})

"""All that decides what a loop does next: enough to stop it and go on elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from surrogate_opt.loops.bayesian.ledger import Ledger
from surrogate_opt.loops.bayesian.refits import RefitRecord
from surrogate_opt.loops.bayesian.settings import LoopSettings


@dataclass(frozen=True, kw_only=True)
class LoopState:
    """A loop at rest.

    Attributes:
        settings: what it was asked to do.
        ledger: what was asked and told.
        last_refit: the last fit that a proposal came from.
    """

    settings: LoopSettings
    ledger: Ledger = field(default_factory=Ledger)
    last_refit: RefitRecord | None = None

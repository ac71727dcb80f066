"""Whether some regularizers are more accurate than others: all pairs of them, paired by run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from surrogate_opt.study.evidence.claim import Verdict, describe, directional_verdict

Judgement = tuple[str, Verdict, str]
"""Our figure, the verdict, a remark."""


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of one training.

    Attributes:
        name: for people.
        accuracies: on the test images, percent, in the order of the runs.
    """

    name: str
    accuracies: Float[np.ndarray, " runs"]

    def over(self, other: Runs) -> Float[np.ndarray, " runs"]:
        """How far ahead of the other, run by run; points."""
        lead: Float[np.ndarray, " runs"] = self.accuracies - other.accuracies
        return lead


def ahead(better: Sequence[Runs], worse: Sequence[Runs]) -> Judgement:
    """All of the first are more accurate than all of the others; the remark has the means."""
    leads = {f"{own.name} over {other.name}": own.over(other) for own, other in product(better, worse)}
    means = ", ".join(f"{runs.name}: {runs.accuracies.mean():.2f}" for runs in (*better, *worse))
    return all_positive(leads, means)


def all_positive(leads: dict[str, Float[np.ndarray, " runs"]], remark: str = "") -> Judgement:
    """All leads are positive; described is the least of them."""
    name = min(leads, key=lambda lead: float(leads[lead].mean()))
    least = f"least of {len(leads)} leads: " if len(leads) > 1 else ""
    described = describe(leads[name], digits=2, unit=" points")
    return f"{least}{name} {described}", directional_verdict(*leads.values()), remark

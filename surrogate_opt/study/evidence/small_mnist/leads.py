"""Whether some regularizers are more accurate than others: all pairs of them, paired by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from surrogate_opt.study.evidence.claim import SIGNIFICANT, Judgement, describe, directional_verdict, weakest
from surrogate_opt.study.paired_tests import holm, wilcoxon_p


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


def all_positive(
    leads: Mapping[str, Float[np.ndarray, " runs"]],
    remark: str = "",
    *,
    unit: str = " points",
) -> Judgement:
    """All leads are positive; described is the least of them."""
    name = min(leads, key=lambda lead: float(leads[lead].mean()))
    least = f"least of {len(leads)} leads: " if len(leads) > 1 else ""
    described = describe(leads[name], digits=2, unit=unit)
    return f"{least}{name} {described}", directional_verdict(*leads.values()), remark


def ahead_at_all_sizes(leads: Mapping[str, Mapping[int, Float[np.ndarray, " runs"]]]) -> Judgement:
    """Each lead is positive in its mean over sizes, and negative beyond chance at no size.

    So much a plot can claim: to ask for a decided lead at every size would refute it by a single tie.
    Reversals are judged with Holm's correction; a mean below 0 at some size leaves a direction.
    """
    sizes = sorted({size for by_size in leads.values() for size in by_size})
    ours, verdict, _ = all_positive(
        {name: np.mean(list(by_size.values()), axis=0) for name, by_size in leads.items()}
    )
    named = {f"{name} at {size}": own for name, by_size in leads.items() for size, own in by_size.items()}
    negative = {place: own for place, own in named.items() if not own.mean() >= 0.0}
    p = holm(np.array([wilcoxon_p(own) if np.isfinite(own).all() else 1.0 for own in named.values()]))
    corrected = dict(zip(named, p, strict=True))
    behind = [place for place in negative if corrected[place] < SIGNIFICANT]
    remark = f"mean over {', '.join(map(str, sizes))} images"
    if behind:
        return ours, "not reproduced", f"{remark}; behind beyond chance {', '.join(behind)}"
    if negative:
        verdict = weakest([verdict, "reproduced in direction"])
        remark += f"; behind {', '.join(negative)}, not beyond chance"
    return ours, verdict, remark

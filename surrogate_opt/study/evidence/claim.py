"""A claim of a paper, what was found about it, and how a verdict follows from paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from surrogate_opt.study.paired_tests import bootstrap_interval, rank_correlation, sign_p, wilcoxon_p

Verdict = Literal["reproduced", "reproduced in direction", "not reproduced", "not run at protocol", "not run"]

SIGNIFICANT = 0.05
_SEED = 0  # of the bootstrap


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper says.

    Attributes:
        name: unique, short.
        statement: the claim in one sentence.
        reported: the paper's figure.
        why: what makes it fail here, as far as we know; shown where it does.
    """

    name: str
    statement: str
    reported: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found about a claim.

    Attributes:
        claim: its name.
        ours: the figure, with an interval where there is one.
        verdict: by statistics.
        remark: why, where that needs saying.
    """

    claim: str
    ours: str
    verdict: Verdict
    remark: str = ""


Judgement = tuple[str, Verdict, str]
"""Our figure, the verdict, a remark."""


def named_claims(
    prefix: str, said: Iterable[tuple[str, str, str]], why: Mapping[str, str] | None = None
) -> tuple[Claim, ...]:
    """Claims from name, statement and the paper's figure; ``why`` by name, where it is known."""
    reasons = {} if why is None else why
    return tuple(
        Claim(name=f"{prefix}-{name}", statement=statement, reported=reported, why=reasons.get(name, ""))
        for name, statement, reported in said
    )


def named_findings(prefix: str, judged: Mapping[str, Judgement]) -> list[Finding]:
    """What was found about claims, by their names without the prefix."""
    return [
        Finding(claim=f"{prefix}-{name}", ours=ours, verdict=verdict, remark=remark)
        for name, (ours, verdict, remark) in judged.items()
    ]


def in_words(claim: Claim, finding: Finding) -> str:
    """Our figure with its remark and, where the claim is not reproduced, why."""
    why = f"why: {claim.why}" if claim.why and finding.verdict == "not reproduced" else ""
    return "; ".join(part for part in (finding.ours, finding.remark, why) if part)


def directional_verdict(*tables: Float[np.ndarray, " pairs"], p: float | None = None) -> Verdict:
    """Whether paired differences bear a claim out, each table oriented so that positive ones do.

    Reproduced: in every table the Wilcoxon signed-rank test and the exact sign test are both under 0.05, and
    mean, ranks and signs all point the claim's way. Reproduced in direction: in every table the mean does, no
    fewer pairs are positive than negative, and one of the tests is under 0.05 or no pair is negative.
    Differences that are not numbers, and tables without any, bear nothing out.

    Args:
        tables: the differences.
        p: what decides in place of the tests' own p-values, where these were corrected.
    """
    decided = deciding_p(*tables) if p is None else p
    return weakest(_directional(table, decided < SIGNIFICANT) for table in tables)


def deciding_p(*tables: Float[np.ndarray, " pairs"]) -> float:
    """The largest p-value of both tests over all tables; 1 where there is nothing to test."""
    if not all(table.size and np.isfinite(table).all() for table in tables):
        return 1.0
    return max(max(wilcoxon_p(table), sign_p(table)) for table in tables)


def _directional(table: Float[np.ndarray, " pairs"], decided: bool) -> Verdict:
    if not (table.size and np.isfinite(table).all() and table.mean() > 0.0):
        return "not reproduced"
    majority = int((table > 0).sum()) - int((table < 0).sum())
    if majority < 0:
        return "not reproduced"
    ranks = rank_correlation(table)
    if decided and majority > 0 and ranks > 0.0:
        return "reproduced"
    by_ranks, by_signs = (ranks > 0.0 and wilcoxon_p(table) < SIGNIFICANT), sign_p(table) < SIGNIFICANT
    leans = by_ranks or by_signs or not (table < 0).any()
    return "reproduced in direction" if leans else "not reproduced"


def weakest(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a claim that several findings must bear out."""
    order: tuple[Verdict, ...] = ("not reproduced", "reproduced in direction", "reproduced")
    return order[min(order.index(verdict) for verdict in verdicts)]


def sized_verdict(differences: Float[np.ndarray, " pairs"], reported: float) -> Verdict:
    """As ``directional_verdict``, of a paper that gives the mean difference.

    Reproduced: also, the 95% bootstrap interval of the mean reaches the reported one.
    """
    direction = directional_verdict(differences)
    if direction == "reproduced" and bootstrap_interval(differences, seed=_SEED)[1] < reported:
        return "reproduced in direction"
    return direction


def no_worse_verdict(differences: Float[np.ndarray, " pairs"], margin: float) -> Verdict:
    """Whether paired differences, positive where the claim's side is better, bear out that it is no worse.

    Reproduced: the lower end of the 95% bootstrap interval of the mean is above minus the margin. Reproduced
    in direction: the mean is. One pair bears nothing out.
    """
    if not (differences.size and np.isfinite(differences).all() and differences.mean() >= -margin):
        return "not reproduced"
    low, _ = bootstrap_interval(differences, seed=_SEED)
    if not math.isfinite(low):
        return "not reproduced"
    return "reproduced" if low >= -margin else "reproduced in direction"


def describe(differences: Float[np.ndarray, " pairs"], *, digits: int = 3, unit: str = "") -> str:
    """Mean with its 95% bootstrap interval, and how many of the pairs are positive."""
    low, high = bootstrap_interval(differences, seed=_SEED)
    mean = float(differences.mean()) if differences.size else math.nan
    positive = int((differences > 0).sum())
    return (
        f"{mean:+.{digits}f}{unit} [{low:+.{digits}f}, {high:+.{digits}f}], "
        f"{positive} of {differences.size} pairs"
    )

"""What single networks say to the claims on ghosts, and whether DREG itself makes loops lose less."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float

from surrogate_opt.study.evidence.claim import Claim, Finding, describe, directional_verdict
from surrogate_opt.study.evidence.ghosts.prediction import GhostTable
from surrogate_opt.study.evidence.synthetic.claims import STRONG

_WHY: Final = {"regret": "a loop that is less wrong about its point's value is not at a better point"}


def effect_claims(ghosts: GhostTable) -> tuple[Claim, ...]:
    """That the penalty, and not only a diagnostic, goes with what loops lose."""
    return tuple(
        Claim(
            name=f"{ghosts.prefix}-effect-{outcome}",
            statement=f"DREG at 10^-2 lowers {outcome} {ghosts.where}",
            reported="no figure; Section 2.3, a reliable gradient signal",
            why=_WHY.get(outcome, ""),
        )
        for outcome in ghosts.outcomes
    )


def find_single(ghosts: GhostTable, table: pd.DataFrame) -> list[Finding]:
    """Judge the claims; of DREG's effect, both activations and every loop must bear it out."""
    usable = table[~table["failed"].astype(bool)]
    findings = ghosts.find(table)
    for claim, columns in zip(effect_claims(ghosts), ghosts.outcomes.values(), strict=True):
        judged: list[Float[np.ndarray, " instances"]] = []
        texts = []
        for activation, own in usable.groupby("activation", sort=False):
            lower = {loop: _lower(own, column) for loop, column in zip(ghosts.loops, columns, strict=True)}
            judged += lower.values()
            each = ", ".join(f"{describe(gains, digits=2)} {loop}" for loop, gains in lower.items())
            texts.append(f"{activation} {each}")
        findings.append(
            Finding(
                claim=claim.name,
                ours="; ".join(texts),
                verdict=directional_verdict(*judged),
                remark=_UNITS,
            )
        )
    return findings


_UNITS: Final = "lower by so many standard deviations of the truth, instances averaged over seeds"


def _lower(table: pd.DataFrame, column: str) -> Float[np.ndarray, " instances"]:
    """A loss without a penalty less that at the strong one."""
    means = table.groupby(["problem", "instance", "strength"])[column].mean().unstack("strength")
    gains: Float[np.ndarray, " instances"] = (means[0.0] - means[STRONG]).to_numpy(dtype=float)
    return gains

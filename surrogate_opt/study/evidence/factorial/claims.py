"""The abstract's three findings, judged over tasks."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float

from surrogate_opt.study.evidence.claim import Claim, Finding, describe, directional_verdict, weakest
from surrogate_opt.study.evidence.factorial.cells import REGULARIZERS
from surrogate_opt.study.evidence.factorial.tasks import KINDS
from surrogate_opt.study.text_tables import MISSING, number

_DREG: Final = "dreg"
_NOISY: Final = ("label noise", "input noise")
_SETTING: Final = ["task", "activation"]


_WEAK: Final = "at its fixed weight DREG hardly changes accuracy on clean data, of all rows or of 500"
_FEW: Final = "over eight data sets its place is not decided"
_FIXED_WHY: Final = dict.fromkeys(("overall", "gelu", "noise", "gelu-messy"), _FEW)
_TUNED_WHY: Final = {
    "overall": "tuned spectral norms are ahead",
    "gelu": "tuned spectral norms are ahead",
    "noise": _FEW,
    "gelu-messy": _FEW,
}
_NAMES: Final = {"none": "no regularizer", "weight_decay": "weight decay", "igp": "IGPen"}
"""The three that the abstract has DREG ahead of significantly."""


def factorial_claims(prefix: str, rivals: str, *, tuned: bool) -> tuple[Claim, ...]:
    """The claims, of an experiment of that prefix; ``rivals`` says at which strengths rivals are."""
    why = _TUNED_WHY if tuned else _FIXED_WHY
    return tuple(
        Claim(
            name=f"{prefix}-{name}",
            statement=f"{statement} ({rivals})",
            reported=reported,
            why=why.get(name, _FEW if name.startswith("overall-") else _WEAK),
        )
        for name, statement, reported in (
            ("clean", "DREG is the most accurate of six on clean data", "highest; p <= 0.031"),
            ("overall", "DREG is the most accurate of six over all regimes", "highest; p <= 0.031"),
            *(
                (name, f"DREG is more accurate than {rival} on clean data", "p <= 0.031")
                for name, rival in _NAMES.items()
            ),
            *(
                (f"overall-{name}", f"DREG is more accurate than {rival} over all regimes", "p <= 0.031")
                for name, rival in _NAMES.items()
            ),
            ("noise", "SN is first and DREG second under noise", "DREG second to SN"),
            ("gelu", "DREG is the most accurate of six under GELU", "best"),
            ("gelu-messy", "DREG is the best under GELU on noisy images and texts", "best"),
            (
                "scarcity",
                "DREG's lead over the other five is larger on 500 rows than on all",
                "most pronounced",
            ),
        )
    )


def chosen_rows(table: pd.DataFrame, *, tuned: bool) -> pd.DataFrame:
    """One row a run and method: at the fixed strength, or at the strength best on held-out rows.

    A strength is chosen for each task, activation and regime by the mean over seeds; DREG keeps its fixed
    one, as the abstract has it.
    """
    if not tuned:
        return table[table["fixed"]]
    place = ["task", "regime", "activation", "method"]
    rivals = table[table["method"] != _DREG]
    dev = rivals.groupby([*place, "level"])["dev_accuracy"].mean().reset_index()
    strength = [
        REGULARIZERS[method].levels.index(level)
        for method, level in zip(dev["method"], dev["level"], strict=True)
    ]
    dev = dev.assign(strength=strength).sort_values("strength")  # of equal ones the weakest
    best = dev.loc[dev.groupby(place)["dev_accuracy"].idxmax(), [*place, "level"]]
    kept = rivals.merge(best, on=[*place, "level"])
    return pd.concat([kept, table[(table["method"] == _DREG) & table["fixed"]]], ignore_index=True)


def find_factorial(table: pd.DataFrame, *, prefix: str, tuned: bool) -> list[Finding]:
    """Judge the claims; pairs are tasks, each the mean over activations and seeds."""
    rows = chosen_rows(table, tuned=tuned)
    # unstacked and not pivoted: figures that are no numbers must stay, for the verdicts to see them
    wide = rows.set_index(["regime", *_SETTING, "seed", "method"])["accuracy"].unstack("method")
    judge = _Judge(prefix, wide)
    regimes = set(rows["regime"])
    several = len(regimes) > 1
    return [
        judge.first("clean", judge.at("clean")),
        judge.first("overall", wide) if several else judge.missing("overall"),
        *(judge.against(name, judge.at("clean"), name) for name in _NAMES),
        *(
            judge.against(name, wide, rival) if several else judge.missing(name)
            for name, rival in ((f"overall-{rival}", rival) for rival in _NAMES)
        ),
        judge.noise() if regimes >= set(_NOISY) else judge.missing("noise"),
        judge.first("gelu", judge.under_gelu(wide)),
        judge.first("gelu-messy", judge.messy()) if regimes >= set(_NOISY) else judge.missing("gelu-messy"),
        judge.scarcity() if "small" in regimes else judge.missing("scarcity"),
    ]


class _Judge:
    """Findings from accuracies, a column a method."""

    def __init__(self, prefix: str, wide: pd.DataFrame) -> None:
        self._prefix, self._wide = prefix, wide
        self._rivals = [name for name in wide.columns if name != _DREG]

    def at(self, *regimes: str) -> pd.DataFrame:
        """The rows of some regimes."""
        return self._wide[self._wide.index.get_level_values("regime").isin(regimes)]

    def under_gelu(self, part: pd.DataFrame) -> pd.DataFrame:
        """The rows under GELU."""
        return part[part.index.get_level_values("activation") == "gelu"]

    def messy(self) -> pd.DataFrame:
        """Noisy images and texts under GELU."""
        part = self.under_gelu(self.at(*_NOISY))
        kinds = part.index.get_level_values("task").map(KINDS)
        return part[kinds.isin(["vision", "text"])]

    def missing(self, name: str) -> Finding:
        """Of a claim whose regimes have not run."""
        return Finding(claim=f"{self._prefix}-{name}", ours=MISSING, verdict="not run")

    def against(self, name: str, part: pd.DataFrame, rival: str) -> Finding:
        """DREG against one rival."""
        lead = self._lead(part, _DREG, rival)
        seeds = self._over_seeds(part, _DREG, rival)
        return Finding(
            claim=f"{self._prefix}-{name}",
            ours=describe(lead, digits=2, unit=" points"),
            verdict=directional_verdict(lead),
            remark=f"means of each seed: {int((seeds > 0).sum())} of {seeds.size} positive; "
            f"the least one-sided p of {seeds.size} pairs is {0.5**seeds.size:.3f}",
        )

    def first(self, name: str, part: pd.DataFrame) -> Finding:
        """DREG against every rival; the verdict is the weakest."""
        means = part.mean().sort_values(ascending=False)
        verdicts = [directional_verdict(self._lead(part, _DREG, rival)) for rival in self._rivals]
        listed = ", ".join(f"{method} {number(float(mean), 2)}" for method, mean in means.items())
        return Finding(
            claim=f"{self._prefix}-{name}", ours=listed, verdict=weakest(verdicts), remark=self._decided(part)
        )

    def noise(self) -> Finding:
        """SN over DREG, and DREG over the rest."""
        part = self.at(*_NOISY)
        pairs = [("sn", _DREG), *((_DREG, rival) for rival in self._rivals if rival != "sn")]
        means = part.mean().sort_values(ascending=False)
        return Finding(
            claim=f"{self._prefix}-noise",
            ours=", ".join(f"{method} {number(float(mean), 2)}" for method, mean in means.items()),
            verdict=weakest(directional_verdict(self._lead(part, *pair)) for pair in pairs),
            remark=self._decided(part),
        )

    def _decided(self, part: pd.DataFrame) -> str:
        """Who is ahead of DREG, and whom it is ahead of, beyond chance."""
        ahead, behind = (
            [
                rival
                for rival in self._rivals
                if directional_verdict(sign * self._lead(part, _DREG, rival)) == "reproduced"
            ]
            for sign in (-1.0, 1.0)
        )
        named = (", ".join(names) or "nobody" for names in (ahead, behind))
        return "beyond chance ahead of DREG: {}; behind it: {}".format(*named)

    def scarcity(self) -> Finding:
        """DREG's lead over the mean of the others, small less clean."""
        small, clean = (
            np.mean([self._lead(self.at(regime), _DREG, rival) for rival in self._rivals], axis=0)
            for regime in ("small", "clean")
        )
        few, many = (number(float(lead.mean()), 2, signed=True) for lead in (small, clean))
        return Finding(
            claim=f"{self._prefix}-scarcity",
            ours=f"{describe(small - clean, digits=2, unit=' points')}; on 500 rows {few}, on all {many}",
            verdict=directional_verdict(small - clean, small),
        )

    def _lead(self, part: pd.DataFrame, one: str, other: str) -> Float[np.ndarray, " tasks"]:
        """Task by task: activations and regimes of one task share its rows and are no replicates."""
        lead: Float[np.ndarray, " tasks"] = (
            (part[one] - part[other])
            .groupby(level="task", sort=True)
            .agg(lambda own: own.mean(skipna=False))
            .to_numpy(dtype=float)
        )
        return lead

    def _over_seeds(self, part: pd.DataFrame, one: str, other: str) -> Float[np.ndarray, " seeds"]:
        means: Float[np.ndarray, " seeds"] = (part[one] - part[other]).groupby(level="seed").mean().to_numpy()
        return means


def summarize_factorial(table: pd.DataFrame, *, tuned: bool) -> pd.DataFrame:
    """Mean accuracy of every method: by regime, by activation and by task on clean data."""
    rows = chosen_rows(table, tuned=tuned)
    clean = rows[rows["regime"] == "clean"]
    parts = [rows.assign(part="all", value=rows["regime"])]
    parts += [clean.assign(part=f"clean, {column}", value=clean[column]) for column in ("activation", "task")]
    together = pd.concat(parts)
    means = together.pivot_table(
        index=["part", "value"], columns="method", values="accuracy", sort=False
    ).reset_index()
    shown = means.map(lambda value: value if isinstance(value, str) else f"{value:.2f}")
    return shown.rename_axis(columns=None)

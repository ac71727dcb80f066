"""From the rows of many surrogates to which diagnostic predicts what a loop loses: table and claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float

from surrogate_opt.study.evidence.claim import Claim, Finding, deciding_p, directional_verdict
from surrogate_opt.study.evidence.ghosts.correlations import Correlation, Pair, pooled, within_data_sets
from surrogate_opt.study.paired_tests import holm
from surrogate_opt.study.text_tables import number

DIAGNOSTICS: Final = {
    "tail_ratio": "p99/mean",
    "p99": "p99",
    "max": "max",
    "mean": "mean gradient",
    "gradient_error": "gradient error*",
    "disagreement": "disagreement",
    "test_mse": "test error",
}
"""Columns, and what tables call them; a star needs the truth's gradient. Test error is over the box."""

Reading = Literal["within", "given error", "sound only", "pooled"]

SOUND: Final[Reading] = "sound only"
READINGS: Final[tuple[Reading, ...]] = get_args(Reading)
"""Among the surrogates of one data set; likewise, test error partialled out; likewise, degenerate surrogates
left out; over all surrogates of all data sets."""


_DECIDING: Final[tuple[Reading, ...]] = ("within", "given error", SOUND)
_GIVEN: Final = "test_mse"
_JUDGED: Final[tuple[tuple[str, str, Reading], ...]] = (
    ("tails", "tail_ratio", "within"),
    ("p99", "p99", "within"),
    ("beyond-error", "tail_ratio", "given error"),
)
_DECIDED_BY: Final = ("tail_ratio", "p99", _GIVEN)


@dataclass(frozen=True, kw_only=True)
class GhostTable:
    """How the rows of an experiment on ghosts are read.

    Attributes:
        prefix: of the claims' names.
        where: in which loops, for the claims' sentences.
        data_set: columns that name a data set.
        instance: those of them that name the instance.
        outcomes: label and columns of each kind of loss, one column a loop.
        loops: labels of the columns, the same for each kind of loss.
        why: by claim and outcome, what makes it fail where that is known.
    """

    prefix: str
    where: str
    data_set: tuple[str, ...]
    instance: tuple[str, ...]
    outcomes: dict[str, tuple[str, ...]]
    loops: tuple[str, ...]
    why: dict[tuple[str, str], str]

    def correlations(
        self, table: pd.DataFrame, reading: Reading, diagnostics: Sequence[str] = tuple(DIAGNOSTICS)
    ) -> dict[Pair, Correlation]:
        """Diagnostics with every outcome, of the surrogates whose training did not fail."""
        usable = table[~table["failed"].astype(bool)]
        columns = [column for columns in self.outcomes.values() for column in columns]
        if reading == "pooled":
            return pooled(usable, diagnostics, columns, instance=self.instance)
        if reading == SOUND:
            usable = usable[usable["kind"] == "sound"]
        given = _GIVEN if reading == "given error" else None
        found = within_data_sets(
            usable,
            diagnostics,
            columns,
            data_set=self.data_set,
            instance=self.instance,
            given=given,
        )
        return {pair: one for pair, one in found.items() if pair[0] != given}

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Every correlation as text, with half the width of its interval, a row a diagnostic and reading."""
        rows = []
        for reading in READINGS:
            found = self.correlations(table, reading)
            for diagnostic in dict.fromkeys(diagnostic for diagnostic, _ in found):
                row = {"reading": str(reading), "diagnostic": DIAGNOSTICS[diagnostic]}
                for outcome, columns in self.outcomes.items():
                    for loop, column in zip(self.loops, columns, strict=True):
                        row[f"{outcome}, {loop}"] = _with_half_width(found[diagnostic, column])
                rows.append(row)
        return pd.DataFrame(rows)

    def claims(self) -> tuple[Claim, ...]:
        """What the DREG paper says of ghosts, outcome by outcome."""
        return tuple(
            Claim(
                name=f"{self.prefix}-{name}-{outcome.replace(' ', '-')}",
                statement=text,
                reported=section,
                why=self.why.get((name, outcome), ""),
            )
            for outcome in self.outcomes
            for name, text, section in (
                (
                    "tails",
                    f"a heavier gradient tail (p99/mean) predicts more {outcome} {self.where}",
                    "no figure; Sections 2.2, 5",
                ),
                (
                    "p99",
                    f"a larger 99th percentile of gradient norms predicts more {outcome} {self.where}",
                    "no figure; Section 2.3",
                ),
                (
                    "beyond-error",
                    f"p99/mean predicts {outcome} {self.where} also at equal test error",
                    "no figure; Section 2.2",
                ),
                (
                    "over-error",
                    f"p99/mean predicts {outcome} {self.where} better than test error does",
                    "no figure; Abstract",
                ),
            )
        )

    def find(self, table: pd.DataFrame) -> list[Finding]:
        """Judge the claims, each in every loop at once, with Holm's correction over all of them.

        Where a reading takes in degenerate surrogates, those without them must bear the claim out too.
        """
        found = {reading: self.correlations(table, reading, _DECIDED_BY) for reading in _DECIDING}
        ratios = table["tail_ratio"].quantile([0.0, 0.5, 1.0])
        span = f"p99/mean of {ratios[0.0]:.1f} to {ratios[1.0]:.1f}, median {ratios[0.5]:.1f}"
        beside = self._with_error(table)
        judged: list[tuple[str, str, str, list[Float[np.ndarray, " instances"]]]] = []
        for outcome, columns in self.outcomes.items():
            name = f"{self.prefix}-{{}}-{outcome.replace(' ', '-')}"
            for claim, diagnostic, reading in _JUDGED:
                every, sound = (
                    [found[one][diagnostic, column] for column in columns] for one in (reading, SOUND)
                )
                ours, remark, tables = f"rank correlation {self._listed(every)}", "", _tables(every)
                if reading == "within":
                    ours += f"; without degenerate surrogates {self._listed(sound)}"
                    remark = f"by problem ({self.loops[0]}): {_by_problem(every[0])}; {span}; "
                    remark += f"{DIAGNOSTICS[diagnostic]} with test error {described(beside[diagnostic])}"
                    tables += _tables(sound)
                judged.append((name.format(claim), ours, remark, tables))
            tails, errors = (
                [found["within"][diagnostic, column] for column in columns]
                for diagnostic in ("tail_ratio", _GIVEN)
            )
            gains = [(tail.each - error.each).dropna() for tail, error in zip(tails, errors, strict=True)]
            ours = f"p99/mean {self._listed(tails)}; test error {self._listed(errors)}"
            tables = [gain.to_numpy(dtype=float) for gain in gains] + _tables(tails)
            judged.append((name.format("over-error"), ours, "", tables))
        p = holm(np.array([deciding_p(*tables) for *_, tables in judged]))
        return [
            Finding(claim=name, ours=ours, verdict=directional_verdict(*tables, p=float(own)), remark=remark)
            for (name, ours, remark, tables), own in zip(judged, p, strict=True)
        ]

    def _with_error(self, table: pd.DataFrame) -> dict[str, Correlation]:
        """How the judged diagnostics go with test error, which losses go with too."""
        found = within_data_sets(
            table[~table["failed"].astype(bool)],
            [name for name in _DECIDED_BY if name != _GIVEN],
            [_GIVEN],
            data_set=self.data_set,
            instance=self.instance,
        )
        return {diagnostic: one for (diagnostic, _), one in found.items()}

    def _listed(self, found: list[Correlation]) -> str:
        parts = (f"{described(one)} {loop}" for one, loop in zip(found, self.loops, strict=True))
        return f"{', '.join(parts)} ({min(len(one.each) for one in found)} instances)"


def _tables(found: list[Correlation]) -> list[Float[np.ndarray, " instances"]]:
    return [one.each.to_numpy(dtype=float) for one in found]


def _by_problem(found: Correlation) -> str:
    """The mean over each problem's instances."""
    means = found.each.groupby(level="problem", sort=False).mean()
    return ", ".join(f"{problem} {number(float(mean), 2, signed=True)}" for problem, mean in means.items())


def described(found: Correlation) -> str:
    """The correlation with its interval."""
    value, low, high = (number(part, 2, signed=True) for part in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def _with_half_width(found: Correlation) -> str:
    return f"{number(found.value, 2, signed=True)}±{number((found.high - found.low) / 2.0, 2)}"

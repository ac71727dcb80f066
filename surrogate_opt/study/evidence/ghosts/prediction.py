"""From the rows of many surrogates to which diagnostic predicts what a loop loses: table and claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import pandas as pd

from surrogate_opt.study.evidence.claim import Claim, Finding, directional_verdict
from surrogate_opt.study.evidence.ghosts.correlations import Correlation, pooled, within_data_sets
from surrogate_opt.study.text_tables import number

DIAGNOSTICS: Final = {
    "tail_ratio": "p99/mean",
    "p99": "p99",
    "max": "max",
    "mean": "mean gradient",
    "gradient_error": "gradient error*",
    "disagreement": "disagreement",
    "test_mse": "test error*",
}
"""Columns, and what tables call them; a star needs a truth."""

Reading = Literal["within", "given error", "sound only", "pooled"]

READINGS: Final[tuple[Reading, ...]] = get_args(Reading)
"""Among the surrogates of one data set; likewise, test error partialled out; likewise, degenerate surrogates
left out; over all surrogates of all data sets."""


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
    """

    prefix: str
    where: str
    data_set: tuple[str, ...]
    instance: tuple[str, ...]
    outcomes: dict[str, tuple[str, ...]]
    loops: tuple[str, ...]

    def correlation(
        self, table: pd.DataFrame, diagnostic: str, outcome: str, reading: Reading
    ) -> Correlation:
        """One rank correlation of the table's sound trainings."""
        usable = table[~table["failed"].astype(bool)]
        if reading == "pooled":
            return pooled(usable, diagnostic, outcome, instance=self.instance)
        if reading == "sound only":
            usable = usable[usable["kind"] == "sound"]
        return within_data_sets(
            usable,
            diagnostic,
            outcome,
            data_set=self.data_set,
            instance=self.instance,
            given="test_mse" if reading == "given error" else None,
        )

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Every correlation with its interval as text, a row a diagnostic and reading."""
        rows = []
        for reading in READINGS:
            for diagnostic, label in DIAGNOSTICS.items():
                if reading == "given error" and diagnostic == "test_mse":
                    continue
                row = {"reading": reading, "diagnostic": label}
                for outcome, columns in self.outcomes.items():
                    for loop, column in zip(self.loops, columns, strict=True):
                        found = self.correlation(table, diagnostic, column, reading)
                        row[f"{outcome}, {loop}"] = described(found)
                rows.append(row)
        return pd.DataFrame(rows)

    def claims(self) -> tuple[Claim, ...]:
        """What the DREG paper says of ghosts, outcome by outcome."""
        return tuple(
            Claim(name=f"{self.prefix}-{name}-{outcome.replace(' ', '-')}", statement=text, reported=section)
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
        """Judge the claims, each in every loop at once."""
        found = []
        for outcome, columns in self.outcomes.items():
            name = outcome.replace(" ", "-")
            for claim, diagnostic, reading in (
                ("tails", "tail_ratio", "within"),
                ("p99", "p99", "within"),
                ("beyond-error", "tail_ratio", "given error"),
            ):
                every = [self.correlation(table, diagnostic, column, reading) for column in columns]
                sound = [self.correlation(table, diagnostic, column, "sound only") for column in columns]
                remark = "without degenerate surrogates " + self._listed(sound) if reading == "within" else ""
                found.append(
                    Finding(
                        claim=f"{self.prefix}-{claim}-{name}",
                        ours=f"rank correlation {self._listed(every)}",
                        verdict=directional_verdict(*(one.each.to_numpy(dtype=float) for one in every)),
                        remark=remark,
                    )
                )
            found.append(self._over_error(table, name, columns))
        return found

    def _over_error(self, table: pd.DataFrame, name: str, columns: tuple[str, ...]) -> Finding:
        tails, errors = (
            [self.correlation(table, diagnostic, column, "within") for column in columns]
            for diagnostic in ("tail_ratio", "test_mse")
        )
        gains = [(tail.each - error.each).dropna() for tail, error in zip(tails, errors, strict=True)]
        return Finding(
            claim=f"{self.prefix}-over-error-{name}",
            ours=f"p99/mean {self._listed(tails)}; test error {self._listed(errors)}",
            verdict=directional_verdict(*(gain.to_numpy(dtype=float) for gain in gains)),
        )

    def _listed(self, found: list[Correlation]) -> str:
        parts = (f"{described(one)} {loop}" for one, loop in zip(found, self.loops, strict=True))
        return ", ".join(parts)


def described(found: Correlation) -> str:
    """The correlation with its interval."""
    value, low, high = (number(part, 2, signed=True) for part in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"

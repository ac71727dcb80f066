"""Every regularizer at the weight that its development accuracy chooses, run by run."""

from __future__ import annotations

from typing import Final, cast

import numpy as np
import pandas as pd

from surrogate_opt.study.evidence.experiment import means_over_seeds
from surrogate_opt.study.evidence.small_mnist.cells import COLUMNS, DECAY, TABLE_SIZE, Method, Network
from surrogate_opt.study.evidence.small_mnist.leads import Runs

NAMES: Final[dict[Method, str]] = {
    "none": "none",
    "confidence": "CP",
    "spectreg": "SpectReg",
    "datagrad": "DataGrad",
    "jacreg": "JacReg",
    "frobreg": "FrobReg",
    "onehot": "OneHot",
    "random_onehot": "RandomOneHot",
}
"""The paper's names."""

COMPARED: Final = ("network", "weight_decay", "confidence", "size", "method")
"""Columns that say what is compared: all of a setting but the weight."""

GROUPS: Final = (*COMPARED, "weight")
"""Columns that name a setting."""

_Place = tuple[str, float, float, int, str]
"""What is compared, in the order of ``COMPARED``."""


class MissingRowsError(LookupError):
    """The table lacks what a claim needs."""


class ChosenRuns:
    """What the cells' rows say once weights are chosen.

    Args:
        table: the rows, any of the protocol's.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        chosen = chosen_rows(table).sort_values("run").groupby(list(COMPARED), sort=False)
        self._rows = {cast(_Place, place): rows for place, rows in chosen}

    def of(
        self,
        method: Method,
        *,
        network: Network = "dropout",
        weight_decay: float = DECAY,
        confidence: float = 0.0,
        size: int = TABLE_SIZE,
    ) -> Runs:
        """One regularizer's runs.

        Raises:
            MissingRowsError: there are none.
        """
        place = network, weight_decay, confidence, size, method
        if place not in self._rows:
            raise MissingRowsError(f"table: expected rows of {method}, {network}, {size} images; came none")
        rows = self._rows[place]
        name = _name(network, method, float(rows["weight"].iloc[0]), confidence)
        return Runs(name=name, accuracies=rows["test"].to_numpy())

    def beside_confidence(self, method: Method) -> Runs:
        """A regularizer's runs with the confidence penalty beside it.

        Raises:
            MissingRowsError: there are none.
        """
        weights = {beside for _, _, beside, _, name in self._rows if beside > 0.0 and name == method}
        if not weights:
            raise MissingRowsError(f"table: expected rows of {method} beside the confidence penalty")
        return self.of(method, confidence=weights.pop())

    def sizes(self, *methods: Method) -> list[int]:
        """The numbers of training images at which all these methods have runs, smallest first.

        Raises:
            MissingRowsError: there are fewer than two.
        """
        sizes_of = [
            {size for *base, size, name in self._rows if (*base, name) == ("dropout", DECAY, 0.0, method)}
            for method in methods
        ]
        common = sorted(set.intersection(*sizes_of))
        if len(common) < 2:
            raise MissingRowsError(f"table: expected two sizes or more, came {len(common)}")
        return common


def chosen_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the weight with the highest mean development accuracy, of all that is compared.

    A weight at which a run has failed is chosen last; of equal ones the smallest.
    """
    # pandas' own mean leaves failed runs out
    accuracies = table.groupby(list(GROUPS))["development"].agg(lambda own: own.mean(skipna=False))
    best = set(accuracies.fillna(-np.inf).groupby(list(COMPARED)).idxmax())
    return table[[place in best for place in table[list(GROUPS)].itertuples(index=False, name=None)]]


def summarize_small_mnist(table: pd.DataFrame) -> pd.DataFrame:
    """Means and standard deviations over runs, in percent, at the chosen weights."""
    rows = chosen_rows(table)
    places = rows[["network", "method", "weight", "confidence"]].itertuples(index=False, name=None)
    named = rows.assign(training=[_name(*place) for place in places])
    return means_over_seeds(named, ("training", "weight_decay", "size"), COLUMNS, digits=2)


def _name(network: str, method: Method, weight: float, confidence: float) -> str:
    own = [] if method == "none" else [f"{NAMES[method]} {weight:g}"]
    return " + ".join([network, *own, *([f"CP {confidence:g}"] if confidence else [])])

"""The claims on what penalties cost, judged over networks and repetitions."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float

from surrogate_opt.study.evidence import experiment
from surrogate_opt.study.evidence.claim import (
    Finding,
    Judgement,
    directional_verdict,
    named_claims,
    named_findings,
    no_worse_verdict,
    sized_verdict,
    weakest,
)
from surrogate_opt.study.evidence.experiment import Experiment, Preset
from surrogate_opt.study.evidence.penalty_cost.cells import NAME, NUM_CLASSES, CostSpec, run_cost_cell
from surrogate_opt.study.paired_tests import bootstrap_interval
from surrogate_opt.study.text_tables import number

_PLACE: Final = ["network", "parameters", "activation"]
_LABELS: Final = {
    "closed_form_seconds": "in closed form ",
    "seconds": "by autograd ",
    "saved_bytes": "",
    "held_bytes": "",
}
_COMPARABLE: Final = "comparable footprint (Section 3.3)"

TITLE: Final = "What penalties cost: time, memory, rounding (DREG and gradient regularization papers)"
PROTOCOL: Final = (
    "Steps on random batches of 64: the DREG paper's four perceptrons and one of 10^3 parameters, ReLU and "
    "SiLU, means of 3 repetitions, all methods in turns; LeNet-5, whose 8 repetitions tell noise of timing "
    "alone. Ratios are geometric means. The papers name no protocol."
)

_AS_GOOD: Final = 1.25
"""What "comparable" may be at most, times."""

_ERROR: Final = 0.01
"""A relative error of gradients that could matter; the noise of minibatches is far above it."""

_COMPACT: Final = 1.1e5
"""Parameters of a compact network: the paper's 10^5, and its (128, 64) with 109,386."""

_WHY: Final = {
    "rounding": "a second backward pass rounds as a first one does; no sum is longer",
    "dreg-time": "in closed form it does; by autograd every product of a slope is a pass of its own",
    "dreg-saved": "slopes of smooth activations, and what they are computed from, are saved for every row",
}
CLAIMS: Final = named_claims(
    NAME,
    (
        ("dreg-time", "a step with DREG takes about as long as one without", _COMPARABLE),
        ("dreg-memory", "a step with DREG holds about as much memory as one without", _COMPARABLE),
        ("dreg-saved", "with DREG autograd saves about as much as without", _COMPARABLE),
        (
            "double-memory",
            "double backpropagation saves at least twice as much for the backward pass",
            "O(2x) (Section 3.3)",
        ),
        ("dreg-cheaper", "DREG takes less time than double backpropagation", "Sections 3.3, 4.1, no figure"),
        ("dreg-smaller", "DREG saves less than double backpropagation", "Sections 3.2, 4.1, no figure"),
        (
            "rounding",
            "double backpropagation suffers from floating-point errors at 10^3 to 10^5 parameters",
            "Sections 3.2, 4.1, no figure",
        ),
        (
            "projection",
            "beyond a plain step, FrobReg takes ten times as long as SpectReg for ten classes",
            "m times (Section 6.2.6)",
        ),
        ("jacreg", "SpectReg and DataGrad take less time than JacReg", "significantly (Section 4.1)"),
        (
            "confidence",
            "the confidence penalty takes less time than SpectReg and DataGrad",
            "significantly (Section 6.2.2)",
        ),
    ),
    _WHY,
)

Logs = Float[np.ndarray, " pairs"]


def find_cost(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims by the rows of all cells; pairs are networks, of LeNet-5 repetitions."""
    figures = ["seconds", "closed_form_seconds", "saved_bytes", "held_bytes", "rounding"]
    by_method = table.set_index([*_PLACE, "repetition", "method"])[figures].unstack("method")
    logs = pd.DataFrame(by_method).map(np.log)
    on_lenet = logs.index.get_level_values("network") == "lenet"
    lenet = logs.loc[on_lenet]
    # a repetition that is no number must stay, for the verdicts to see it
    perceptrons = logs.loc[~on_lenet].groupby(level=_PLACE, sort=False).mean(skipna=False)
    judge = _Judge(perceptrons, lenet)
    found = {
        "dreg-time": judge.comparable("closed_form_seconds", "seconds"),
        "dreg-memory": judge.comparable("held_bytes"),
        "dreg-saved": judge.comparable("saved_bytes"),
        "double-memory": judge.double_memory(),
        "dreg-cheaper": judge.cheaper("closed_form_seconds", "seconds"),
        "dreg-smaller": judge.cheaper("saved_bytes"),
        "rounding": judge.rounding(),
        "projection": judge.projection(),
        "jacreg": judge.on_lenet(("jacreg", "spectreg"), ("jacreg", "datagrad")),
        "confidence": judge.on_lenet(("spectreg", "confidence"), ("datagrad", "confidence")),
    }
    return named_findings(NAME, found)


class _Judge:
    """Verdicts from logarithms, a row a network or repetition and columns by figure and method."""

    def __init__(self, perceptrons: pd.DataFrame, lenet: pd.DataFrame) -> None:
        self._perceptrons, self._lenet = perceptrons, lenet

    def _over(self, figure: str, more: str, less: str) -> Logs:
        own = self._perceptrons[figure]
        logs: Logs = (own[more] - own[less]).to_numpy(dtype=float)
        return logs

    def comparable(self, *figures: str) -> Judgement:
        """DREG against no penalty; every figure must bear it out."""
        logs = {figure: self._over(figure, "dreg", "none") for figure in figures}
        verdict = weakest(no_worse_verdict(-own, float(np.log(_AS_GOOD))) for own in logs.values())
        activations = self._perceptrons.index.get_level_values("activation")
        each = ", ".join(
            f"{activation} {np.exp(own[activations == activation].mean()):.2f} {_LABELS[figure]}".strip()
            for figure, own in logs.items()
            for activation in dict.fromkeys(activations)
        )
        return _listed(logs), verdict, f"{each}; about: {_AS_GOOD} times at most"

    def cheaper(self, *figures: str) -> Judgement:
        """Double backpropagation against DREG; every figure must bear it out."""
        logs = {figure: self._over(figure, "datagrad", "dreg") for figure in figures}
        return f"double backpropagation over DREG: {_listed(logs)}", directional_verdict(*logs.values()), ""

    def double_memory(self) -> Judgement:
        """Double backpropagation against no penalty."""
        saved, held = (self._over(figure, "datagrad", "none") for figure in ("saved_bytes", "held_bytes"))
        remark = f"of all that a step holds {_times(held)}"
        return _times(saved), directional_verdict(saved - float(np.log(2.0))), remark

    def rounding(self) -> Judgement:
        """The error of double backpropagation's gradient against one that could matter."""
        sizes = self._perceptrons.index.get_level_values("parameters")
        errors = self._perceptrons["rounding"][sizes <= _COMPACT]
        worst = ", ".join(
            f"{label} {float(np.exp(errors[name].max())):.0e}"
            for name, label in (
                ("datagrad", "double backpropagation"),
                ("dreg", "DREG"),
                ("none", "cross-entropy"),
            )
        )
        verdict = directional_verdict(errors["datagrad"].to_numpy(dtype=float) - float(np.log(_ERROR)))
        return f"largest relative error of a float32 gradient: {worst}", verdict, f"suffers: over {_ERROR:g}"

    def projection(self) -> Judgement:
        """What FrobReg adds to a step over what SpectReg adds."""
        seconds = np.exp(self._lenet["seconds"])
        added = (seconds["frobreg"] - seconds["none"]) / (seconds["spectreg"] - seconds["none"])
        logs = np.log(added.to_numpy(dtype=float))
        return f"LeNet-5: {_times(logs)}", sized_verdict(logs, float(np.log(NUM_CLASSES))), ""

    def on_lenet(self, *pairs: tuple[str, str]) -> Judgement:
        """Steps of LeNet-5: the first of each pair takes longer than the second."""
        seconds = self._lenet["seconds"]
        logs = {
            f"{more} over {less}": (seconds[more] - seconds[less]).to_numpy(dtype=float)
            for more, less in pairs
        }
        shown = ", ".join(f"{pair} {_times(own)}" for pair, own in logs.items())
        return f"LeNet-5: {shown}", directional_verdict(*logs.values()), ""


def _listed(logs: dict[str, Logs]) -> str:
    return "; ".join(f"{_LABELS[figure]}{_times(own)}" for figure, own in logs.items())


def _times(logs: Logs) -> str:
    low, high = np.exp(bootstrap_interval(logs, seed=0))
    return f"{np.exp(logs.mean()):.2f} times [{low:.2f}, {high:.2f}]"


def summarize_cost(table: pd.DataFrame) -> pd.DataFrame:
    """Geometric means over repetitions as multiples of a plain step, a row a network and method."""
    figures = {
        "seconds": "time",
        "closed_form_seconds": "time in closed form",
        "saved_bytes": "saved",
        "held_bytes": "held",
    }
    groups = [*_PLACE, "method"]
    logs = table.set_index(groups)[[*figures, "rounding"]].map(np.log)
    means = logs.groupby(level=groups, sort=False).mean().map(np.exp)
    base = means.xs("none", level="method")
    rows = []
    for place, own in means.iterrows():
        network, parameters, activation, method = np.asarray(place, dtype=object)
        plain = base.xs((network, parameters, activation))
        row = {"step": f"{network} {activation} {method}", "ms": number(1e3 * float(own["seconds"]), 2)}
        row |= {label: number(float(own[name] / plain[name]), 2) for name, label in figures.items()}
        rows.append(row | {"rounding": f"{own['rounding']:.0e}"})
    return pd.DataFrame(rows)


PENALTY_COST: Final = Experiment(
    name=NAME,
    title=TITLE,
    protocol=PROTOCOL,
    claims=CLAIMS,
    presets={
        experiment.PROTOCOL: Preset(cells=CostSpec().cells),
        "smoke": Preset(
            cells=CostSpec(
                widths=((10, 8, 10), (20, 16, 10)), seeds=1, lenets=2, rounds=2, batch_size=8
            ).cells,
            cuts="two tiny networks, two rounds",
        ),
    },
    compute=run_cost_cell,
    find=find_cost,
    summarize=summarize_cost,
)

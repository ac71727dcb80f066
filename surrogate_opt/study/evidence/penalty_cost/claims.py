"""The claims on what penalties cost, judged over networks and repetitions."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float

from surrogate_opt.study.evidence import experiment
from surrogate_opt.study.evidence.claim import (
    Claim,
    Finding,
    directional_verdict,
    no_worse_verdict,
    sized_verdict,
)
from surrogate_opt.study.evidence.experiment import Experiment, Preset
from surrogate_opt.study.evidence.penalty_cost.cells import NAME, NUM_CLASSES, CostSpec, run_cost_cell
from surrogate_opt.study.paired_tests import bootstrap_interval
from surrogate_opt.study.text_tables import number

TITLE: Final = "What penalties cost: time, memory, rounding (DREG and gradient regularization papers)"
PROTOCOL: Final = (
    "Steps on random batches of 64 images: the DREG paper's four perceptrons, ReLU and SiLU, 3 repetitions "
    "each; LeNet-5, 8 repetitions. Ratios are geometric means; all methods of a pair take turns on one "
    "network. The papers name no protocol."
)

_AS_GOOD: Final = 1.25
"""What "comparable" may be at most, times."""

_ERROR: Final = 0.01
"""A relative error of gradients that could matter; the noise of minibatches is far above it."""

_WHY: Final = {"rounding": "a second backward pass rounds as a first one does; no sum is longer"}

CLAIMS: Final = tuple(
    Claim(name=f"{NAME}-{name}", statement=statement, reported=reported, why=_WHY.get(name, ""))
    for name, statement, reported in (
        ("dreg-time", "a step with DREG takes about as long as one without", "comparable (Section 3.3)"),
        (
            "dreg-memory",
            "a step with DREG holds about as much memory as one without",
            "comparable (Section 3.3)",
        ),
        ("double-memory", "double backpropagation needs twice the memory", "O(2x) (Section 3.3)"),
        ("dreg-cheaper", "DREG takes less time than double backpropagation", "Sections 3.3, 4.1"),
        (
            "rounding",
            "double backpropagation suffers from floating-point errors at 10^3 to 10^5 parameters",
            "Sections 3.2, 4.1, no figure",
        ),
        ("projection", "SpectReg takes a tenth of FrobReg's time for ten classes", "m times (Section 6.2.6)"),
        (
            "confidence",
            "the confidence penalty takes less time than SpectReg and DataGrad",
            "significantly (Section 6.2.2)",
        ),
    )
)

Logs = Float[np.ndarray, " pairs"]


def find_cost(table: pd.DataFrame) -> list[Finding]:
    """Judge the claims by the rows of all cells; pairs are networks and repetitions."""
    wide = pd.DataFrame(table.set_index(["network", "activation", "repetition", "method"]).unstack("method"))
    on_lenet = wide.index.get_level_values("network") == "lenet"
    perceptrons, lenet = wide.loc[~on_lenet], wide.loc[on_lenet]

    def times(rows: pd.DataFrame, figure: str, more: str, less: str) -> Logs:
        logs: Logs = np.log((rows[figure][more] / rows[figure][less]).to_numpy(dtype=float))
        return logs

    closed, plain = (
        times(perceptrons, figure, "dreg", "none") for figure in ("closed_form_seconds", "seconds")
    )
    held, doubled = (times(perceptrons, "footprint", name, "none") for name in ("dreg", "datagrad"))
    faster = times(perceptrons, "closed_form_seconds", "datagrad", "dreg")
    faster_plain = times(perceptrons, "seconds", "datagrad", "dreg")
    errors = np.log(perceptrons["rounding"]["datagrad"].to_numpy(dtype=float) / _ERROR)
    worst = ", ".join(
        f"{label} {float(perceptrons['rounding'][name].max()):.0e}"
        for name, label in (
            ("datagrad", "double backpropagation"),
            ("dreg", "DREG"),
            ("none", "cross-entropy"),
        )
    )
    seconds = lenet["seconds"]
    extra = np.log(
        ((seconds["frobreg"] - seconds["none"]) / (seconds["spectreg"] - seconds["none"])).to_numpy(
            dtype=float
        )
    )
    cheaper = [times(lenet, "seconds", name, "confidence") for name in ("spectreg", "datagrad")]
    found = {
        "dreg-time": (
            f"closed form {_times(closed)}",
            no_worse_verdict(-closed, float(np.log(_AS_GOOD))),
            f"about: {_AS_GOOD} times at most; by autograd {_times(plain)}",
        ),
        "dreg-memory": (
            _times(held),
            no_worse_verdict(-held, float(np.log(_AS_GOOD))),
            f"about: {_AS_GOOD} times at most; the state of AdamW counts, scratch space does not",
        ),
        "double-memory": (_times(doubled), sized_verdict(doubled, float(np.log(2.0))), ""),
        "dreg-cheaper": (
            f"double backpropagation over DREG: closed form {_times(faster)}",
            directional_verdict(faster),
            f"by autograd, where watching a module's layers counts too, {_times(faster_plain)}",
        ),
        "rounding": (
            f"largest relative error of a float32 gradient: {worst}",
            directional_verdict(errors),
            f"suffers: more than {_ERROR:g}",
        ),
        "projection": (
            f"beyond a step without a penalty, LeNet-5: {_times(extra)}",
            sized_verdict(extra, float(np.log(NUM_CLASSES))),
            "",
        ),
        "confidence": (
            f"LeNet-5: SpectReg {_times(cheaper[0])}, DataGrad {_times(cheaper[1])} of its step",
            directional_verdict(*cheaper),
            "",
        ),
    }
    return [
        Finding(claim=f"{NAME}-{name}", ours=ours, verdict=verdict, remark=remark)
        for name, (ours, verdict, remark) in found.items()
    ]


def _times(logs: Logs) -> str:
    low, high = np.exp(bootstrap_interval(logs, seed=0))
    return f"{np.exp(logs.mean()):.2f} times [{low:.2f}, {high:.2f}]"


def summarize_cost(table: pd.DataFrame) -> pd.DataFrame:
    """Medians over repetitions as multiples of a step without a penalty, a row a network and method."""
    groups = ["network", "activation", "method"]
    medians = table.groupby(groups, sort=False)[
        ["seconds", "closed_form_seconds", "footprint", "rounding"]
    ].median()
    rows = []
    for place, own in medians.iterrows():
        network, activation, method = np.asarray(place, dtype=object)
        base = medians.xs((network, activation, "none"))
        times = {
            "time": own["seconds"] / base["seconds"],
            "time in closed form": own["closed_form_seconds"] / base["closed_form_seconds"],
            "memory": own["footprint"] / base["footprint"],
        }
        shown = {name: number(float(value), 2) for name, value in times.items()}
        step = {"ms": number(1e3 * float(own["seconds"]), 2)}
        name = {"step": f"{network} {activation} {method}"}
        rows.append(name | step | shown | {"rounding": f"{own['rounding']:.0e}"})
    return pd.DataFrame(rows)


_PAPER: Final = CostSpec()

PENALTY_COST: Final = Experiment(
    name=NAME,
    title=TITLE,
    protocol=PROTOCOL,
    claims=CLAIMS,
    presets={
        experiment.PROTOCOL: Preset(cells=_PAPER.cells),
        "smoke": Preset(
            cells=_PAPER.model_copy(
                update={"hidden": ((8,), (16, 8)), "seeds": 1, "lenets": 2, "rounds": 2, "batch_size": 8}
            ).cells,
            cuts="two tiny networks, two rounds",
        ),
    },
    compute=run_cost_cell,
    find=find_cost,
    summarize=summarize_cost,
)

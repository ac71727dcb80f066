"""What penalties cost: footprints and rounding against counts by hand, judgements on tables made here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from surrogate_opt.study.evidence.penalty_cost import cells
from surrogate_opt.study.evidence.penalty_cost.cells import CostSpec, run_cost_cell
from surrogate_opt.study.evidence.penalty_cost.claims import CLAIMS, find_cost, summarize_cost
from surrogate_opt.study.text_tables import MISSING

TINY = CostSpec(hidden=((6,),), activations=("relu",), seeds=1, lenets=1, batch_size=4, rounds=1)


def test_a_cell_measures_every_method():
    perceptron, lenet = (pd.DataFrame(run_cost_cell(cell).rows) for cell in TINY.cells(Path()))
    assert set(perceptron["method"]) == set(lenet["method"]) == {"none", *cells._PENALTIES}
    assert (perceptron["seconds"] > 0.0).all()
    timed = perceptron.set_index("method")["closed_form_seconds"].notna()
    assert set(timed[timed].index) == {"none", "dreg", "datagrad"}
    assert lenet["closed_form_seconds"].isna().all()
    assert ((perceptron["rounding"] > 0.0) & (perceptron["rounding"] < 1e-4)).all()


def test_the_footprint_is_state_inputs_and_what_autograd_saves():
    model, x, labels = nn.Linear(784, 10), torch.randn(4, 784), torch.arange(4)
    found = cells._footprint(model, "none", x, labels)
    state, inputs = 4 * 4 * (7840 + 10), 4 * x.numel()
    labels_and_outputs = 8 * 4 + 4 * 40 + 4 * 1  # int64 labels, log-softmax, the loss's total weight
    assert found == state + inputs + labels_and_outputs
    assert cells._footprint(model, "datagrad", x, labels) > found


def test_rounding_is_that_of_single_precision():
    torch.manual_seed(0)
    model, x, labels = (
        nn.Sequential(nn.Linear(784, 8), nn.SiLU(), nn.Linear(8, 10)),
        torch.randn(4, 784),
        None,
    )
    assert 1e-9 < cells._rounding(model, "dreg", x, labels) < 1e-5
    assert cells._rounding(model.double(), "dreg", x, labels) > 0.0  # the model itself stays as it is
    assert next(model.parameters()).dtype == torch.float64


COSTS = {"dreg": 1.1, "datagrad": 1.6, "spectreg": 1.7, "frobreg": 9.0, "jacreg": 9.0, "confidence": 1.02}


def made_table(costs=COSTS, memory=2.2, rounding=0.1):
    rows = []
    networks = [("32-16", "relu"), ("128-64", "relu"), ("32-16", "silu"), ("lenet", "relu")]
    for network, activation in networks:
        for repetition in range(8):
            for method, times in ({"none": 1.0} | costs).items():
                seconds = 1e-3 * times * (1.0 + 0.003 * repetition * (len(method) - 4))
                rows.append(
                    {"network": network, "activation": activation, "repetition": repetition}
                    | {"method": method, "seconds": seconds}
                    | {"closed_form_seconds": np.nan if network == "lenet" else seconds}
                    | {"footprint": 1e6 * (memory if method == "datagrad" else 1.0)}
                    | {"rounding": (rounding if method == "datagrad" else 1e-7) * (1.0 + 0.01 * repetition)}
                )
    return pd.DataFrame(rows)


def verdicts(table):
    return {finding.claim.removeprefix("penalty-cost-"): finding.verdict for finding in find_cost(table)}


def test_what_holds_is_reproduced():
    found = verdicts(made_table(COSTS | {"frobreg": 8.5}))
    assert set(found) == {claim.name.removeprefix("penalty-cost-") for claim in CLAIMS}
    assert set(found.values()) == {"reproduced"}


@pytest.mark.parametrize(
    ("changed", "fallen"),
    [
        ({"costs": COSTS | {"dreg": 1.7}}, {"dreg-time", "dreg-cheaper"}),
        ({"costs": COSTS | {"confidence": 1.8}}, {"confidence"}),
        ({"memory": 0.9}, {"double-memory"}),
        ({"rounding": 1e-6}, {"rounding"}),
    ],
)
def test_what_does_not_hold_is_not_reproduced(changed, fallen):
    found = verdicts(made_table(**changed))
    assert {name for name, verdict in found.items() if verdict == "not reproduced"} == fallen


def test_a_size_that_is_missed_is_a_direction():
    found = verdicts(made_table(COSTS | {"frobreg": 3.0}, memory=1.3))
    assert found["projection"] == found["double-memory"] == "reproduced in direction"


def test_the_table_shows_multiples_of_a_step_without_a_penalty():
    shown = summarize_cost(made_table())
    assert len(shown) == 4 * 7
    assert shown["time"].iloc[0] == "1.00"
    assert shown.iloc[-1]["time in closed form"] == MISSING

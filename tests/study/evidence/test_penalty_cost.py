"""What penalties cost: footprints and rounding against counts by hand, judgements on tables made here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from surrogate_opt.penalties import DREG
from surrogate_opt.study.evidence.penalty_cost import cells
from surrogate_opt.study.evidence.penalty_cost.cells import CostSpec, run_cost_cell
from surrogate_opt.study.evidence.penalty_cost.claims import CLAIMS, find_cost, summarize_cost
from surrogate_opt.study.text_tables import MISSING

TINY = CostSpec(widths=((12, 6, 10),), activations=("relu",), seeds=1, lenets=1, batch_size=4, rounds=1)


def test_a_cell_measures_every_method():
    perceptron, lenet = (pd.DataFrame(run_cost_cell(cell).rows) for cell in TINY.cells(Path()))
    assert set(perceptron["method"]) == set(lenet["method"]) == {"none", *cells._PENALTIES}
    assert (perceptron["seconds"] > 0.0).all()
    timed = perceptron.set_index("method")["closed_form_seconds"].notna()
    assert set(timed[timed].index) == {"none", "dreg", "datagrad"}
    assert lenet["closed_form_seconds"].isna().all()
    assert ((perceptron["rounding"] > 0.0) & (perceptron["rounding"] < 1e-4)).all()


def test_memory_is_state_inputs_and_what_autograd_saves():
    model, x, labels = nn.Linear(784, 10), torch.randn(4, 784), torch.arange(4)
    found = cells._memory(model, "none", x, labels)
    saved = 8 * 4 + 4 * 40 + 4 * 1  # int64 labels, log-softmax, the loss's total weight
    assert found == {"saved_bytes": saved, "held_bytes": saved + 4 * 4 * (7840 + 10) + 4 * x.numel()}
    assert cells._memory(model, "datagrad", x, labels)["saved_bytes"] > saved


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU])
def test_the_pseudocode_is_dreg(activation):
    model = nn.Sequential(
        nn.Linear(6, 8), activation(), nn.Linear(8, 5), activation(), nn.Linear(5, 10)
    ).double()
    x, labels = torch.randn(7, 6, dtype=torch.float64), torch.randint(10, (7,))
    want = cross_entropy(model(x), labels) + cells.STRENGTH * DREG(model)(x)
    assert cells._loss(model, "dreg")(x, labels).item() == pytest.approx(want.item(), rel=1e-12)


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


def test_rounding_is_measured_before_training_fits_the_batch():
    spec = CostSpec(widths=((40, 256, 10),), activations=("relu",), seeds=1, batch_size=4, rounds=12)
    table = pd.DataFrame(run_cost_cell(spec.cells(Path())[0]).rows)
    assert (table["rounding"] < 1e-4).all()


COSTS = {"dreg": 1.1, "datagrad": 1.6, "spectreg": 1.7, "frobreg": 10.0, "jacreg": 10.0, "confidence": 1.02}


def made_table(costs=COSTS, saved=None, rounding=0.1):
    rows = []
    memory = {"none": 1.0, "dreg": 1.1, "datagrad": 2.2} | (saved or {})
    for size in range(7):
        network = f"{10 + size}-10" if size < 6 else "lenet"
        for repetition in range(3 if size < 6 else 8):
            for method, times in ({"none": 1.0} | costs).items():
                seconds = 1e-3 * times * (1.0 + 0.003 * (repetition + size) * (len(method) - 4))
                own = 1e5 * memory.get(method, 3.0) * (1.0 + 0.01 * size * len(method))
                rows.append(
                    {"network": network, "parameters": 1000, "activation": "relu", "repetition": repetition}
                    | {"method": method, "seconds": seconds}
                    | {"closed_form_seconds": np.nan if network == "lenet" else seconds}
                    | {"saved_bytes": own, "held_bytes": 1e6 + own}
                    | {"rounding": (rounding if method == "datagrad" else 1e-7) * (1.0 + 0.01 * size)}
                )
    return pd.DataFrame(rows)


def verdicts(table):
    return {finding.claim.removeprefix("penalty-cost-"): finding.verdict for finding in find_cost(table)}


def test_what_holds_is_reproduced():
    found = verdicts(made_table())
    assert set(found) == {claim.name.removeprefix("penalty-cost-") for claim in CLAIMS}
    assert set(found.values()) == {"reproduced"}


@pytest.mark.parametrize(
    ("changed", "fallen"),
    [
        ({"costs": COSTS | {"dreg": 1.7}}, {"dreg-time", "dreg-cheaper"}),
        ({"costs": COSTS | {"confidence": 1.8}}, {"confidence"}),
        ({"costs": COSTS | {"jacreg": 1.5}}, {"jacreg"}),
        ({"saved": {"datagrad": 0.9}}, {"double-memory", "dreg-smaller"}),
        ({"saved": {"dreg": 2.0}}, {"dreg-saved"}),
        ({"rounding": 1e-6}, {"rounding"}),
    ],
)
def test_what_does_not_hold_is_not_reproduced(changed, fallen):
    found = verdicts(made_table(**changed))
    assert {name for name, verdict in found.items() if verdict == "not reproduced"} == fallen


def test_a_size_that_is_missed_is_a_direction():
    assert verdicts(made_table(COSTS | {"frobreg": 3.0}))["projection"] == "reproduced in direction"


def test_at_least_twice_is_twice_beyond_chance():
    assert verdicts(made_table(saved={"datagrad": 1.8}))["double-memory"] == "not reproduced"


def test_the_table_shows_multiples_of_a_step_without_a_penalty():
    shown = summarize_cost(made_table())
    assert len(shown) == 7 * 7
    assert shown["time"].iloc[0] == "1.00"
    assert shown.iloc[-1]["time in closed form"] == MISSING

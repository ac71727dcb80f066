"""Identities of gradient penalties: a cell by hand, judgements on tables made here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from surrogate_opt.study.evidence import identities
from surrogate_opt.study.evidence.identities import (
    CLAIMS,
    IdentitiesSpec,
    find_identities,
    run_identities_cell,
)


def test_a_cell_comes_out_the_same_again_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    relu, silu = IdentitiesSpec(networks=1, draws=30).cells(Path())
    (first,), (again,) = (run_identities_cell(relu).rows for _ in range(2))
    assert first == again
    (other,) = run_identities_cell(silu).rows
    assert first["biases_frobreg"] == first["biases_spectreg"] == 0.0 < first["biases_jacreg"] < 1.0
    assert other["biases_frobreg"] > 0.0
    assert abs(first["normal"]) < 0.3  # 960 draws of a few degrees of freedom
    assert torch.equal(before, torch.get_rng_state())


def made_table():
    offs = 1e-3 * (-1.0) ** np.arange(12)
    table = pd.DataFrame({"network": np.arange(12), "activation": ["relu", "silu"] * 6})
    table = table.assign(normal=offs, one_hot=offs, sphere=-offs, above_spectral=-0.1, datagrad=1e-16)
    biases = {f"biases_{name}": [0.0, 0.2] * 6 for name in identities._OF_BIASES}
    return table.assign(linear=0.0, above_product=-0.9, above_mean=-0.9, **biases)


@pytest.mark.parametrize(
    ("column", "value", "claim"),
    [
        ("one_hot", 0.1, "unbiased"),
        ("sphere", -0.1, "unbiased"),
        ("datagrad", 1e-3, "datagrad"),
        ("linear", np.nan, "linear"),
        ("above_product", 0.01, "product"),
        ("above_spectral", 0.01, "spectral"),
        ("above_mean", 0.01, "mean"),
        ("biases_datagrad", 0.1, "biases"),
    ],
)
def test_one_network_refutes_an_identity(column, value, claim):
    table = made_table()
    found = {one.claim.removeprefix("identities-"): one.verdict for one in find_identities(table)}
    assert found == {one.name.removeprefix("identities-"): "reproduced" for one in CLAIMS}
    rows = slice(None) if claim == "unbiased" else 0
    table.loc[rows, column] = value
    found = {one.claim.removeprefix("identities-"): one.verdict for one in find_identities(table)}
    assert [name for name, verdict in found.items() if verdict != "reproduced"] == [claim]


def test_the_table_has_every_figure_under_each_activation():
    assert len(identities.summarize_identities(made_table())) == 2 * 12

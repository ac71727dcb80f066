"""Figure 4: cells, judgements on tables made here, the picture."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from surrogate_opt.study.evidence.small_mnist.cells import DECAY, Recipe
from surrogate_opt.study.evidence.small_mnist.protocol import PAPER
from surrogate_opt.study.evidence.small_mnist.weight_claims import (
    CLAIMS,
    Sweep,
    find_weights,
    summarize_weights,
)
from surrogate_opt.study.evidence.small_mnist.weight_picture import draw_weights
from surrogate_opt.study.evidence.small_mnist.weights import WeightsSpec

SPEC = WeightsSpec(
    recipe=Recipe(minibatches=3, batch_size=20, development=100),
    runs=1,
    decays=(0.0,),
    datagrad=(1.0,),
    spectreg=(0.1,),
    confidence=(0.1,),
    jacreg=(),
)


def test_trainings_that_the_tables_ask_for_too_are_the_same_cells():
    listed = SPEC.cells(Path())
    assert [cell.setting.method for cell in listed] == ["datagrad", "spectreg", "confidence"]
    tables = {cell.key for cell in PAPER.cells(Path())}
    own = [cell.key for cell in WeightsSpec(runs=2).cells(Path())]
    assert len(own) == len(set(own))
    assert len(tables & set(own)) == 2 * (2 * 13 + 3 * 9)  # of six decays the tables have two
    assert not tables & {cell.key for cell in listed}  # trained more shortly


WEIGHTS = (0.01, 0.1, 1.0, 10.0, 100.0)


def made_table(collapse=20.0, runs=10, decays=(0.0, DECAY), sharpness=1.0):
    """The paper is right where the collapse is at 20."""
    rows = []
    for decay in decays:
        for method in ("datagrad", "spectreg", "confidence"):
            if method != "datagrad" and decay != DECAY:
                continue
            for position, weight in enumerate(WEIGHTS):
                for run in range(runs):
                    gain = (0.1 + 0.01 * run) * position
                    test = 97.0 + 0.01 * run + (sharpness * gain if method == "datagrad" else 0.1 * gain)
                    squares = 100.0 + run + (position if decay else -position)
                    if method == "datagrad" and weight > collapse:
                        test, squares = 50.0 + run, 50.0 + run
                    rows.append(
                        {"method": method, "weight_decay": decay, "weight": weight, "run": run}
                        | {"development": test, "test": test, "squares": squares}
                    )
    return pd.DataFrame(rows)


def verdicts(table):
    return {one.claim.removeprefix("datagrad-weights-"): one.verdict for one in find_weights(table)}


def test_the_papers_figure_is_found_where_it_holds():
    found = verdicts(made_table())
    assert list(found) == [claim.name.removeprefix("datagrad-weights-") for claim in CLAIMS]
    assert set(found.values()) == {"reproduced"}


def test_a_collapse_elsewhere_is_a_direction_and_none_is_no_collapse():
    assert verdicts(made_table(collapse=0.5))["transition"] == "reproduced in direction"
    never = verdicts(made_table(collapse=1e9))  # a weight a little too strong is no collapse either
    slightly = made_table(collapse=1e9)
    slightly.loc[slightly["weight"] == 100.0, ["test", "development"]] -= 0.5
    assert verdicts(slightly)["collapse"] == "not reproduced"
    for name in ("collapse", "transition", "shrinks-beyond"):
        assert never[name] == "not reproduced"


def test_a_flat_weight_is_not_sensitive():
    assert verdicts(made_table(collapse=1e9, sharpness=0.05))["sensitive"] == "not reproduced"


def test_grids_of_unlike_steps_lose_alike():
    weights = np.array([0.1, 1.0, 10.0])
    row = 97.0 - np.abs(np.log10(weights))
    coarse = Sweep(weights, row[None], row[None], 1)
    dense = np.geomspace(0.1, 10.0, 9)
    row = 97.0 - np.abs(np.log10(dense))
    fine = Sweep(dense, row[None], row[None], 4)
    assert coarse.lost_nearby() == pytest.approx([0.75])
    assert fine.lost_nearby() == pytest.approx([0.75])
    assert np.isnan(Sweep(weights[:1], coarse.accuracy[:, :1], coarse.squares[:, :1], 0).lost_nearby()).all()


def test_runs_that_failed_bear_nothing_out():
    table = made_table()
    table.loc[(table["weight"] == 100.0) & (table["run"] == 3), ["development", "test", "squares"]] = np.nan
    found = verdicts(table)
    assert found["collapse"] == found["shrinks-beyond"] == "not reproduced"
    assert found["transition"] == "reproduced"  # a failed run is a collapse


def test_claims_without_their_rows_are_not_run():
    table = made_table(decays=(0.0,))
    found = verdicts(table)
    assert {name for name, verdict in found.items() if verdict == "not run"} == {"grows", "sensitive"}
    assert verdicts(made_table(decays=(DECAY,)))["shrinks"] == "not run"


def test_the_table_and_the_picture(tmp_path):
    table = made_table()
    assert len(summarize_weights(table)) == 4 * len(WEIGHTS)
    (picture,) = draw_weights(table, tmp_path / "pictures")
    assert picture.stat().st_size > 10_000

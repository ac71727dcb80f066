"""The factorial: tasks on data made here, cells, choice of strengths, judgements on tables made here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from surrogate_problems.datasets import Images, RegressionTable, Texts

from surrogate_opt.study.evidence.factorial import cells as factorial_cells
from surrogate_opt.study.evidence.factorial import tasks
from surrogate_opt.study.evidence.factorial.cells import (
    REGULARIZERS,
    FactorialSpec,
    disturbed,
    run_factorial_cell,
)
from surrogate_opt.study.evidence.factorial.claims import chosen_rows, find_factorial
from surrogate_opt.study.evidence.factorial.experiment import FACTORIAL, FACTORIAL_TUNED
from surrogate_opt.study.evidence.factorial.tasks import KINDS, TASKS, Task, load_task

TINY = FactorialSpec(
    tasks=("trec",),
    activations=("gelu",),
    regimes=("clean", "small"),
    seeds=1,
    max_rows=120,
    hidden=(6,),
    epochs=1,
)


def made_task(name="trec", folder=None, *, max_rows=100, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(3, size=200)
    x = (generator.normal(size=(200, 5)) + y[:, None]).astype(np.float32)
    return Task(x=x[:max_rows], y=y[:max_rows], x_test=x[120:], y_test=y[120:])


def test_images_sentences_and_tables_become_rows(monkeypatch):
    generator = np.random.default_rng(0)
    pixels = generator.integers(256, size=(60, 3, 4, 4), dtype=np.uint8)
    columns, labels = generator.normal(size=(60, 4)), np.arange(60) % 2
    split = (np.arange(40), np.arange(40, 60))
    words = tuple(f"{'good' if label else 'bad'} film number {row}" for row, label in enumerate(labels))
    monkeypatch.setattr(
        tasks,
        "load_images",
        lambda name, folder: Images(
            name=name, x_train=pixels[:40], y_train=labels[:40], x_test=pixels[40:], y_test=labels[40:]
        ),
    )
    monkeypatch.setattr(
        tasks,
        "load_texts",
        lambda name, folder: Texts(
            name=name, x_train=words[:40], y_train=labels[:40], x_test=words[40:], y_test=labels[40:]
        ),
    )
    monkeypatch.setattr(
        tasks,
        "load_table",
        lambda name, folder: RegressionTable(name=name, x=columns, y=np.arange(60.0), splits=(split,)),
    )
    for name in TASKS:
        task = load_task(name, Path(), max_rows=30, seed=1)
        assert len(task.x) == len(task.y) == 30
        assert len(task.x_test) == len(task.y_test) == 20
        assert task.x.dtype == np.float32
        assert abs(float(task.x.mean())) < 1e-5
        assert float(task.x.std()) == pytest.approx(1.0, rel=0.05)
        assert task.num_classes == 2
        again = load_task(name, Path(), max_rows=30, seed=1)
        np.testing.assert_array_equal(task.x, again.x)
    assert set(KINDS.values()) == {"vision", "text", "table"}


def test_noise_goes_where_the_regime_says():
    task = made_task(max_rows=100)
    labels = disturbed(task, "label noise", 0)
    assert 0.05 < (labels.y != task.y).mean() < 0.35
    np.testing.assert_array_equal(labels.y_test, task.y_test)
    np.testing.assert_array_equal(labels.x, task.x)
    inputs = disturbed(task, "input noise", 0)
    assert float((inputs.x - task.x).std()) == pytest.approx(1.0, rel=0.1)
    assert float((inputs.x_test - task.x_test).std()) == pytest.approx(1.0, rel=0.1)
    np.testing.assert_array_equal(disturbed(task, "clean", 0).x, task.x)


@pytest.mark.parametrize("tuned", [False, True])
def test_a_cell_holds_every_regularizer(monkeypatch, tuned):
    monkeypatch.setattr(factorial_cells, "load_task", made_task)
    cells = TINY.model_copy(update={"tuned": tuned}).cells(Path())
    assert len({cell.key for cell in cells}) == 2
    assert not {cell.key for cell in cells} & {
        c.key for c in TINY.model_copy(update={"tuned": not tuned}).cells(Path())
    }
    table = pd.DataFrame(run_factorial_cell(cells[0]).rows)
    assert list(dict.fromkeys(table["method"])) == list(REGULARIZERS)
    assert len(table) == (sum(len(one.levels) for one in REGULARIZERS.values()) if tuned else 6)
    assert table["fixed"].sum() == 6
    assert table["accuracy"].between(0.0, 100.0).all()
    pd.testing.assert_frame_equal(table, pd.DataFrame(run_factorial_cell(cells[0]).rows))


def made_table(**leads):
    """All tasks, regimes, activations and seeds; accuracies of 80 and what a method has over it."""
    rows = []
    for number, task in enumerate(TASKS):
        for regime in ("clean", "label noise", "input noise", "small"):
            for activation in ("relu", "gelu"):
                for seed in range(5):
                    for method in REGULARIZERS:
                        lead = leads.get(method, 0.0)
                        if callable(lead):
                            lead = lead(regime)
                        wobble = 0.01 * ((number + len(activation) + seed) % 7)
                        rows.append(
                            {"task": task, "regime": regime, "activation": activation, "seed": seed}
                            | {"method": method, "level": REGULARIZERS[method].fixed, "fixed": True}
                            | {"dev_accuracy": 80.0, "accuracy": 80.0 + lead * (1.0 + wobble)}
                        )
    return pd.DataFrame(rows)


def verdicts(table):
    found = find_factorial(table, prefix="general-purpose", tuned=False)
    return {finding.claim.removeprefix("general-purpose-"): finding.verdict for finding in found}


def test_findings_that_hold_are_reproduced():
    def dreg(regime):
        return {"clean": 1.0, "small": 3.0}.get(regime, 1.0)

    def sn(regime):
        return 2.0 if "noise" in regime else -4.0

    found = verdicts(made_table(dreg=dreg, sn=sn))
    assert found.pop("gelu-messy") == "not reproduced"  # SN is first there
    assert set(found.values()) == {"reproduced"}
    assert set(found) == {claim.name.removeprefix("general-purpose-") for claim in FACTORIAL.claims} - {
        "gelu-messy"
    }


def test_findings_that_do_not_hold_are_not():
    assert set(verdicts(made_table(dreg=-1.0)).values()) == {"not reproduced"}


def test_regimes_that_did_not_run_decide_nothing():
    table = made_table(dreg=1.0)
    found = verdicts(table[table["regime"] == "clean"])
    assert found["clean"] == "reproduced"
    for name in ("overall", "noise", "gelu-messy", "scarcity"):
        assert found[name] == "not run"


def test_rivals_get_the_strength_best_on_rows_held_out():
    rows = [
        {"task": "trec", "regime": "clean", "activation": "relu", "seed": seed, "method": method}
        | {"level": level, "fixed": level == 1.0, "dev_accuracy": dev, "accuracy": dev + 1.0}
        for seed in range(2)
        for method in ("sn", "dreg")
        for level, dev in ((1.0, 70.0), (2.0, 75.0))
    ]
    table = pd.DataFrame(rows)
    tuned = chosen_rows(table, tuned=True).set_index("method")["level"].to_dict()
    assert tuned == {"sn": 2.0, "dreg": 1.0}  # DREG keeps its fixed one
    assert set(chosen_rows(table, tuned=False)["level"]) == {1.0}


def test_of_equally_good_strengths_the_weakest_is_taken():
    rows = [
        {"task": "trec", "regime": "clean", "activation": "relu", "seed": 0, "method": method}
        | {"level": level, "fixed": level == one.fixed, "dev_accuracy": 70.0, "accuracy": 70.0}
        for method, one in REGULARIZERS.items()
        for level in reversed(one.levels)
    ]
    tuned = chosen_rows(pd.DataFrame(rows), tuned=True).set_index("method")["level"].to_dict()
    assert tuned == {name: one.levels[0] for name, one in REGULARIZERS.items()} | {"dreg": 10.0**-2.5}


def test_the_tables_name_every_method():
    for experiment in (FACTORIAL, FACTORIAL_TUNED):
        shown = experiment.summarize(made_table(dreg=1.0))
        assert set(REGULARIZERS) < set(shown.columns)
        assert len(shown) == 4 + 2 + 8

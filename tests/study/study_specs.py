"""A study small enough to run inside a test."""

from surrogate_opt.study.cell import run_cell
from surrogate_opt.study.spec import StudySpec, make_spec
from surrogate_opt.study.store import ResultsStore
from surrogate_opt.study.tables import load_study


def tiny_spec(**changes) -> StudySpec:
    values = {
        "name": "tiny",
        "families": ("smooth", "piecewise"),
        "methods": ("none", "dreg", "sn"),
        "instances": 1,
        "dim": 3,
        "num_train": 40,
        "hidden": (8,),
        "epochs": 4,
        "starts": 5,
        "loop_steps": 6,
    }
    return make_spec(**(values | changes))


def stored_study(spec, folder):
    """Run every cell of a study here, and read it back from the store."""
    with ResultsStore(folder / "results.db") as store:
        for cell in spec.cells():
            store.put(cell, run_cell(cell), 0.0)
    return load_study(spec, folder / "results.db")

"""A study small enough to run inside a test."""

from surrogate_opt.study.spec import StudySpec, make_spec


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

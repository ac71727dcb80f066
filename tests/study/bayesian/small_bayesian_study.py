"""A study of Bayesian optimization small enough to run inside a test."""

from surrogate_opt.errors import TrainingError
from surrogate_opt.study.bayesian.searches import make_search
from surrogate_opt.study.bayesian.spec import BayesianStudySpec, make_bayesian_spec


def small_spec(**changes) -> BayesianStudySpec:
    values = {
        "name": "small",
        "problems": ("smooth", "branin"),
        "models": ("gp", "sobol"),
        "instances": 1,
        "dim": 2,
        "evaluations": 8,
    }
    return make_bayesian_spec(**(values | changes))


def failing_gp(cell, problem):
    """In place of ``make_search``: one model raises."""
    if cell.model == "gp":
        raise TrainingError("no luck")
    return make_search(cell, problem)

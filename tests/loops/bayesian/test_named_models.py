"""Loops with the models that are asked for by name, from the first points to a file and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from loop_fitters import SMALL

from surrogate_opt.loops.bayesian import BayesianLoop
from surrogate_opt.loops.bayesian.domain import SAME_POINT

MODELS = ("ensemble", "last_layer", "deep_kernel")
LOWER, UPPER = np.array([-2.0, 0.0]), np.array([2.0, 1.0])


def bowl(x):
    """Minimum 0 at 0.4 in every input."""
    return ((x - 0.4) ** 2).sum(-1)


def make(model, dim=2, **options):
    """One strength instead of a search for it: a quarter of the time."""
    settings = {"strength": 0.01, "num_initial": 5, "budget": SMALL, "seed": 3}
    return BayesianLoop([LOWER[:dim], UPPER[:dim]], model=model, **settings | options)


def told(model, num_points=6, **options):
    """A loop that knows so many Sobol points."""
    loop = make(model, **{"num_initial": num_points} | options)
    x = loop.ask(num_points)
    loop.tell(x, bowl(x))
    return loop


def check_proposals(loop, x):
    """All of the model's own, inside the box, different from one another and from all that was told."""
    pending = loop.state.ledger.pending[-len(x) :]
    assert [(proposal.kind, proposal.note) for proposal in pending] == [("model", "")] * len(x)
    assert all(math.isfinite(proposal.predicted_mean) for proposal in pending)
    assert all(proposal.predicted_std > 0.0 for proposal in pending)
    lower, upper = np.array(loop.state.settings.bounds)
    assert ((x >= lower) & (x <= upper)).all()
    names = list(loop.state.settings.feature_names)
    others = np.concatenate([loop.history[names].to_numpy(), x])
    distances = (np.abs(x[:, None] - others) / (upper - lower)).max(-1)
    assert (distances < SAME_POINT).sum() == len(x)  # each is its own neighbor alone


@pytest.mark.parametrize("model", MODELS)
def test_a_loop_that_is_read_back_proposes_what_it_would_have(model, tmp_path):
    loop = told(model)
    x = loop.ask()
    loop.tell(x, bowl(x))  # so that the next fit begins where the last one ended
    loop.save(tmp_path / "a.campaign")
    resumed = BayesianLoop.load(tmp_path / "a.campaign")
    following = loop.ask(2)
    np.testing.assert_array_equal(resumed.ask(2), following)
    check_proposals(loop, following)


@pytest.mark.parametrize(("model", "dim"), [("ensemble", 1), ("last_layer", 1), ("deep_kernel", 2)])
def test_failed_evaluations_and_few_inputs(model, dim):
    loop = make(model, dim=dim)
    x = loop.ask(8)
    y = bowl(x)
    y[[1, 4]] = [math.nan, math.inf]
    loop.tell(x, y)
    check_proposals(loop, loop.ask())
    assert loop.history["status"].tolist().count("failed") == 2


@pytest.mark.parametrize("model", MODELS)
def test_seven_repeats_of_one_of_five_points(model):
    loop = told(model, 5)
    repeats = loop.history[["x0", "x1"]].to_numpy()[:1].repeat(7, 0)
    loop.tell(repeats, bowl(repeats) + 0.01 * np.arange(7))
    check_proposals(loop, loop.ask())


@pytest.mark.parametrize("model", MODELS)
def test_one_constraint_is_modelled_beside_the_objective(model):
    loop = make(model, num_constraints=1)
    x = loop.ask(8)
    loop.tell(x, bowl(x), x[:, :1] + 0.5)
    assert loop.model.num_outputs == 2
    check_proposals(loop, loop.ask())


def test_the_knowledge_gradient_goes_with_a_last_layer():
    loop = told("last_layer", acquisition="knowledge_gradient")
    check_proposals(loop, loop.ask(2))

"""Time of one step of Bayesian optimization, refit and acquisition, against that of SingleTaskGP."""

import pytest
import torch
from surrogate_problems.transformed import TransformedFunction

from surrogate_opt.loops.bayesian import BayesianLoop

MODELS = ("ensemble", "last_layer", "deep_kernel")
CHOICE_EVERY = 10  # steps


def step_after(model, num_rows, *, first):
    """A function that makes the same proposal again and again: the first of a loop, or the one after."""
    problem = TransformedFunction("hartmann", 6, seed=0)
    loop = BayesianLoop(problem.bounds, model=model, num_initial=num_rows - 1, seed=0)
    x, y = problem.sample(num_rows, seed=0)
    if first:
        loop.tell(x, y)
    else:
        loop.tell(x[:-1], y[:-1])
        point = torch.from_numpy(loop.ask())
        loop.tell(point, problem.value(point))
    state = loop.state
    return lambda: BayesianLoop.from_state(state).ask()


@pytest.mark.parametrize(("num_rows", "rounds", "times_faster"), [(200, 5, 1.0), (2000, 1, 10.0)])
@pytest.mark.parametrize("model", MODELS)
def test_step_against_a_gaussian_process(compare, report, model, num_rows, rounds, times_faster):
    """The strength is chosen anew every 10 evaluations: a tenth of that step's extra time counts for each."""
    rivals = {
        "later": step_after(model, num_rows, first=False),
        "choice": step_after(model, num_rows, first=True),
        "gp": step_after("gp", num_rows, first=True),
    }
    timings = compare(rivals, rounds, warm_up=rounds > 1)
    later, choice, gp = (timings.best(name) for name in rivals)
    step = later + max(0.0, choice - later) / CHOICE_EVERY
    report(later_s=later, choice_s=choice, step_s=step, gp_s=gp, times_faster=gp / step, wanted=times_faster)
    assert gp / step >= times_faster

"""SLSQP under constraints of every kind against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loop_problems import BOX, Bowl, Rosenbrock, Waves, sobol
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.sparse import csr_array

from surrogate_opt.adapters import as_box
from surrogate_opt.errors import InputError
from surrogate_opt.loops.constraints import as_constraints, in_unit_box, violation
from surrogate_opt.loops.slsqp import SLSQPConfig, run_slsqp, slsqp

BALL = Bowl(torch.zeros(3).double(), torch.ones(3).double())  # squared distance from the origin
WIDE = torch.tensor([[-3.0, -2.0, -1.0], [3.0, 4.0, 5.0]]).double()
NORMAL = np.array([1.0, 2.0, 2.0])

# The point of {normal.x >= 3} nearest to the origin is normal/3; that of {|x - (0,0,3)| <= 1} is (0, 0, 2).
PLANE, SPHERE = NORMAL / 3, np.array([0.0, 0.0, 2.0])
FAR = np.array([0.0, 0.0, 3.0])


def squared(x):
    return float(((x - FAR) ** 2).sum())


CASES = {
    "linear": (LinearConstraint(NORMAL, 3, np.inf), PLANE),
    "linear equality": (LinearConstraint(NORMAL[None], 3, 3), PLANE),
    "linear, sparse": (LinearConstraint(csr_array(NORMAL[None]), 3, np.inf), PLANE),
    "nonlinear": (NonlinearConstraint(squared, -np.inf, 1), SPHERE),
    "nonlinear with its Jacobian": (NonlinearConstraint(squared, 0, 1, jac=lambda x: 2 * (x - FAR)), SPHERE),
    "dict, inequality": ({"type": "ineq", "fun": lambda x: NORMAL @ x - 3}, PLANE),
    "dict, equality, with arguments": (
        {"type": "eq", "fun": lambda x, b: NORMAL @ x - b, "jac": lambda x, b: NORMAL, "args": (3,)},
        PLANE,
    ),
    "two": (
        [LinearConstraint(NORMAL, 3, np.inf), {"type": "eq", "fun": lambda x: x[0]}],
        np.array([0.0, 0.75, 0.75]),
    ),
}


@pytest.mark.parametrize(("constraints", "expected"), CASES.values(), ids=CASES)
def test_constrained_minimum(constraints, expected):
    paths, converged = run_slsqp(BALL, sobol(5, WIDE), WIDE, constraints=constraints)
    assert converged.all()
    torch.testing.assert_close(paths.end, torch.tensor(expected).expand(5, 3), atol=1e-5, rtol=0)
    checked = as_constraints(constraints, 3)
    assert all(violation(checked, end) < 1e-6 for end in paths.end.numpy())


def test_constraints_hold_with_an_input_fixed():
    bounds = WIDE.clone()
    bounds[:, 2] = 0.5
    paths, converged = run_slsqp(BALL, sobol(4, WIDE), bounds, constraints=CASES["linear"][0])
    assert converged.all()
    expected = torch.tensor([0.4, 0.8, 0.5]).double().expand(4, 3)  # (1, 2) x 2/5 is nearest on x + 2 y = 2
    torch.testing.assert_close(paths.end, expected, atol=1e-5, rtol=0)


def test_path_holds_accepted_points_which_fall_without_constraints():
    bounds = torch.tensor([[-2.0, -2.0], [2.0, 2.0]]).double()
    paths = slsqp(Rosenbrock(), sobol(8, bounds), bounds, scale=1000.0)
    assert paths.value.diff(dim=0).max() <= 1e-9
    torch.testing.assert_close(paths.end, torch.ones(8, 2).double(), atol=1e-2, rtol=0)
    assert (paths.num_steps > 5).all()
    short, converged = run_slsqp(Rosenbrock(), sobol(8, bounds), bounds, SLSQPConfig(max_steps=3))
    assert len(short.x) == 4
    assert (short.num_steps <= 3).all()
    assert not converged.any()


def test_constraints_that_cannot_be_met_do_not_converge():
    never = LinearConstraint(NORMAL, 1000, np.inf)
    paths, converged = run_slsqp(BALL, sobol(3, WIDE), WIDE, constraints=never)
    assert not converged.any()
    assert not paths.failed.any()
    assert violation([never], paths.end[0].numpy()) > 0.9


@pytest.mark.parametrize(
    ("constraint", "x", "expected"),
    [
        (LinearConstraint([1, 0], -1, 1), [1.0, 9.0], 0.0),  # on the limit
        (LinearConstraint([1, 0], -1, 1), [3.0, 9.0], 1.0),  # 2 over, relative to 1 + |1|
        (LinearConstraint([1, 0], -1, 1), [-3.0, 9.0], 1.0),
        (LinearConstraint([1, 0], -np.inf, np.inf), [99.0, 0.0], 0.0),
        (NonlinearConstraint(lambda x: x, [0, 0], [9, 9]), [-1.0, -2.0], 2.0),
        (NonlinearConstraint(lambda x: np.nan, 0, 1), [0.0, 0.0], np.inf),
        ({"type": "eq", "fun": lambda x: x[0]}, [-0.25, 0.0], 0.25),
        ({"type": "ineq", "fun": lambda x: x[0]}, [0.25, 0.0], 0.0),
    ],
)
def test_violation_is_the_largest_excess(constraint, x, expected):
    assert violation([constraint], np.array(x)) == expected


@pytest.mark.parametrize("name", CASES)
def test_a_constraint_means_the_same_in_the_unit_box(name):
    box = as_box(WIDE)
    for constraint in as_constraints(CASES[name][0], 3):
        moved = in_unit_box(constraint, box)
        for x in sobol(5, WIDE):
            u = box.to_unit(x).numpy()
            held = violation([constraint], x.numpy()) < 1e-12
            assert (violation([moved], u) < 1e-12) == held


BAD = {
    "a number": (3.0, "constraints: expected a sequence"),
    "another object": ([3.0], "got float"),
    "a dict without fun": ({"type": "eq"}, "a callable fun"),
    "a dict of another type": ({"type": "le", "fun": abs}, "type 'eq' or 'ineq'"),
    "a matrix of another width": (LinearConstraint([1, 1], 0, 1), "a matrix of 3 columns, got 2"),
}


@pytest.mark.parametrize(("constraints", "message"), BAD.values(), ids=BAD)
def test_bad_constraints_are_named(constraints, message):
    with pytest.raises(InputError, match=message):
        slsqp(BALL, sobol(2, WIDE), WIDE, constraints=constraints)


def test_batches_of_starts_and_bad_settings_are_refused():
    with pytest.raises(InputError, match=r"starts: expected shape \(n, 3\)"):
        slsqp(Waves(), sobol(4).reshape(2, 2, 3), BOX)
    with pytest.raises(InputError, match="max_steps"):
        SLSQPConfig(max_steps=0)
    with pytest.raises(InputError, match="tolerance"):
        SLSQPConfig(tolerance=0.0)

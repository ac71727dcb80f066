"""Time of a control step on a learned pendulum: alone, beside do-mpc with IPOPT, and many loops at once."""

import os
import warnings

import numpy as np
import pytest
import torch
from surrogate_problems.plants import make_plant
from threadpoolctl import threadpool_limits

import surrogate_opt as so
from surrogate_opt.dynamics import collect, uniform_actions
from surrogate_opt.loops.mpc import ILQR, Controller, ControlProblem, run_closed_loop
from surrogate_opt.loops.mpc.planning import best_sequences

PLANT = make_plant("pendulum")
PROBLEM = ControlProblem.from_plant(PLANT)
CONVERGED = ILQR(iterations=100, tolerance=1e-10)


@pytest.fixture
def one_core():
    """One processor and one thread for torch and BLAS."""
    allowed, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {min(allowed)})
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)
    os.sched_setaffinity(0, allowed)


@pytest.fixture(scope="module")
def learned():
    """2,000 transitions of the pendulum, the default fit."""
    generator = torch.Generator().manual_seed(0)
    lower, upper = PLANT.data_bounds
    starts = lower + (upper - lower) * torch.rand(100, 2, generator=generator, dtype=torch.float64)
    actions = uniform_actions(PLANT.action_bounds, 100, 20, seed=1, max_hold=5)
    return so.fit_dynamics(collect(PLANT.step, starts, actions), angles=PLANT.angles)


def closed_loop(learned, planner, starts, steps=None):
    controller = Controller(learned, PROBLEM, planner)
    return run_closed_loop(PLANT, controller, steps, starts=starts, keep_plans=False)


def test_a_control_step_and_what_its_few_iterations_cost(one_core, benchmark, report, learned):
    assert ILQR().iterations <= 3
    closed_loop(learned, ILQR(), 1, steps=3)
    run = benchmark.pedantic(lambda: closed_loop(learned, ILQR(), 1), rounds=3)
    fast, converged = (closed_loop(learned, planner, 20) for planner in (ILQR(), CONVERGED))
    cost_ratio = float(fast.cost.mean() / converged.cost.mean())
    times_ms = 1e3 * run.seconds
    report(
        median_ms=float(times_ms.median()),
        longest_ms=float(times_ms.max()),
        cost_over_converged=cost_ratio,
        solved=float(PLANT.succeeded(fast.states).double().mean()),
    )
    assert float(times_ms.median()) < 15.0
    assert cost_ratio <= 1.02


class DoMPC:
    """do-mpc's controller as a planner of one loop.

    It begins from its own last solution, the first time from iLQR's plan: from rest, IPOPT never swings up.
    """

    def __init__(self, learned):
        casadi = pytest.importorskip("casadi")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # do-mpc announces every optional feature it misses
            do_mpc = pytest.importorskip("do_mpc")
        model = do_mpc.model.Model("discrete", "MX")
        state = model.set_variable("_x", "state", shape=(2, 1))
        torque = model.set_variable("_u", "torque")
        model.set_rhs("state", casadi_step(casadi, learned)(state, torque))
        model.setup()

        def distance(weights):
            angle, speed = weights.tolist()
            return 2.0 * angle * (1.0 - casadi.cos(state[0])) + speed * state[1] ** 2

        cost = PROBLEM.cost
        controller = do_mpc.controller.MPC(model)
        controller.settings.n_horizon = PROBLEM.horizon
        controller.settings.t_step = PLANT.dt
        controller.settings.store_full_solution = False
        controller.settings.supress_ipopt_output()
        controller.settings.nlpsol_opts["ipopt.max_iter"] = 100
        controller.set_objective(
            mterm=distance(cost.terminal_weights),
            lterm=distance(cost.state_weights) + float(cost.action_weights) * torque**2,
        )
        controller.bounds["lower", "_u", "torque"], controller.bounds["upper", "_u", "torque"] = (
            PROBLEM.action_bounds[:, 0].tolist()
        )
        controller.setup()
        self._controller = controller

    def solve(self, task):
        """See ``Planner``."""
        x = task.initial[0].numpy()[:, None]
        if task.fresh:
            self._begin(ILQR().solve(task), x)
        self._controller.make_step(x)
        torques = [float(self._controller.opt_x_num["_u", k, 0]) for k in range(PROBLEM.horizon)]
        actions = torch.tensor(torques, dtype=torch.float64) / PROBLEM.action_half_width
        return best_sequences(task, actions.reshape(1, 1, -1, 1))

    def _begin(self, plan, x):
        self._controller.x0 = x
        self._controller.set_initial_guess()
        guess, actions = self._controller.opt_x_num, PROBLEM.raw_actions(plan.actions[0])
        for k in range(PROBLEM.horizon + 1):
            guess["_x", k, 0, -1] = plan.states[0, k].numpy()
        for k in range(PROBLEM.horizon):
            guess["_u", k, 0] = actions[k].numpy()


def casadi_step(casadi, learned):
    """The learned step, angle first and encoded, as a CasADi function."""
    x, u = casadi.MX.sym("x", 2), casadi.MX.sym("u", 1)
    networks = learned.ensemble.networks
    features = casadi.vertcat(x[1], u, casadi.cos(x[0]), casadi.sin(x[0]))
    total = 0.0
    for member in range(networks.num_members):
        h = features
        for layer in range(networks.num_layers):
            weight, bias = (part[layer][member].numpy() for part in (networks.weights, networks.biases))
            z = casadi.mtimes(casadi.DM(weight.T), h) + casadi.DM(bias.T)
            h = z / (1.0 + casadi.exp(-z)) if layer < networks.num_layers - 1 else z
        total += h
    return casadi.Function("step", [x, u], [x + total / networks.num_members])


def test_beside_do_mpc(one_core, report, benchmark, learned):
    """Each start alone, with the same noise; do-mpc's IPOPT has up to 100 iterations."""
    theirs = DoMPC(learned)
    for x, u in ((0.3, 1.0), (-2.0, -0.5)):
        point, action = np.array([[x, 1.0]]), np.array([[u]])
        answer = casadi_step(pytest.importorskip("casadi"), learned)(point[0], action[0])
        np.testing.assert_allclose(np.asarray(answer)[:, 0], learned.step(point, action)[0], atol=1e-10)
    starts = PLANT.starts(2, 0)
    closed_loop(learned, ILQR(), 1, steps=3)
    own_runs = [closed_loop(learned, ILQR(), start[None]) for start in starts]
    benchmark.pedantic(lambda: closed_loop(learned, ILQR(), starts[:1], steps=10), rounds=1)
    their_runs = [closed_loop(learned, theirs, start[None]) for start in starts]
    own_ms, their_ms = (
        1e3 * float(torch.cat([run.seconds for run in runs]).median()) for runs in (own_runs, their_runs)
    )
    own_cost, their_cost = (
        sum(float(run.cost) for run in runs) / len(runs) for runs in (own_runs, their_runs)
    )
    report(own_ms=own_ms, do_mpc_ms=their_ms, own_cost=own_cost, do_mpc_cost=their_cost)
    assert own_ms < their_ms
    assert own_cost <= 1.02 * their_cost


def last_states(controller, x, seeds, steps):
    """Where closed loops without noise are after some steps; alone as together."""
    state = controller.start(x, seeds)
    for time in range(steps):
        plan, state = controller.plan(x, time, state)
        x = PLANT.step(x, plan.actions[:, 0])
    return x


def test_many_loops_at_once(compare, report, learned):
    controller, starts, steps = Controller(learned, PROBLEM, ILQR()), PLANT.starts(64, 0), 40
    seeds, results = list(range(64)), {}

    def together():
        results["together"] = last_states(controller, starts, seeds, steps)

    def one_after_another():
        alone = [
            last_states(controller, x[None], [seed], steps) for x, seed in zip(starts, seeds, strict=True)
        ]
        results["alone"] = torch.cat(alone)

    timings = compare({"together": together, "one_after_another": one_after_another}, 1, warm_up=False)
    times_faster = timings.ratio("one_after_another", "together")
    report(times_faster=times_faster, wanted=15.0)
    torch.testing.assert_close(results["alone"], results["together"], rtol=0, atol=1e-3)
    assert times_faster >= 15.0

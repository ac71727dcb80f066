"""A cell of a study of closed loops: figures against independent ones, storage, identity."""

import dataclasses
import math

import pytest
import torch
from surrogate_problems.plants import make_plant

from surrogate_opt.dynamics import LinearDynamics, fit_dynamics
from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc import ILQR, Controller, ControlProblem, PlantModel, run_closed_loop
from surrogate_opt.study.control.cell import ORACLE, close_loops, run_control_cell
from surrogate_opt.study.control.data import collect_transitions
from surrogate_opt.study.control.dynamics_figures import TruthAtPoints, dynamics_figures
from surrogate_opt.study.control.loop_figures import LoopFigures
from surrogate_opt.study.control.spec import ControlStudySpec, make_control_spec
from surrogate_opt.study.control.tables import load_control_study
from surrogate_opt.study.store import ResultsStore

SPEC = ControlStudySpec(
    name="small",
    plants=("van_der_pol",),
    methods=("none", "dreg"),
    controllers=("ilqr",),
    instances=2,
    num_train=(60,),
    starts=2,
    hidden=(8,),
    train_steps=60,
)


@pytest.fixture(scope="module")
def outcome():
    return run_control_cell(SPEC.cells()[0])


def test_rows_are_one_a_method_controller_and_start(outcome):
    assert [row["method"] for row in outcome.surrogates] == ["none", "dreg"]
    assert [(row["method"], row["start"]) for row in outcome.loops] == [
        (method, start) for method in (ORACLE, "none", "dreg") for start in range(2)
    ]
    assert [row["cost_ratio"] for row in outcome.loops[:2]] == [1.0, 1.0]
    assert [row["plan_gap"] for row in outcome.loops[:2]] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert not outcome.failures


def test_stored_cells_come_back_and_their_surrogates_repeat_the_loops(outcome, tmp_path):
    cell = SPEC.cells()[0]
    file = tmp_path / "results.db"
    with ResultsStore(file) as store:
        store.put(cell, outcome, 1.0)
    data = load_control_study(SPEC, file)
    assert len(data.loops) == 6
    assert set(data.models) == {("van_der_pol", 60, "none"), ("van_der_pol", 60, "dreg")}
    again = close_loops(cell, cell.make_plant(), data.models["van_der_pol", 60, "dreg"], "ilqr", starts=1)
    stored = data.loops[(data.loops["method"] == "dreg") & (data.loops["start"] == 0)]
    assert float(again.cost[0]) == pytest.approx(float(stored["cost"].iloc[0]), rel=1e-6)


def test_only_the_first_instance_keeps_its_surrogates():
    first, second = SPEC.cells()
    assert (first.keeps_models, second.keeps_models) == (True, False)


def test_keys_depend_on_what_determines_a_cell_and_on_nothing_else():
    def key(**changes):
        return dataclasses_free(SPEC, **changes).cells()[-1].key

    assert key(name="other") == key(plants=("pendulum", "van_der_pol")) == SPEC.cells()[-1].key
    assert key(instances=3) != SPEC.cells()[-1].key  # another instance is the last
    for changes in ({"train_steps": 61}, {"methods": ("none",)}, {"starts": 3}, {"data_noise": 0.0}):
        assert key(**changes) != SPEC.cells()[-1].key


def dataclasses_free(spec, **changes):
    return type(spec).model_validate(spec.model_dump() | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plants": ("pendulums",)}, "plants: expected some of pendulum"),
        ({"controllers": ("pid",)}, "controllers: expected some of ilqr"),
        ({"num_train": (10,)}, r"num_train\.0: .*greater than or equal to 50"),
        ({"starts": 0}, "starts: "),
    ],
)
def test_bad_specs_are_refused_in_one_line(changes, message):
    with pytest.raises(InputError, match=message):
        make_control_spec("default", **changes)


def test_loop_figures_by_hand():
    """Against sums written out for the second of two loops."""
    plant = make_plant("pendulum")
    problem = ControlProblem.from_plant(plant, horizon=8)
    oracle = run_closed_loop(plant, Controller(PlantModel(plant), problem, ILQR()), 6, starts=2, seed=3)
    other = make_plant("pendulum", friction=0.3)
    run = run_closed_loop(plant, Controller(PlantModel(other), problem, ILQR()), 6, starts=2, seed=3)
    figures = LoopFigures.of(plant, run, oracle)
    truth, own = 0.0, 0.0
    for time in range(6):
        x = run.measured[1, time]
        cost = 0.0
        for k in range(8):
            u = run.planned_actions[1, time, k]
            cost += float(plant.cost.stage(x, u, time + k))
            x = plant.step(x, u)
        truth += cost + float(plant.cost.terminal(x, time + 8)) - float(run.planned_costs[1, time])
        own += float(oracle.planned_costs[1, time])
    width = float(plant.action_bounds[1] - plant.action_bounds[0])
    assert float(figures.plan_gap[1]) == pytest.approx(truth / own, rel=1e-9)
    assert float(figures.plan_gap[1]) != 0.0
    assert float(figures.cost_ratio[1]) == pytest.approx(float(run.cost[1] / oracle.cost[1]))
    moved = [abs(float(run.actions[1, t] - oracle.actions[1, t])) / width for t in range(6)]
    assert float(figures.action_error[1]) == pytest.approx(sum(moved) / 6)
    assert float(figures.chatter[1]) == pytest.approx(float(run.chatter[1]) / width)
    assert [len(rows) for rows in figures.rows(2)] == [2]


def test_lost_plants_have_infinite_costs():
    plant = make_plant("van_der_pol")
    problem = ControlProblem.from_plant(plant, horizon=4)
    oracle = run_closed_loop(plant, Controller(PlantModel(plant), problem, ILQR()), 3, starts=2, seed=0)
    costs = oracle.costs.clone()
    costs[0, 1] = math.nan
    figures = LoopFigures.of(plant, dataclasses.replace(oracle, costs=costs), oracle)
    assert figures.cost_ratio.tolist() == [math.inf, 1.0]


def test_dynamics_figures_against_autograd():
    plant = make_plant("pendulum")
    rows = collect_transitions(plant, 120, 0)
    model = fit_dynamics(rows, penalty="none", hidden=(8,), epochs=5, members=5, angles=plant.angles, seed=0)
    points = collect_transitions(plant, 20, 1, noise=0.0)
    truth = TruthAtPoints.of(plant, points)
    found = dynamics_figures(model, truth, LinearDynamics.fit(rows, model.encoding))
    box = torch.cat([plant.data_bounds, plant.action_bounds], 1)
    increments = plant.step(points.states, points.actions) - points.states
    std = increments.std(0, correction=0)

    def derivatives(step):
        def one(z):
            return (step(z[:2], z[2:]) - z[:2]) / std

        points_all = torch.cat([points.states, points.actions], 1)
        return torch.stack([torch.autograd.functional.jacobian(one, z) for z in points_all]) * (
            box[1] - box[0]
        )

    true = derivatives(plant.step)
    learned = derivatives(lambda x, u: model.ensemble.step(x[None, None], u[None, None])[0, 0])
    sizes, true_sizes = learned.flatten(1).norm(dim=1), true.flatten(1).norm(dim=1)
    wrong = (learned - true).flatten(1).norm(dim=1)
    assert found.gradient_error == pytest.approx(float(wrong.mean() / true_sizes.mean()), rel=1e-6)
    assert found.gain == pytest.approx(float(sizes.mean() / true_sizes.mean()), rel=1e-6)
    assert found.gradient_max == pytest.approx(float(sizes.max() / true_sizes.mean()), rel=1e-6)
    error = (model.step(points.states, points.actions) - points.states - increments) / std
    assert found.test_error == pytest.approx(float(error.square().mean()), rel=1e-9)
    members = model.member_step(points.states, points.actions)
    spread = (members - members.mean(0)) / std
    assert found.disagreement == pytest.approx(float(spread.square().mean().sqrt()), rel=1e-9)

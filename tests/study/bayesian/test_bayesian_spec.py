"""Specs of the study of Bayesian optimization: validation, halves, seeds, keys."""

import pytest
import torch
from small_bayesian_study import small_spec
from surrogate_problems.families import FAMILIES

from surrogate_opt.errors import InputError
from surrogate_opt.study.bayesian.problems import PROBLEMS, REPORTED_PROBLEMS, TUNING_PROBLEMS
from surrogate_opt.study.bayesian.spec import BUDGETS, MODELS, BayesianCell, make_bayesian_spec
from surrogate_opt.study.bayesian.tables import problem_table


def test_the_full_study_is_what_the_report_promises():
    spec = BUDGETS["full"]
    assert len(spec.problems) == 15
    assert len(spec.models) == 9
    assert (spec.instances, spec.evaluations, spec.dim) == (10, 30, 10)
    assert spec.first_instance >= 10, "reported instances must differ from those that defaults were tuned on"
    assert all(set(budget.models) <= set(MODELS) for budget in BUDGETS.values())
    assert BUDGETS["default"].models == MODELS
    assert BUDGETS["default"].instances >= 10, "fewer have no verdict"


def test_every_budget_but_the_smallest_has_a_headline():
    assert set(BUDGETS) == {"smoke", "default", "full"}
    for name in ("default", "full"):
        assert set(BUDGETS[name].problems) & set(REPORTED_PROBLEMS), name


@pytest.mark.parametrize("names", [TUNING_PROBLEMS, REPORTED_PROBLEMS], ids=["tuning", "reported"])
def test_each_half_holds_problems_of_every_kind(names):
    problems = problem_table(small_spec(problems=names, dim=10))
    assert set(problems["smooth"]) == {True, False}
    assert (problems["dim"] == 10).any()
    assert (problems["dim"] <= 6).any()
    assert set(names) & set(FAMILIES)
    assert set(names) - set(FAMILIES)


def test_the_halves_share_no_problem():
    assert not set(TUNING_PROBLEMS) & set(REPORTED_PROBLEMS)
    assert {*TUNING_PROBLEMS, *REPORTED_PROBLEMS} == set(PROBLEMS)
    assert all(problem.half == "tuning" for problem in map(PROBLEMS.get, TUNING_PROBLEMS))


@pytest.mark.parametrize("name", PROBLEMS)
def test_instances_are_problems_of_the_dimension_that_is_stated(name):
    kind = PROBLEMS[name]
    one, same, other = (kind.make(seed, 4) for seed in (100, 100, 101))
    assert one.dim == kind.dim(4)
    x, y = one.sample(20, seed=0)
    assert torch.equal(y, same.value(x))
    assert not torch.allclose(y, other.value(x))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": "paper"}, ["budget", "smoke", "full", "paper"]),
        ({"problems": ("hartmann",)}, ["problems", "hartmann6", "smooth"]),
        ({"problems": ()}, ["problems"]),
        ({"models": ("ensemble",)}, ["models", "ensemble:dreg"]),
        ({"models": ("gp", "gp")}, ["models", "once"]),
        ({"default_model": "best"}, ["default_model", "ensemble:dreg"]),
        ({"instances": 0}, ["instances"]),
        ({"evaluations": 5}, ["evaluations", "6"]),
        ({"noise_std": -0.1}, ["noise_std"]),
        ({"name": "../up"}, ["name"]),
        ({"methods": ("dreg",)}, ["methods"]),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(changes, words):
    with pytest.raises(InputError) as caught:
        make_bayesian_spec(**changes)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_toml_is_read_strictly_and_arguments_win(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('models = ["gp", "sobol"]\nevaluations = 20\ninstances = 3\n')
    spec = make_bayesian_spec("smoke", path, instances=4, seed=None)
    assert (spec.models, spec.evaluations, spec.instances) == (("gp", "sobol"), 20, 4)
    assert spec.problems == BUDGETS["smoke"].problems
    path.write_text("num_train = 1\n")
    with pytest.raises(InputError, match="num_train"):
        make_bayesian_spec("smoke", path)
    path.write_text("name = [\n")
    with pytest.raises(InputError, match="not TOML"):
        make_bayesian_spec("smoke", path)


def test_first_points_grow_with_the_inputs_up_to_half_of_all():
    numbers = {
        (cell.problem, cell.spec.evaluations): cell.num_initial
        for evaluations in (8, 30)
        for cell in small_spec(problems=("branin", "hartmann6", "ackley10"), evaluations=evaluations).cells()
    }
    assert numbers == {
        ("branin", 8): 4,
        ("hartmann6", 8): 4,
        ("ackley10", 8): 4,
        ("branin", 30): 5,
        ("hartmann6", 30): 7,
        ("ackley10", 30): 11,
    }


def test_a_key_depends_on_what_determines_the_cell_and_on_nothing_else():
    first, second, branin, _ = small_spec().cells()
    assert (first.place, second.place, branin.place) == (
        "gp on smooth 200",
        "sobol on smooth 200",
        "gp on branin 200",
    )
    same = [
        small_spec(name="other"),
        small_spec(instances=7),
        small_spec(problems=("smooth",)),
        small_spec(models=("gp",)),
        small_spec(default_model="gp"),
    ]
    assert all(spec.cells()[0].key == first.key for spec in same)
    assert small_spec(dim=3).cells()[2].key == branin.key, "only families have the study's dimension"
    other = [
        small_spec(seed=1),
        small_spec(evaluations=9),
        small_spec(models=("sobol",)),
        small_spec(noise_std=0.2),
        small_spec(dim=3),
        small_spec(first_instance=300),
        small_spec(problems=("branin",)),
    ]
    keys = {spec.cells()[0].key for spec in other}
    assert len(keys) == len(other)
    assert first.key not in keys


def test_a_key_depends_on_the_number_of_first_points(monkeypatch):
    (cell, *_) = small_spec().cells()
    before = cell.key
    monkeypatch.setattr(BayesianCell, "num_initial", property(lambda cell: 3))
    assert cell.key != before


def test_models_alone_share_a_seed():
    cells = small_spec(instances=3).cells()
    assert len({cell.key for cell in cells}) == len(cells) == 2 * 6
    seeds = {(cell.problem, cell.instance): cell.seed for cell in cells}
    assert len(set(seeds.values())) == len(seeds) == 6
    assert all(cell.seed == seeds[cell.problem, cell.instance] for cell in cells)


def test_a_model_added_to_a_study_adds_its_own_cells_alone():
    old = {cell.key for cell in small_spec(instances=2).cells()}
    more = small_spec(instances=2, models=("ensemble:dreg", "gp", "sobol")).cells()
    assert len(more) == 12
    assert {cell.model for cell in more if cell.key not in old} == {"ensemble:dreg"}
    assert old < {cell.key for cell in more}

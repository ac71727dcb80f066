"""A cell's rows against a scripted search written out by hand, and against the loop followed by hand."""

import math

import pytest
import torch
from small_bayesian_study import failing_gp, small_spec

from surrogate_opt.adapters.box import as_box
from surrogate_opt.diagnostics import sobol_points
from surrogate_opt.study.bayesian import cell as cell_module
from surrogate_opt.study.bayesian.cell import Experiment, follow, run_bayesian_cell
from surrogate_opt.study.bayesian.searches import Prediction, make_search


class Line:
    """f(x) = x on [0, 100], optimum 0, output standard deviation 10."""

    optimal_value, output_std = 0.0, 10.0

    def value(self, x):
        return x[:, 0]


class Scripted:
    """Proposes and predicts what it is told to."""

    def __init__(self, steps):
        self.steps, self.told, self.asked = steps, [], 0

    def tell(self, x, y):
        self.told += y.tolist()

    def ask(self):
        self.asked += 1
        return torch.tensor([self.steps[self.asked - 1][0]]).double()

    def prediction(self):
        _, mean, std = self.steps[self.asked - 1]
        return Prediction(mean=mean, std=std, fallback=False, seconds_fit=1.0, seconds_acquisition=2.0)

    def recommend(self):
        return torch.tensor([7.0]).double()

    def posterior(self, x):
        return x[:, 0] + 1.0, torch.where(x[:, 0] < 2.0, 1.0, 10.0)


def experiment(noise, initial=(60.0, 50.0)):
    test_x = torch.tensor([[0.0], [1.0], [2.0], [3.0]]).double()
    return Experiment(
        problem=Line(),
        initial=torch.tensor(initial).double()[:, None],
        noise=torch.tensor(noise).double(),
        test_x=test_x,
        test_truth=test_x[:, 0],
    )


def test_rows_are_what_they_are_called():
    steps = [
        (40.0, 39.0, 1.0),  # promised and kept; one standard deviation off: inside 95% alone
        (55.0, 20.0, 10.0),  # a phantom, far off
        (45.0, 45.1, 1.0),  # promised nothing
        (40.0, 30.0, 100.0),  # only as low as the best: a phantom
        (30.0, 39.999995, 1.0),  # promised by less than counts
    ]
    search = Scripted(steps)
    rows, _ = follow(search, experiment([0.0] * 7))
    assert search.told == [60.0, 50.0, 40.0, 55.0, 45.0, 40.0, 30.0]
    assert [row["evaluation"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["initial"] for row in rows] == [True, True, False, False, False, False, False]
    assert [row["truth"] for row in rows] == search.told
    assert [row["best"] for row in rows] == [60.0, 50.0, 40.0, 40.0, 40.0, 40.0, 30.0]
    assert [row["regret"] for row in rows] == [6.0, 5.0, 4.0, 4.0, 4.0, 4.0, 3.0]
    assert [row["promised"] for row in rows] == [False, False, True, True, False, True, False]
    assert [row["phantom"] for row in rows] == [False, False, False, True, False, True, False]
    assert [row["in50"] for row in rows[2:]] == [0.0, 0.0, 1.0, 1.0, 0.0]
    assert [row["in95"] for row in rows[2:]] == [1.0, 0.0, 1.0, 1.0, 0.0]
    assert [row["optimism"] for row in rows[2:]] == pytest.approx([0.1, 3.5, -0.01, 1.0, -0.9999995])
    assert [(row["seconds_fit"], row["seconds_acquisition"]) for row in rows[2:]] == [(1.0, 2.0)] * 5
    for row in rows[:2]:
        for name in ("predicted", "predicted_std", "optimism", "in50", "in95", "seconds_fit"):
            assert math.isnan(row[name])


def test_noise_is_told_but_not_counted():
    # The lowest value observed is 45: a mean of 47 promises nothing; 44 does, and brings nothing.
    search = Scripted([(48.0, 47.0, 1.0), (49.0, 44.0, 1.0)])
    rows, _ = follow(search, experiment([3.0, -5.0, 2.0, 0.5]))
    assert search.told == [63.0, 45.0, 50.0, 49.5]
    assert [row["best"] for row in rows] == [60.0, 50.0, 48.0, 48.0]
    assert [row["promised"] for row in rows[2:]] == [False, True]
    assert [row["phantom"] for row in rows[2:]] == [False, True]


def test_checkpoints_come_every_ten_evaluations_and_at_the_end():
    steps = [(float(number), 0.0, 1.0) for number in range(30)]
    _, checkpoints = follow(Scripted(steps), experiment([0.0] * 23, initial=(60.0,) * 11))
    assert [row["evaluation"] for row in checkpoints] == [20, 23]
    _, checkpoints = follow(Scripted(steps), experiment([0.0] * 20, initial=(60.0,) * 10))
    assert [row["evaluation"] for row in checkpoints] == [10, 20]
    for row in checkpoints:
        assert row["inference_regret"] == pytest.approx(0.7)
        # The mean is 1 off everywhere: 1 of 1 standard deviation for half of the points, 0.1 for the others.
        assert row["r2"] == pytest.approx(1.0 - 4.0 / 5.0)
        assert row["coverage50"] == 0.5
        assert row["coverage95"] == 1.0


@pytest.fixture(scope="module")
def cells():
    spec = small_spec(models=("sobol", "gp"), evaluations=8, noise_std=0.1, problems=("branin",))
    return {cell.model: cell for cell in spec.cells()}


@pytest.fixture(scope="module")
def noise_told(cells):
    """By model, what was added to each value that its search was told."""
    return {model: [] for model in cells}


@pytest.fixture(scope="module")
def results(cells, noise_told):
    def listening_search(cell, problem):
        search = make_search(cell, problem)
        tell = search.tell

        def listen(x, y):
            noise_told[cell.model].extend((y - problem.value(x)).tolist())
            tell(x, y)

        search.tell = listen
        return search

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell_module, "make_search", listening_search)
        return {model: run_bayesian_cell(cell) for model, cell in cells.items()}


def test_cells_of_an_instance_share_first_points_and_noise(cells):
    sobol, gp = (Experiment.of(cells[model]) for model in ("sobol", "gp"))
    for name in ("initial", "noise", "test_x", "test_truth"):
        assert torch.equal(getattr(sobol, name), getattr(gp, name)), name
    elsewhere = Experiment.of(cells["gp"].model_copy(update={"instance": 101}))
    assert not torch.equal(elsewhere.initial, gp.initial)
    assert not torch.equal(elsewhere.noise, gp.noise)
    noise = gp.noise / gp.problem.output_std
    assert 0.02 < noise.std() < 0.3


@pytest.mark.usefixtures("results")
def test_every_search_is_told_the_same_noise(cells, noise_told):
    noise = Experiment.of(cells["gp"]).noise.tolist()
    assert noise_told["sobol"] == pytest.approx(noise, abs=1e-9)
    assert noise_told["gp"] == pytest.approx(noise, abs=1e-9)


def test_runs_of_an_instance_begin_alike_and_part_after_the_first_points(cells, results):
    cell = cells["sobol"]
    sobol, gp = (results[model].proposals for model in ("sobol", "gp"))
    assert len(sobol) == len(gp) == cell.spec.evaluations
    assert cell.num_initial == 4
    problem = cell.kind.make(cell.instance, cell.spec.dim)
    points = sobol_points(problem.bounds, cell.spec.evaluations, cell.seed)
    assert [row["truth"] for row in sobol] == problem.value(points).tolist()
    assert [row["truth"] for row in gp[:4]] == [row["truth"] for row in sobol[:4]]
    assert [row["truth"] for row in gp[4:]] != [row["truth"] for row in sobol[4:]]
    assert all(math.isnan(row["predicted"]) for row in sobol)
    assert not any(row["promised"] for row in sobol)
    assert not any(row["fallback"] for row in gp)
    assert results["sobol"].truth == results["gp"].truth


def test_sobol_recommends_the_best_point_it_was_told(cells, results):
    (last,) = results["sobol"].checkpoints
    shared = Experiment.of(cells["sobol"])
    truth = torch.tensor([row["truth"] for row in results["sobol"].proposals])
    chosen = float(truth[(truth + shared.noise).argmin()])
    assert last["inference_regret"] == pytest.approx(shared.regret(chosen))
    assert math.isnan(last["r2"])


def test_predictions_are_the_models_own_at_the_point_it_proposes(cells):
    shared = Experiment.of(cells["gp"])
    search = make_search(cells["gp"], shared.problem)
    y = shared.problem.value(shared.initial)
    search.tell(shared.initial, y)
    x = search.ask()
    box = as_box(shared.problem.bounds)
    assert (box.clamp(x) == x).all()
    mean, std = search.posterior(x[None])
    search.tell(x[None], torch.tensor([1.0]).double())
    prediction = search.prediction()
    assert prediction.mean == pytest.approx(float(mean), rel=1e-6)
    assert prediction.std == pytest.approx(float(std), rel=1e-6)
    assert prediction.seconds_fit > 0.0
    assert prediction.seconds_acquisition > 0.0


def test_a_models_predictions_are_in_the_sense_of_the_truth(cells):
    shared = Experiment.of(cells["gp"])
    search = make_search(cells["gp"], shared.problem)
    x = shared.test_x[:40]
    search.tell(x, shared.problem.value(x))
    mean, std = search.posterior(shared.test_x)
    assert torch.corrcoef(torch.stack([mean, shared.test_truth]))[0, 1] > 0.9
    assert (std > 0.0).all()
    assert shared.regret(float(shared.problem.value(search.recommend()[None]))) < 0.2


def test_the_same_cell_gives_the_same_figures(cells, results):
    again = run_bayesian_cell(cells["gp"])
    timed = {"seconds_fit", "seconds_acquisition"}
    for one, other in zip(results["gp"].proposals, again.proposals, strict=True):
        kept = {name: value for name, value in one.items() if name not in timed}
        assert str(kept) == str({name: value for name, value in other.items() if name not in timed})
    assert str(results["gp"].checkpoints) == str(again.checkpoints)


def test_a_search_that_raises_leaves_its_message_alone(cells, results, monkeypatch):
    monkeypatch.setattr(cell_module, "make_search", failing_gp)
    failed = run_bayesian_cell(cells["gp"])
    assert failed.rows == {
        "proposals": [],
        "checkpoints": [],
        "failures": [{"message": "TrainingError: no luck"}],
    }
    assert failed.truth == results["gp"].truth
    assert results["gp"].failures == []


def test_an_error_that_says_nothing_of_the_model_is_no_result(cells, monkeypatch):
    def mistaken(cell, problem):
        raise KeyError("a mistake")

    monkeypatch.setattr(cell_module, "make_search", mistaken)
    with pytest.raises(KeyError, match="a mistake"):
        run_bayesian_cell(cells["gp"])

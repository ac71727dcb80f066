"""The loop: order of events, what models are told, what is proposed, and what people see."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from botorch.test_functions import Branin
from loop_fitters import SMALL, BrokenFitter, FixedProcess, NanFitter, PlanesFitter, Recorder, RoughProcess
from torch.quasirandom import SobolEngine

from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.loops.bayesian import AcquisitionBudget, BayesianLoop, next_proposal
from surrogate_opt.loops.bayesian import loop as loop_module
from surrogate_opt.loops.bayesian.domain import SAME_POINT

BOUNDS = np.array([[-2.0, 0.0], [2.0, 1.0]])


def bowl(x):
    """Minimum 0 at (0.5, 0.25)."""
    return ((x - [0.5, 0.25]) ** 2).sum(-1)


def make(**options):
    return BayesianLoop(BOUNDS, **{"model": FixedProcess, "budget": SMALL, "num_initial": 4, **options})


def run(loop, function=bowl, steps=8):
    for _ in range(steps):
        x = loop.ask()
        loop.tell(x, function(x))
    return loop


def unit_distances(a, b, bounds=BOUNDS):
    width = bounds[1] - bounds[0]
    return (np.abs(a[:, None] - b[None]) / width).max(-1)


# --- the first points


def test_the_first_points_are_torchs_scrambled_sobol_sequence():
    loop = make(num_initial=6, seed=9)
    asked = np.concatenate([loop.ask(), loop.ask(4), loop.ask()])
    points = SobolEngine(2, scramble=True, seed=9).draw(6, dtype=torch.float64).numpy()
    np.testing.assert_allclose(asked, BOUNDS[0] + (BOUNDS[1] - BOUNDS[0]) * points, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dim", "expected"), [(1, 5), (2, 5), (10, 11)])
def test_the_default_number_of_first_points(dim, expected):
    loop = BayesianLoop([[0.0] * dim, [1.0] * dim], model=FixedProcess, budget=SMALL)
    run(loop, lambda x: (x**2).sum(-1), expected + 1)
    assert loop.history["kind"].tolist() == ["initial"] * expected + ["model"]


def test_points_of_the_users_own_count_as_first_points_and_are_learnt_from():
    recorder = Recorder()
    loop = make(model=recorder)
    own = BOUNDS[0] + np.random.default_rng(0).random((4, 2)) * (BOUNDS[1] - BOUNDS[0])
    loop.tell(own, bowl(own))
    x = loop.ask()
    loop.tell(x, bowl(x))
    assert loop.history["kind"].tolist() == ["user"] * 4 + ["model"]
    inputs, targets, _ = recorder.fits[0]
    np.testing.assert_allclose(inputs.numpy(), (own - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0]), atol=1e-12)
    unit = 2.0 ** round(math.log2(bowl(own).std()))
    np.testing.assert_array_equal(targets.numpy(), -bowl(own) / unit)


@pytest.mark.parametrize(
    "values", [np.full(6, 3.0), np.array([1.0, math.nan, 2.0, math.nan, math.nan, math.inf])]
)
def test_sobol_goes_on_while_there_is_nothing_to_learn(values):
    recorder = Recorder()
    loop = make(model=recorder)
    for value in values:
        loop.tell(loop.ask(), value)
    loop.tell(loop.ask(), 4.0)
    assert loop.history["kind"].tolist() == ["initial"] * 7
    assert not recorder.fits
    with pytest.raises(InputError, match="model: expected at least 3 finite values"):
        make().model  # noqa: B018 - a property that raises


# --- the model's turn


def test_maximizing_is_minimizing_the_negative():
    down = run(make(seed=3), steps=6)
    up = run(make(seed=3, maximize=True), lambda x: -bowl(x), 6)
    np.testing.assert_array_equal(down.ask(3), up.ask(3))
    np.testing.assert_array_equal(down.recommend(), up.recommend())
    assert up.best.y == -down.best.y
    assert up.best.evaluation == down.best.evaluation
    np.testing.assert_array_equal(up.history["predicted_mean"], -down.history["predicted_mean"])
    np.testing.assert_array_equal(up.history["predicted_std"], down.history["predicted_std"])
    np.testing.assert_array_equal(up.history["best"], -down.history["best"])


def test_history_says_what_the_model_predicted_for_the_point():
    loop = run(make(), steps=6)
    model = loop.model
    x = loop.ask()
    loop.tell(x, bowl(x))
    with torch.no_grad():
        unit = torch.from_numpy((x - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0]))
        posterior = model.posterior(unit)
    row = loop.history.iloc[-1]
    unit = 2.0 ** round(math.log2(loop.history["y"].iloc[:-1].std(ddof=0)))
    assert row["predicted_mean"] == pytest.approx(-unit * posterior.mean.item(), rel=1e-9)
    assert row["predicted_std"] == pytest.approx(unit * posterior.variance.sqrt().item(), rel=1e-9)


def test_predict_is_the_processs_regression_in_the_users_units():
    """Kriging by hand with the fixed length scale and noise of the fitter, and its standardized y."""
    loop = run(make(maximize=True), lambda x: 5e-9 * bowl(x), steps=6)
    x, y = loop.history[["x0", "x1"]].to_numpy(), loop.history["y"].to_numpy()
    grid = BOUNDS[0] + np.random.default_rng(1).random((7, 2)) * (BOUNDS[1] - BOUNDS[0])
    sides = (BOUNDS[1] - BOUNDS[0]) * loop.model.covar_module.lengthscale.detach().numpy()

    def kernel(a, b):
        return np.exp(-0.5 * (((a[:, None] - b) / sides) ** 2).sum(-1))

    spread = y.std(ddof=1)
    weights = np.linalg.solve(kernel(x, x) + 1e-4 * np.eye(len(x)), kernel(x, grid)).T
    mean, std = loop.predict(grid)
    np.testing.assert_allclose(mean, y.mean() + weights @ (y - y.mean()), rtol=1e-6)
    variance = 1.0 - (weights * kernel(grid, x)).sum(1)
    np.testing.assert_allclose(std, spread * np.sqrt(variance), rtol=1e-5)
    with pytest.raises(InputError, match=r"x: expected the shape \(rows, 2\)"):
        loop.predict(grid[:, :1])


@pytest.mark.parametrize("power", [-80, pytest.param(60, marks=pytest.mark.slow)])
def test_proposals_do_not_depend_on_the_unit_of_y_or_of_a_constraint(power):
    def told(unit):
        loop = make(num_constraints=1, acquisition="log_ei", model=RoughProcess)
        for _ in range(7):
            x = loop.ask()
            loop.tell(x, unit * bowl(x), unit * (x[:, 0] - 1))
        return loop

    plain, scaled = told(1.0), told(2.0**power)
    np.testing.assert_array_equal(scaled.ask(2), plain.ask(2))
    np.testing.assert_array_equal(
        scaled.history["predicted_std"], 2.0**power * plain.history["predicted_std"]
    )


def test_history_has_a_row_an_evaluation_in_raw_units():
    loop = make(feature_names=["width", "height"], maximize=True, num_constraints=1)
    limits = [-1.0, 0.5, -1.0, math.nan, 0.0]
    values = [1.0, 9.0, math.nan, 8.0, 3.0]
    asked = []
    for value, limit in zip(values, limits, strict=True):
        asked.append(loop.ask()[0])
        loop.tell(asked[-1], value, limit)
    history = loop.history
    assert list(history.columns) == [
        *("evaluation", "kind", "width", "height", "y", "constraint_0", "status", "best"),
        *("predicted_mean", "predicted_std", "seconds_fit", "seconds_acquisition", "strength", "note"),
    ]
    assert history["evaluation"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(history[["width", "height"]], asked)
    np.testing.assert_array_equal(history["y"], values)
    np.testing.assert_array_equal(history["constraint_0"], limits)
    assert history["status"].tolist() == ["ok", "infeasible", "failed", "failed", "ok"]
    assert history["best"].tolist() == [1.0, 1.0, 1.0, 1.0, 3.0]
    assert loop.best.y == 3.0
    assert loop.best.evaluation == 5
    np.testing.assert_array_equal(loop.best.x, asked[4])


def test_a_fit_is_noted_once_with_its_time_and_strength():
    loop = run(make(), steps=4)
    x = loop.ask(2)
    loop.tell(x, bowl(x))
    x = loop.ask()
    loop.tell(x, bowl(x))
    fits = loop.history["seconds_fit"]
    assert (fits > 0).tolist() == [False] * 4 + [True, False, True]
    assert loop.history["strength"].tolist()[4:] == [0.01, 0.01, 0.02]
    assert loop.history["strength"].isna().tolist() == [True] * 4 + [False] * 3


def test_the_strength_is_chosen_at_first_and_after_every_ten_evaluations():
    recorder = Recorder()
    run(make(model=recorder, acquisition="thompson"), steps=26)
    chosen = [len(targets) for _, targets, choose in recorder.fits if choose]
    assert chosen == [4, 14, 24]
    assert [len(targets) for _, targets, _ in recorder.fits] == list(range(4, 26))


def test_points_told_before_the_next_question_are_fitted_once():
    recorder = Recorder()
    loop = run(make(model=recorder), steps=4)
    x = loop.ask(3)
    for row in x:
        loop.tell(row, bowl(row))
    loop.ask()
    loop.ask()
    assert [len(targets) for _, targets, _ in recorder.fits] == [4, 7]


def test_looking_changes_no_proposal():
    watched, alone = make(seed=2), make(seed=2)
    for _ in range(4):
        for loop in (watched, alone):
            x = loop.ask(2)
            for row in x:
                loop.tell(row, bowl(row))
                if loop is watched and len(loop.history) > 4:
                    loop.recommend()
                    assert loop.model.num_outputs == 1
    np.testing.assert_array_equal(watched.history[["x0", "x1"]], alone.history[["x0", "x1"]])


# --- pending points and repeats


@pytest.mark.parametrize("acquisition", ["log_ei", "ucb", "thompson"])
def test_nothing_is_proposed_twice(acquisition):
    loop = run(make(acquisition=acquisition), steps=5)
    asked = np.concatenate([loop.ask(), loop.ask(2), loop.ask()])
    np.testing.assert_array_equal(loop.pending, asked)
    told = loop.history[["x0", "x1"]].to_numpy()
    distances = unit_distances(asked, np.concatenate([told, asked]))
    np.fill_diagonal(distances[:, len(told) :], 1.0)
    assert distances.min() > SAME_POINT


def test_tell_answers_pending_points_in_any_order_and_up_to_the_stated_tolerance():
    loop = make()
    asked = loop.ask(3)
    close = asked[2] + 0.5 * SAME_POINT * (BOUNDS[1] - BOUNDS[0]) * [0, 1]
    loop.tell(np.stack([close, asked[0]]), [1.0, 2.0])
    np.testing.assert_array_equal(loop.pending, asked[[1]])
    loop.tell(asked[1] + [0.1, 0.0], 3.0)
    np.testing.assert_array_equal(loop.pending, asked[[1]])
    assert loop.history["kind"].tolist() == ["initial", "initial", "user"]
    np.testing.assert_array_equal(loop.history[["x0", "x1"]].to_numpy()[0], close)


def test_repeats_are_all_kept_and_all_fitted():
    recorder = Recorder()
    loop = make(model=recorder)
    points = loop.ask(4)
    loop.tell(points, bowl(points))
    for noise in (0.1, -0.1, 0.0):
        loop.tell(points[:2], bowl(points[:2]) + noise)
    loop.ask()
    assert len(loop.history) == 10
    inputs, targets, _ = recorder.fits[0]
    assert torch.equal(inputs[4:6], inputs[:2])
    np.testing.assert_array_equal(targets.numpy()[4:6], -(bowl(points[:2]) + 0.1))


# --- failures


def test_failed_evaluations_are_counted_learnt_as_the_worst_and_not_proposed_again():
    recorder = Recorder()
    loop = make(model=recorder)

    def fails_on_the_right(x):
        return np.where(x[:, 0] > 0.0, math.nan, bowl(x))

    run(loop, fails_on_the_right, 11)
    history = loop.history
    failed = history["status"] == "failed"
    assert failed.any()
    assert (failed == (history["x0"] > 0.0)).all()
    assert "fallback" not in set(history["kind"])
    _, targets, _ = recorder.fits[-1]
    values = history["y"].to_numpy()[: len(targets)]
    np.testing.assert_array_equal(targets.numpy(), -np.where(np.isnan(values), np.nanmax(values), values))
    told = history[["x0", "x1"]].to_numpy()
    assert unit_distances(loop.ask(3), told).min() > SAME_POINT
    assert loop.best.x[0] <= 0.0


def test_numbers_whose_squares_overflow_are_failed_evaluations():
    recorder = Recorder()
    loop = make(model=recorder, num_constraints=1)
    x = loop.ask(7)
    loop.tell(x, [1.0, 1e151, 1e149, -1e200, 2.0, 3.0, 5.0], [[0.0], [0], [0], [0], [-1e160], [-1.0], [0.0]])
    assert loop.history["status"].tolist() == ["ok", "failed", "ok", "failed", "failed", "ok", "ok"]
    assert loop.history["y"].tolist() == [1.0, math.inf, 1e149, -math.inf, 2.0, 3.0, 5.0]
    assert loop.best.y == 1.0


def test_a_loop_of_failures_goes_on():
    loop = run(make(), lambda x: math.nan, 7)
    assert loop.best is None
    assert loop.history["best"].isna().all()
    with pytest.raises(InputError, match="recommend: expected a finite feasible evaluation"):
        loop.recommend()


@pytest.mark.parametrize(
    ("fitter", "note"),
    [(BrokenFitter, "model: every member failed"), (NanFitter, "acquisition: the acquisition has no finite")],
)
def test_a_model_that_is_of_no_use_gives_way_to_sobol_points(fitter, note):
    loop = run(make(model=fitter, num_initial=3), steps=5)
    assert loop.history["kind"].tolist() == ["initial"] * 3 + ["fallback"] * 2
    assert [text.startswith(note) for text in loop.history["note"]] == [False] * 3 + [True] * 2
    assert not loop.history["note"].str.contains("\n").any()
    sobol = SobolEngine(2, scramble=True, seed=0).draw(5, dtype=torch.float64).numpy()
    np.testing.assert_allclose(
        loop.history[["x0", "x1"]], BOUNDS[0] + (BOUNDS[1] - BOUNDS[0]) * sobol, rtol=0, atol=1e-12
    )
    np.testing.assert_array_equal(loop.recommend(), loop.best.x)


class RaisingFitter(FixedProcess):
    """A fit that ends in an error of its own."""

    error: Exception = TrainingError("never seen")

    def fit(self, x, y, *, choose_strength):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        torch.linalg.LinAlgError("linalg.cholesky: not positive-definite\nand a second line"),
        OverflowError("cannot convert float infinity to integer"),
        RuntimeError("torch.linalg.lstsq: Argument 6 has illegal value"),
    ],
)
def test_a_fit_whose_numbers_leave_their_range_gives_way_to_a_sobol_point(error, monkeypatch):
    monkeypatch.setattr(RaisingFitter, "error", error)
    loop = run(make(model=RaisingFitter), steps=5)
    first_line = str(error).splitlines()[0]
    assert loop.history["note"].tolist()[-1] == f"model: the fit failed ({first_line})"
    assert loop.history["kind"].tolist() == ["initial"] * 4 + ["fallback"]


def test_an_acquisition_whose_numbers_leave_their_range_gives_way_to_a_sobol_point(monkeypatch):
    def overflow(*args, **options):
        raise OverflowError("math range error")

    monkeypatch.setattr(next_proposal, "make_acquisition", overflow)
    loop = run(make(), steps=5)
    assert loop.history["note"].tolist()[-1] == "acquisition: math range error"


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), InputError("x: no"), KeyError("x")])
def test_mistakes_in_a_fitter_of_the_users_own_are_shown(error, monkeypatch):
    monkeypatch.setattr(RaisingFitter, "error", error)
    with pytest.raises(type(error)):
        run(make(model=RaisingFitter), steps=5)


def test_what_a_named_model_refuses_is_a_failed_fit(monkeypatch):
    monkeypatch.setattr(RaisingFitter, "error", InputError("scaling.y_std: expected a finite number"))
    monkeypatch.setattr(loop_module, "make_fitter", lambda name, *, seed, **options: RaisingFitter(seed))
    loop = run(make(model="last_layer"), steps=5)
    note = "model: the fit failed (scaling.y_std: expected a finite number)"
    assert loop.history["note"].tolist() == [""] * 4 + [note]
    with pytest.raises(TrainingError, match="the fit failed"):
        loop.model  # noqa: B018 - a property that raises


@pytest.mark.parametrize("model", ["ensemble", "last_layer"])
def test_a_named_model_that_refuses_its_table_gives_way_to_a_sobol_point(model):
    loop = make(model=model)
    x = loop.ask(6)
    loop.tell(x[:1].repeat(6, 0), [1.0, 2.0, 4.0, 3.0, 2.5, 0.5])  # nothing to make folds of
    loop.ask()
    proposal = loop.state.ledger.pending[-1]
    assert proposal.kind == "fallback"
    assert proposal.note.startswith("model: ")
    assert "\n" not in proposal.note


def test_the_model_of_a_fit_that_failed_is_an_error_to_who_wants_to_see_it():
    with pytest.raises(TrainingError, match="every member failed"):
        run(make(model=BrokenFitter)).model  # noqa: B018 - a property that raises


@pytest.mark.parametrize("acquisition", ["log_ei", "qlog_ei", "qlog_nei", "ucb", "qucb", "mean", "thompson"])
def test_ensembles_run_with_every_acquisition_they_can_have(acquisition):
    loop = run(make(model=PlanesFitter, acquisition=acquisition), steps=5)
    asked = loop.ask(2)
    assert loop.history["kind"].tolist()[-1] == "model"
    assert unit_distances(asked[:1], asked[1:]).min() > SAME_POINT


def test_an_ensemble_of_the_users_own_refuses_the_knowledge_gradient_when_it_is_seen():
    loop = run(make(model=PlanesFitter, acquisition="knowledge_gradient"), steps=4)
    with pytest.raises(InputError, match="an ensemble cannot be conditioned"):
        loop.ask()


def test_the_knowledge_gradient_proposes_points_of_the_box():
    tiny = AcquisitionBudget(num_restarts=2, raw_samples=8, max_iterations=5, num_fantasies=2)
    loop = run(make(acquisition="knowledge_gradient", budget=tiny), steps=4)
    asked = loop.ask(2)
    loop.tell(asked, bowl(asked))
    assert loop.history["kind"].tolist()[-2:] == ["model", "model"]
    assert ((asked >= BOUNDS[0]) & (asked <= BOUNDS[1])).all()


# --- integers


def test_integers_are_whole_numbers_of_the_box_and_their_best_is_found():
    bounds = np.array([[-3.0, 0.0, 1.0], [4.0, 1.0, 1.0]])

    def function(x):
        return (x[:, 0] - 1.6) ** 2 + (x[:, 1] - 0.3) ** 2

    loop = BayesianLoop(bounds, model=FixedProcess, integers=[0], budget=SMALL, num_initial=4)
    for _ in range(12):
        x = loop.ask()
        assert x[0, 0] == round(x[0, 0])
        assert ((x >= bounds[0]) & (x <= bounds[1])).all()
        loop.tell(x, function(x))
    assert loop.best.x[0] == 2.0
    assert loop.best.y < 0.165  # 0.16 is the minimum
    recommended = loop.recommend()
    assert recommended[0] == round(recommended[0])
    assert recommended[2] == 1.0


def test_an_integer_box_is_searched_to_its_last_point_and_then_says_so():
    loop = BayesianLoop(
        [[0, 0], [2, 1]], model=FixedProcess, integers=[0, 1], budget=SMALL, num_initial=2, seed=1
    )
    run(loop, lambda x: np.where(x[:, 0] == 1, math.nan, x.sum(1)), 5)
    last = loop.ask()[0]
    told = [tuple(row) for row in loop.history[["x0", "x1"]].to_numpy()]
    assert {*told, tuple(last)} == set(itertools.product((0.0, 1.0, 2.0), (0.0, 1.0)))
    with pytest.raises(InputError, match="all 6 are evaluated or pending"):
        loop.ask()
    loop.tell(last, 1.0)
    with pytest.raises(InputError, match="all 6 are evaluated or pending"):
        loop.ask()


# --- constraints


def circle(x):
    """Feasible outside of a circle: the least sum of the coordinates is sqrt(0.6), on either axis."""
    return 0.6 - (x**2).sum(-1)


@pytest.mark.parametrize("acquisition", ["log_ei", pytest.param("qlog_nei", marks=pytest.mark.slow)])
def test_the_constrained_optimum_is_found(acquisition):
    loop = BayesianLoop(
        [[0, 0], [1, 1]], model=FixedProcess, acquisition=acquisition, budget=SMALL, num_constraints=1
    )
    for _ in range(12):
        x = loop.ask()
        loop.tell(x, x.sum(1), circle(x))
    assert circle(loop.best.x) <= 0.0
    assert loop.best.y < math.sqrt(0.6) + 0.05
    assert (loop.history["status"] == "infeasible").any()
    recommended = loop.recommend()
    assert recommended.sum() < math.sqrt(0.6) + 0.03
    with torch.no_grad():
        assert loop.model.posterior(torch.from_numpy(recommended)[None]).mean[0, 1] < 1e-6


def test_feasibility_is_looked_for_first():
    """Feasible in a small corner that Sobol points miss: found, though the objective draws elsewhere."""
    sobol = SobolEngine(2, scramble=True, seed=11).draw(10, dtype=torch.float64)
    assert sobol.sum(1).max() < 1.7
    loop = BayesianLoop([[0, 0], [1, 1]], model=FixedProcess, budget=SMALL, num_constraints=1, seed=11)
    for _ in range(10):
        x = loop.ask()
        loop.tell(x, x.sum(1), 1.7 - x.sum(1))
    assert loop.best is not None
    assert loop.best.y >= 1.7


def test_a_constraint_that_never_varied_is_left_out_until_it_does():
    recorder = Recorder()
    loop = make(model=recorder, num_constraints=2)
    points = loop.ask(4)
    loop.tell(points, bowl(points), np.stack([np.full(4, -1.0), points[:, 0] - 1], 1))
    assert loop.model.num_outputs == 2
    unit = 2.0 ** round(math.log2(points[:, 0].std()))
    np.testing.assert_array_equal(recorder.made[-1].fits[0][1].numpy(), (points[:, 0] - 1) / unit)
    nothing = make(num_constraints=1)
    nothing.tell(points, bowl(points), np.full(4, 1.0))
    x = nothing.ask()
    nothing.tell(x, 1.0, 1.0)
    assert nothing.history["kind"].tolist()[-1] == "initial"


# --- the recommendation


def test_a_caller_without_gradients_gets_the_same_proposal():
    with torch.no_grad():
        without = run(make(), steps=5).ask()
    np.testing.assert_array_equal(without, run(make(), steps=5).ask())


def test_the_recommendation_is_the_maximum_of_the_posterior_mean():
    loop = run(make(), steps=9)
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 101).double()] * 2)
    with torch.no_grad():
        mean = loop.model.posterior(grid[:, None]).mean.flatten()
        unit = torch.from_numpy((loop.recommend() - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0]))
        assert loop.model.posterior(unit[None]).mean.item() >= mean.max().item() - 1e-9


# --- the whole


@pytest.mark.slow
def test_a_gaussian_process_solves_branin_and_beats_sobol():
    branin = Branin().double()
    bounds = branin.bounds.numpy()
    loop = BayesianLoop(bounds, model="gp", seed=0, budget=SMALL)
    for _ in range(25):
        x = loop.ask()
        loop.tell(x, branin(torch.from_numpy(x)))
    sobol = SobolEngine(2, scramble=True, seed=0).draw(25, dtype=torch.float64)
    other = branin(torch.lerp(branin.bounds[0], branin.bounds[1], sobol)).min().item()
    regret = loop.best.y - branin.optimal_value
    assert regret < 0.5
    assert regret < other - branin.optimal_value
    recommended = branin(torch.from_numpy(loop.recommend())).item()
    assert recommended - branin.optimal_value < 0.5


# --- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gpp"}, "model: expected one of"),
        ({"acquisition": "ei"}, "acquisition: expected one of"),
        ({"acquisition": "thompson", "num_constraints": 1}, "with constraints; came 'thompson'"),
        ({"num_initial": 0}, "num_initial: expected at least 1; came 0"),
        ({"num_constraints": -1}, "num_constraints: expected at least 0; came -1"),
        ({"seed": -1}, "seed: expected"),
        ({"feature_names": ["a"]}, "feature_names: expected 2 different names"),
        ({"feature_names": ["a", "y"]}, "feature_names: expected names that are no columns"),
        ({"integers": [2]}, "integers: expected input numbers from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (([[0.0, 0.5, 1.0]], [1.0]), r"x: expected the shape \(rows, 2\)"),
        (([[0.0, 0.5]], [1.0, 2.0]), "y: expected one value a row of x, 1"),
        (([[0.0, 1.5]], [1.0]), r"x\[0, 1\]: expected a number from 0 to 1; came 1.5"),
        (([[math.nan, 0.5]], [1.0]), r"x\[0, 0\]: expected a number"),
        (([[0.0, 0.5]], [1.0], [0.0]), "constraints: expected none"),
    ],
)
def test_evaluations_that_cannot_be_used_are_refused_and_leave_no_trace(told, message):
    loop = make()
    with pytest.raises(InputError, match=message):
        loop.tell(*told)
    assert len(loop.history) == 0


def test_constraint_values_must_come_with_a_constrained_loop_and_integers_must_be_whole():
    loop = make(num_constraints=2, integers=[1])
    with pytest.raises(InputError, match=r"constraints: expected values of the shape \(1, 2\); came none"):
        loop.tell([0.0, 1.0], 1.0)
    with pytest.raises(InputError, match=r"constraints: expected the shape \(1, 2\)"):
        loop.tell([0.0, 1.0], 1.0, [0.0])
    with pytest.raises(InputError, match=r"x\[0, 1\]: expected an integer; came 0.5"):
        loop.tell([0.0, 0.5], 1.0, [0.0, 0.0])


def test_budgets_that_cannot_be_used_are_refused():
    with pytest.raises(InputError, match=r"budget\.num_samples: expected at least 1; came 0"):
        AcquisitionBudget(num_samples=0)
    with pytest.raises(InputError, match=r"budget\.raw_samples: expected at least num_restarts, 8; came 4"):
        AcquisitionBudget(num_restarts=8, raw_samples=4)

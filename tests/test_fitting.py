"""fit: what it refuses, that it repeats itself, how it chooses and extends its grid, what scaling does."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import jacrev, vmap

from surrogate_opt import fitting
from surrogate_opt.errors import InputError, TrainingError
from surrogate_opt.fitting import StrengthSearch, default_epochs, fit, gradient_norms
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import METHODS, Strength
from surrogate_opt.training.crossvalidation import plan_folds
from surrogate_opt.training.trainer import TrainingConfig

QUICK = {"hidden": (6,), "epochs": 6, "batch_size": 16, "learning_rate": 2e-2}


def data(n=60, d=2, seed=0, noise=0.05):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1.0, 1.0, (n, d))
    return x, np.sin(4.0 * x[:, 0]) + x[:, -1] ** 2 + noise * generator.normal(size=n)


X, Y = data()


def with_entry(array, value):
    changed = array.copy()
    changed.flat[3] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"penalty": "ridge"}, "penalty: expected one of none, dreg"),
        ({"strength": "strong"}, "strength: expected 'auto' or a number of at least 0, got 'strong'"),
        ({"strength": "0.1"}, "strength: expected 'auto'"),
        ({"strength": -0.1}, "strength: expected"),
        ({"strength": math.nan}, "strength: expected"),
        ({"strength": math.inf}, "strength: expected"),
        ({"strength": None}, "strength: expected"),
        ({"members": 4}, "members: expected a positive multiple of 5, got 4"),
        ({"members": 0}, "members: expected"),
        ({"rule": "median"}, "rule: expected one of plateau, best"),
        ({"bounds": [[0.0, 0.0], [1.0, 1.0]]}, "bounds"),
        ({"bounds": [[-1.0, -1.0]]}, "bounds"),
        ({"bounds": [[1.0, 1.0], [-1.0, -1.0]]}, "bounds"),
        ({"x": X[:9], "y": Y[:9]}, "x: expected at least 10 rows"),
        ({"x": X[:, 0]}, "x: expected the shape"),
        ({"y": Y[:-1]}, "y: expected as many rows as x, 60"),
        ({"x": with_entry(X, math.nan)}, r"x\[:, 1\]: expected finite"),
        ({"x": with_entry(X, math.inf)}, r"x\[:, 1\]: expected finite"),
        ({"y": with_entry(Y, math.nan)}, "y: expected finite"),
        ({"x": np.column_stack([X[:, 0], np.ones(60)])}, r"x\[:, 1\]: expected values that differ"),
        ({"y": np.full(60, 3.0)}, "y: expected values that differ"),
        ({"x": np.repeat(X[:4], 15, 0)}, "different rows"),
        ({"feature_names": ["a"]}, "feature_names: expected 2 names, got 1"),
        ({"feature_names": []}, "feature_names: expected 2 names, got 0"),
        ({"activation": "sine"}, "activation: expected one of"),
        ({"hidden": (0,)}, "hidden: expected positive widths"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"epochs": -1}, "epochs: expected at least 1"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"learning_rate": 0.0}, "learning_rate: expected"),
        ({"weight_decay": -0.1}, "weight_decay: expected"),
        ({"seed": -1}, "seed: expected"),
        ({"device": "abacus"}, "device: expected"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {"x": X, "y": Y, **QUICK, **changes}
    with pytest.raises(InputError, match=message) as caught:
        fit(arguments.pop("x"), arguments.pop("y"), **arguments)
    assert "\n" not in str(caught.value)


def test_every_strength_failing_is_one_clear_line():
    with pytest.raises(TrainingError, match="every strength failed"):
        fit(X, Y, **{**QUICK, "learning_rate": 1e38})


@pytest.mark.parametrize("penalty", METHODS)
def test_every_method_fits(penalty):
    surrogate = fit(X, Y, penalty=penalty, **QUICK)
    table = surrogate.selection
    method = METHODS[penalty]
    assert len(table) >= method.num_points
    assert (
        table["level"].is_monotonic_decreasing if penalty == "sn" else table["level"].is_monotonic_increasing
    )
    assert table["chosen"].sum() == 1
    assert table["best"].sum() == 1
    chosen = table[table["chosen"]].iloc[0]
    assert surrogate.level == chosen["level"]
    assert surrogate.strength == method.at(surrogate.level)
    record = surrogate.record
    error = np.square(record.residuals.numpy()).mean() / Y.var()
    assert chosen["out_of_fold_mse"] == pytest.approx(error)
    assert chosen["r2"] == pytest.approx(record.r2)
    assert table.loc[table["best"], "out_of_fold_mse"].item() == table["out_of_fold_mse"].min()
    norms = gradient_norms(surrogate.stack, surrogate.scaling.unit(record.x))
    assert chosen["gradient_mean"] == pytest.approx(norms.mean().item())
    assert (surrogate.penalty, surrogate.num_members) == (penalty, 5)


def test_gradient_norms_are_in_normalized_units():
    surrogate = fit(X * [3.0, 100.0], Y * 20.0, strength=0.0, penalty="dreg", **QUICK)
    raw = surrogate.members_value_and_gradient(surrogate.record.x)[1]
    normalized = raw * (surrogate.bounds[1] - surrogate.bounds[0]) / surrogate.output_scale
    torch.testing.assert_close(
        gradient_norms(surrogate.stack, surrogate.scaling.unit(surrogate.record.x)), normalized.norm(dim=-1)
    )


def test_gradient_norm_of_several_outputs_is_frobenius():
    stack = StackedMLP((2, 5, 3), 2, dtype=torch.float64).initialize([0, 1])
    x = torch.from_numpy(X)
    for member in range(2):
        alone = stack.select([member])
        jacobian = vmap(jacrev(lambda point, alone=alone: alone.forward(point[None, None])[0, 0]))(x)
        torch.testing.assert_close(
            gradient_norms(stack, x)[member], 2.0 * jacobian.square().sum((1, 2)).sqrt()
        )


def test_a_strength_for_several_outputs_is_chosen_by_their_mean_error():
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    targets = torch.stack([y, 0.5 * y.flip(0)], 1)
    config = TrainingConfig(**QUICK)
    search = StrengthSearch(x, targets, plan_folds(x, 5, 0), config)
    outcome = search.run(METHODS["dreg+igp"], "auto", "plateau", lambda share: None)
    predictions = outcome.validation.predictions
    assert predictions.shape == (len(outcome.levels), 60, 2)
    error = (predictions - targets).square().mean((1, 2))
    torch.testing.assert_close(outcome.choice.mean_error, error)
    assert outcome.table(x)["out_of_fold_mse"].to_numpy() == pytest.approx(error.numpy())


def test_out_of_fold_predictions_are_those_of_the_holders():
    surrogate = fit(X, Y, members=10, strength=1e-3, **QUICK)
    record = surrogate.record
    assert record.holders.shape == (2, 60)
    members = surrogate.members(record.x)
    expected = members.gather(0, record.holders).mean(0)
    torch.testing.assert_close(record.out_of_fold, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(record.target, torch.from_numpy(Y))


def test_the_same_seed_gives_the_same_surrogate():
    first, second, other = (fit(X, Y, seed=seed, **QUICK) for seed in (3, 3, 4))
    assert torch.equal(first.stack.flat, second.stack.flat)
    assert torch.equal(first.record.out_of_fold, second.record.out_of_fold)
    pd.testing.assert_frame_equal(first.selection, second.selection, check_exact=True)
    assert not torch.equal(first.stack.flat, other.stack.flat)


def test_neither_data_nor_the_global_generator_is_touched():
    x, y = torch.from_numpy(X.copy()), torch.from_numpy(Y.copy())
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    surrogate = fit(x, y, strength=1e-3, **QUICK)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(x, torch.from_numpy(X))
    y.zero_()
    x.zero_()
    assert surrogate.record.target.abs().sum() > 0
    assert surrogate.record.x.abs().sum() > 0


@pytest.mark.parametrize(
    "kind",
    [np.asarray, torch.from_numpy, lambda a: a.tolist(), pd.DataFrame],
    ids=["numpy", "torch", "list", "pandas"],
)
def test_arrays_of_any_kind(kind):
    surrogate = fit(kind(X), kind(Y), strength=1e-3, **QUICK)
    assert torch.equal(surrogate.stack.flat, fit(X, Y, strength=1e-3, **QUICK).stack.flat)


@pytest.mark.parametrize("names", [["a", "b"], ("a", "b"), np.array(["a", "b"]), pd.Index(["a", "b"])])
def test_feature_names_of_any_kind(names):
    surrogate = fit(X, Y, strength=1e-3, feature_names=names, **QUICK)
    assert surrogate.feature_names == ("a", "b")
    assert fit(X, Y, strength=1e-3, **QUICK).feature_names == ("x0", "x1")


@pytest.mark.parametrize(("penalty", "level"), [("dreg", 0.0), ("igp", 0.3), ("sn", 0.9), ("sn", 0.0)])
def test_a_given_strength_is_used_as_it_is(penalty, level):
    surrogate = fit(X, Y, penalty=penalty, strength=level, **QUICK)
    assert surrogate.strength == METHODS[penalty].at(level)
    assert surrogate.selection["level"].tolist() == [level]
    assert np.isfinite(surrogate.value(X)).all()
    if penalty == "sn":
        assert all(
            (torch.linalg.svdvals(w)[:, 0] <= level * (1 + 1e-13)).all() for w in surrogate.stack.weights
        )


@pytest.mark.parametrize("hidden", [(), (3,), [4, 3]])
def test_any_depth(hidden):
    surrogate = fit(X, Y, strength=1e-3, **{**QUICK, "hidden": hidden})
    assert surrogate.stack.sizes == (2, *hidden, 1)
    assert surrogate.gradient(X).shape == X.shape


def test_ten_rows_are_enough():
    surrogate = fit(X[:10], Y[:10], strength=1e-3, **QUICK)
    assert np.isfinite(surrogate.value(X)).all()


def test_rows_that_come_again():
    x, y = np.repeat(X[:20], 3, 0), np.repeat(Y[:20], 3)
    record = fit(x, y, strength=0.0, **QUICK).record
    holders = record.holders.view(20, 3)
    assert (holders == holders[:, :1]).all()


def test_only_so_many_rows_are_kept(monkeypatch):
    monkeypatch.setattr(fitting, "KEPT_ROWS", 25)
    record = fit(X, Y, strength=1e-3, **QUICK).record
    assert record.x.shape == (25, 2)
    assert len(record.target) == 60
    np.testing.assert_array_equal(record.x.numpy(), X[record.rows.numpy()])
    assert (record.rows.diff() > 0).all()


class Curve:
    """Stands in for training: each strength's out-of-fold error is a given function of its position."""

    def __init__(self, monkeypatch, error_of):
        self.trained = []
        original = fitting.StrengthSearch.train

        def train(search, strengths, progress=None):
            validation = original(search, [Strength()] * len(strengths), progress)
            noise = torch.linspace(-1.0, 1.0, len(Y)).double()
            for position, strength in enumerate(strengths):
                self.trained.append(strength)
                validation.predictions[position] = search._y + error_of(strength) * noise
            return validation

        monkeypatch.setattr(fitting.StrengthSearch, "train", train)


@pytest.mark.parametrize(
    ("penalty", "error_of", "num_levels", "chosen"),
    [
        # an optimum inside the grid, one beyond its strong end, one out of reach of four extensions
        ("dreg", lambda s: 0.1 + abs(math.log10(max(s.dreg, 1e-5)) + 2.5), 8, 10**-2.5),
        ("dreg", lambda s: 0.1 + abs(math.log10(max(s.dreg, 1e-5)) + 0.5), 10, 10**-0.5),
        ("dreg", lambda s: 0.1 + abs(math.log10(max(s.dreg, 1e-5)) - 9), 12, 10.0),
        ("dreg", lambda s: 0.1 + s.dreg, 8, 0.0),
        ("sn", lambda s: 0.1 + abs(math.log2(s.spectral_bound) - 4.0), 11, 16.0),
        ("sn", lambda s: 0.1 + abs(math.log2(s.spectral_bound) - 0.5), 8, 2**0.5),
        ("none", lambda s: 0.1, 1, 0.0),
    ],
)
def test_the_grid_grows_where_the_choice_is_at_its_edge(monkeypatch, penalty, error_of, num_levels, chosen):
    curve = Curve(monkeypatch, error_of)
    surrogate = fit(X, Y, penalty=penalty, rule="best", **{**QUICK, "epochs": 1})
    assert len(surrogate.selection) == len(curve.trained) == num_levels
    assert surrogate.level == pytest.approx(chosen)
    levels = surrogate.selection["level"]
    assert levels.is_monotonic_decreasing if penalty == "sn" else levels.is_monotonic_increasing
    assert levels.is_unique
    errors = [error_of(METHODS[penalty].at(level)) for level in levels]
    assert np.argmin(errors) == surrogate.selection["chosen"].argmax()


def test_plateau_chooses_at_least_the_best_rules_strength():
    best, plateau = (fit(X, Y, penalty="dreg", rule=rule, **QUICK) for rule in ("best", "plateau"))
    assert plateau.level >= best.level
    assert best.selection.loc[best.selection["best"], "chosen"].all()


def test_progress_goes_from_nothing_to_all(capsys):
    fit(X, Y, strength=1e-3, progress=True, **QUICK)
    fit(X, Y, strength=1e-3, progress=False, **QUICK)


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "expected"), [(720, 32, 222), (10, 32, 300), (100_000, 32, 40), (320, 32, 300)]
)
def test_default_epochs(num_rows, batch_size, expected):
    assert default_epochs(num_rows, batch_size) == expected


@settings(max_examples=5, deadline=None)
@given(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), st.integers(-30, 30))
def test_units_do_not_matter(input_powers, output_power):
    """Powers of two scale without rounding, so that nothing at all may change but the units."""
    factors, factor = 2.0 ** np.array(input_powers), 2.0**output_power
    surrogate = fit(X, Y, strength=1e-3, **{**QUICK, "epochs": 2})
    scaled = fit(X * factors, Y * factor, strength=1e-3, **{**QUICK, "epochs": 2})
    np.testing.assert_array_equal(scaled.value(X * factors), surrogate.value(X) * factor)
    np.testing.assert_allclose(
        scaled.gradient(X * factors), surrogate.gradient(X) * factor / factors, rtol=1e-12
    )
    np.testing.assert_array_equal(scaled.record.holders, surrogate.record.holders)


def test_shifts_do_not_matter_but_for_rounding():
    surrogate = fit(X, Y, strength=1e-3, **{**QUICK, "epochs": 2})
    shifted = fit(X * 3.0 + 7.0, Y * 5.0 - 11.0, strength=1e-3, **{**QUICK, "epochs": 2})
    np.testing.assert_allclose(shifted.value(X * 3.0 + 7.0), surrogate.value(X) * 5.0 - 11.0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", METHODS)
def test_the_default_recipe_learns(penalty):
    surrogate = fit(*data(300, 3, noise=0.0), penalty=penalty)
    x, y = data(1000, 3, seed=9, noise=0.0)
    assert np.square(surrogate.value(x) - y).mean() < 0.01 * y.var()
    assert surrogate.record.r2 > 0.98


def test_data_frames_bring_their_names_and_come_in_any_order():
    frame = pd.DataFrame({"b": X[:, 0], "a": X[:, 1]})
    surrogate = fit(frame, pd.Series(Y, name="drag"), strength=1e-3, epochs=2, hidden=(4,))
    assert (surrogate.feature_names, surrogate.target_name) == (("b", "a"), "drag")
    expected = surrogate.value(X[:, :2])
    np.testing.assert_array_equal(surrogate.value(frame[["a", "b"]].assign(more=0.0)), expected)
    with pytest.raises(InputError, match="'b' missing"):
        surrogate.value(frame[["a"]])
    with pytest.raises(InputError, match="masked"):
        fit(np.ma.masked_less(X[:, :2], 0.0), Y)


def test_of_many_rows_the_extreme_ones_are_kept(monkeypatch):
    monkeypatch.setattr(fitting, "KEPT_ROWS", 20)
    record = fit(X, Y, strength=1e-3, epochs=1, hidden=(4,)).record
    assert len(record.rows) == len(record.x) == 20
    kept = record.target[record.rows]
    assert (float(kept.min()), float(kept.max())) == (float(Y.min()), float(Y.max()))
    np.testing.assert_array_equal(record.x.amax(0), X.max(0))
    np.testing.assert_array_equal(record.x.amin(0), X.min(0))
    np.testing.assert_array_equal(record.x, X[record.rows])

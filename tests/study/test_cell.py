"""A cell's figures against the same figures measured one surrogate at a time."""

import math

import pytest
import torch
from study_specs import tiny_spec

from surrogate_opt.auditing import TruthReference, ghost_signals
from surrogate_opt.data import Scaling
from surrogate_opt.diagnostics import gradient_field
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import METHODS
from surrogate_opt.study.cell import NUM_MEMBERS, instance_of, run_cell
from surrogate_opt.study.ensembles import EnsembleBatch


class Single:
    """One ensemble, members averaged by hand, differentiated by autograd."""

    gradient_source = "autograd"

    def __init__(self, stack, scaling):
        self.stack, self.scaling = stack, scaling

    def value(self, x):
        unit = self.scaling.unit(x).reshape(1, -1, x.shape[-1])
        return self.scaling.raw_target(self.stack.run(unit).output[..., 0].mean(0)).reshape(x.shape[:-1])

    def value_and_gradient(self, x):
        leaf = x.clone().requires_grad_()
        value = self.value(leaf)
        return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


@pytest.fixture(scope="module")
def spec():
    return tiny_spec(epochs=30, num_train=60)


@pytest.fixture(scope="module")
def result(spec):
    return run_cell(spec.cells()[0])


def instance(spec):
    cell = spec.cells()[0]
    truth, _, y = instance_of(cell)
    return cell, truth, Scaling.from_data(truth.bounds, y)


def rebuilt(spec, result, method):
    cell, truth, scaling = instance(spec)
    stack = StackedMLP((spec.dim, *spec.hidden, 1), NUM_MEMBERS, spec.activation, dtype=torch.float64)
    stack.flat.copy_(result.arrays[f"{method}.parameters"])
    return cell, truth, Single(stack, scaling)


@pytest.mark.parametrize("method", ["none", "dreg", "sn"])
def test_figures_equal_those_of_the_surrogate_alone(spec, result, method):
    cell, truth, model = rebuilt(spec, result, method)
    row = next(row for row in result.rows if row["method"] == method and row["chosen"])
    seed = cell.seed
    field = gradient_field(model, truth, seed=seed)
    assert row["field.gradient_error"] == pytest.approx(field.gradient_error, rel=1e-3)
    assert row["field.cosine"] == pytest.approx(field.cosine, rel=1e-3)
    reference = TruthReference.of(truth, num_starts=spec.starts, num_steps=spec.loop_steps, seed=seed)
    for loop in spec.loops:
        signal = ghost_signals(model, 1, reference, loop)[0]
        for name in ("regret_selected", "optimism", "path_divergence"):
            assert row[f"{loop}.{name}"] == pytest.approx(getattr(signal, name), rel=1e-2, abs=1e-3)


def test_every_method_is_tried_over_its_whole_grid_and_used_at_two_strengths(result):
    for name in ("none", "dreg", "sn"):
        rows = [row for row in result.rows if row["method"] == name]
        assert len(rows) >= len(METHODS[name].positions())
        assert sum(row["chosen"] for row in rows) == 1
        assert sum(row["paper"] for row in rows) == 1
        paper = next(row for row in rows if row["paper"])
        assert paper["level"] == pytest.approx(METHODS[name].paper)
        assert all(math.isfinite(row["adam.regret_selected"]) for row in rows)


def test_no_strength_is_no_penalty(result):
    """The weakest DREG is no penalty at all: same surrogate, same figures."""
    none = next(row for row in result.rows if row["method"] == "none")
    weakest = next(row for row in result.rows if row["method"] == "dreg" and row["position"] == 0)
    for name in ("out_of_fold_mse", "adam.regret_selected", "field.gradient_error", "sensitivity.p99"):
        assert none[name] == weakest[name]


def test_grids_have_equal_length_after_extension(result):
    assert len({sum(row["method"] == name for row in result.rows) for name in ("dreg", "sn")}) == 1


def test_regret_is_against_the_best_known_value(result):
    for row in result.rows:
        assert row["adam.regret_selected"] >= -1e-9
        assert row["adam.truth_regret_selected"] >= -1e-9


def test_the_same_cell_twice_gives_the_same_figures(spec, result):
    again = run_cell(spec.cells()[0])
    assert str(again.rows) == str(result.rows)
    assert all(torch.equal(again.arrays[name], value) for name, value in result.arrays.items())


def test_histograms_count_every_point(result):
    for name in ("truth", "none", "dreg", "sn"):
        assert int(result.arrays[f"{name}.norms"].sum()) == 2048


def test_a_batch_of_ensembles_equals_its_ensembles(spec, result):
    _, truth, scaling = instance(spec)
    singles = [rebuilt(spec, result, name)[2] for name in ("none", "dreg", "sn")]
    batch = EnsembleBatch(StackedMLP.concatenate([one.stack for one in singles]), NUM_MEMBERS, scaling)
    x = truth.sample(7, seed=3)[0]
    values, gradients = batch.value_and_gradient(x.expand(3, -1, -1))
    for index, one in enumerate(singles):
        value, gradient = one.value_and_gradient(x)
        torch.testing.assert_close(values[index], value, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(gradients[index], gradient, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        batch.select([2]).value(x[None])[0], singles[2].value(x), rtol=1e-10, atol=1e-12
    )
    own = batch.members_derivative_proxy(x.expand(3, -1, -1))
    assert own.shape == (NUM_MEMBERS, 3)
    torch.testing.assert_close(own.mean(0), batch.derivative_proxy(x.expand(3, -1, -1)))

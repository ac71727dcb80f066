"""Cells of a study of Bayesian optimization stored, read back, and run again."""

import pandas as pd
import pytest
from same_process import Here
from small_bayesian_study import failing_gp, small_spec

from surrogate_opt.errors import InputError
from surrogate_opt.study.bayesian import cell as cell_module
from surrogate_opt.study.bayesian.cell import run_bayesian_cell
from surrogate_opt.study.bayesian.tables import CHECKPOINT_COLUMNS, PROPOSAL_COLUMNS, load_bayesian_study
from surrogate_opt.study.runner import run_cells


@pytest.fixture(scope="module")
def spec():
    return small_spec(models=("sobol",), instances=2, evaluations=6)


@pytest.fixture(scope="module")
def results(spec, tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "results.db"
    summary = run_cells(spec.cells(), run_bayesian_cell, path, executor=Here())
    assert (summary.computed, summary.reused, summary.failures) == (4, 0, {})
    return path


def test_frames_hold_every_evaluation_with_the_columns_that_are_promised(spec, results):
    data = load_bayesian_study(spec, results)
    assert tuple(data.proposals.columns) == PROPOSAL_COLUMNS
    assert tuple(data.checkpoints.columns) == CHECKPOINT_COLUMNS
    assert len(data.proposals) == 2 * 2 * spec.evaluations
    assert set(data.proposals.groupby(["problem", "instance", "model"]).size()) == {spec.evaluations}
    assert set(data.proposals["instance"]) == {200, 201}
    for column in ("initial", "fallback", "promised", "phantom"):
        assert data.proposals[column].dtype == bool
    assert data.failures.empty
    expected = pd.DataFrame(
        {"name": ["smooth", "branin"], "dim": [2, 2], "smooth": [True, True], "half": ["tuning"] * 2}
    )
    pd.testing.assert_frame_equal(data.problems, expected)


def test_frames_equal_what_the_cells_computed(spec, results):
    data = load_bayesian_study(spec, results)
    cell = spec.cells()[3]
    fresh = pd.DataFrame(run_bayesian_cell(cell).proposals)
    stored = data.proposals.query("problem == @cell.problem and instance == @cell.instance")
    assert set(stored["model"]) == {cell.model}
    stored = stored.reset_index(drop=True)[list(fresh.columns)]
    pd.testing.assert_frame_equal(stored, fresh)


def test_a_second_run_computes_what_is_missing_alone(spec, results):
    computed = []

    def compute(cell):
        computed.append(cell.place)
        return run_bayesian_cell(cell)

    more = spec.model_copy(update={"instances": 3, "problems": ("branin",)})
    summary = run_cells(more.cells(), compute, results, executor=Here())
    assert (summary.computed, summary.reused) == (1, 2)
    added = more.model_copy(update={"instances": 1, "models": ("sobol", "gp")})
    summary = run_cells(added.cells(), compute, results, executor=Here())
    assert (summary.computed, summary.reused) == (1, 1)
    assert computed == ["sobol on branin 202", "gp on branin 200"]


def test_a_study_is_read_while_a_model_is_still_missing(spec, results):
    wider = spec.model_copy(update={"models": ("sobol", "deep_kernel")})
    data = load_bayesian_study(wider, results)
    assert set(data.proposals["model"]) == {"sobol"}
    assert len(data.proposals) == 2 * 2 * wider.evaluations


def test_failures_are_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(cell_module, "make_search", failing_gp)
    spec = small_spec(problems=("branin",))
    run_cells(spec.cells(), run_bayesian_cell, tmp_path / "r.db", executor=Here())
    data = load_bayesian_study(spec, tmp_path / "r.db")
    assert data.failures.to_dict("records") == [
        {"problem": "branin", "instance": 200, "model": "gp", "message": "TrainingError: no luck"}
    ]
    assert set(data.proposals["model"]) == {"sobol"}


def test_an_empty_results_file_says_so(spec, tmp_path):
    with pytest.raises(InputError, match="no cell of study 'small'"):
        load_bayesian_study(spec, tmp_path / "empty.db")

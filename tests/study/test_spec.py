"""Specs: strict validation, TOML, and keys that change with what determines a cell alone."""

import pytest
from study_specs import tiny_spec

from surrogate_opt.errors import InputError
from surrogate_opt.study.spec import BUDGETS, make_spec


def test_the_default_study_is_what_the_readme_says():
    spec = make_spec()
    assert len(spec.families) == 5
    assert spec.methods == ("none", "dreg", "igp", "sn", "dreg+igp")
    assert spec.instances >= 10
    assert spec.starts == 64
    assert set(spec.loops) == {"adam", "gradient_descent", "lbfgsb"}
    assert spec.first_instance >= 10, "reported instances must differ from those that defaults were tuned on"


def test_the_paper_budget_has_the_papers_sizes():
    assert BUDGETS["paper"].num_train == 2000
    assert BUDGETS["paper"].dim == 10


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": "huge"}, ["budget", "smoke", "huge"]),
        ({"families": ("smoth",)}, ["families", "smoth", "smooth"]),
        ({"families": ()}, ["families"]),
        ({"methods": ("dreg", "dreg")}, ["methods", "once"]),
        ({"methods": ("l2",)}, ["methods", "l2", "dreg"]),
        ({"instances": 0}, ["instances", "1"]),
        ({"num_train": 5}, ["num_train", "20"]),
        ({"noise_std": -1.0}, ["noise_std"]),
        ({"activation": "step"}, ["activation", "step", "silu"]),
        ({"loops": ("newton",)}, ["loops"]),
        ({"name": "../up"}, ["name"]),
        ({"learning_rate": 0.0}, ["learning_rate"]),
        ({"colour": 3}, ["colour"]),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(changes, words):
    with pytest.raises(InputError) as caught:
        make_spec(**changes)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_toml_is_read_strictly_and_arguments_win(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('name = "kinks"\nfamilies = ["piecewise"]\nhidden = [16, 16]\ninstances = 3\n')
    spec = make_spec("default", path, instances=4)
    assert (spec.name, spec.families, spec.hidden, spec.instances) == ("kinks", ("piecewise",), (16, 16), 4)
    path.write_text("nonsense = 1\n")
    with pytest.raises(InputError, match="nonsense"):
        make_spec("default", path)
    path.write_text("name = [\n")
    with pytest.raises(InputError, match="not TOML"):
        make_spec("default", path)
    with pytest.raises(InputError, match="cannot read"):
        make_spec("default", tmp_path / "absent.toml")


def test_families_and_instances_share_no_random_numbers():
    cells = tiny_spec(instances=3).cells()
    assert len({cell.data_seed for cell in cells}) == len(cells)
    assert len({cell.seed for cell in cells}) == len(cells)
    again, other = tiny_spec(instances=3).cells()[0], tiny_spec(seed=1).cells()[0]
    assert (again.data_seed, again.seed) == (cells[0].data_seed, cells[0].seed)
    assert other.data_seed == cells[0].data_seed, "another seed of the study is no other instance"
    assert other.seed != cells[0].seed


def test_a_key_depends_on_what_determines_the_cell_and_on_nothing_else():
    first = tiny_spec().cells()[0]
    same = [tiny_spec(name="other"), tiny_spec(instances=7), tiny_spec(families=("smooth",))]
    assert all(spec.cells()[0].key == first.key for spec in same)
    other = [
        tiny_spec(seed=1),
        tiny_spec(epochs=5),
        tiny_spec(methods=("none", "dreg")),
        tiny_spec(noise_std=0.2),
        tiny_spec(first_instance=200),
        tiny_spec(families=("piecewise",)),
    ]
    keys = {spec.cells()[0].key for spec in other}
    assert len(keys) == len(other)
    assert first.key not in keys

"""Pictures of a tiny real study: that they are drawn, and what they compute against other sources."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from study_specs import stored_study, tiny_spec
from surrogate_problems.families import FAMILIES

from surrogate_opt.diagnostics import sobol_points
from surrogate_opt.study.cell import NORM_EDGES, NUM_POINTS
from surrogate_opt.study.figures import NUM_PICTURES, draw_pictures, save_picture
from surrogate_opt.study.figures import ghost_slice as slices
from surrogate_opt.study.figures.norms import norm_counts, norm_quantile, norm_tail_ratio
from surrogate_opt.study.figures.plateau import draw_plateau
from surrogate_opt.study.figures.style import ALARM, method_style


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return stored_study(tiny_spec(instances=2, epochs=30), tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def scene(data):
    pair = slices._pairs(data)[0]
    return slices._build(data.spec, pair, data)


@pytest.fixture(scope="module")
def pictures(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return list(draw_pictures(data))


def row_of(data, pair, method):
    rows = data.at("chosen")
    return rows[
        (rows["family"] == pair.family) & (rows["instance"] == pair.instance) & (rows["method"] == method)
    ].iloc[0]


def test_all_pictures_are_drawn_without_warnings(pictures, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in pictures:
            save_picture(picture, tmp_path)
    assert [picture.name for picture in pictures] == ["regret", "ghost_map", "plateau", "gradient_norms"]
    assert len(pictures) == NUM_PICTURES
    assert len(list(tmp_path.glob("*.png"))) == len(list(tmp_path.glob("*.svg"))) == NUM_PICTURES
    for picture in pictures:
        assert picture.caption
        sizes = [
            text.get_fontsize() for text in picture.figure.findobj(lambda one: hasattr(one, "get_fontsize"))
        ]
        assert min(sizes) >= 8


def undrawn(figure):
    """Labels of ticks beyond their axis, which matplotlib keeps but does not draw."""
    return {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }


def test_no_text_leaves_the_picture(pictures):
    for picture in pictures:
        picture.figure.draw_without_rendering()
        width, height = picture.figure.bbox.size
        hidden = undrawn(picture.figure)
        for text in picture.figure.findobj(
            lambda one: hasattr(one, "get_fontsize") and one.get_visible() and bool(one.get_text())
        ):
            if text in hidden:
                continue
            if text.axes is None or text in (text.axes.title, text.axes.xaxis.label, text.axes.yaxis.label):
                box = text.get_window_extent()
                assert box.x0 >= -1, (picture.name, text.get_text())
                assert box.y0 >= -1, (picture.name, text.get_text())
                assert box.x1 <= width + 1, (picture.name, text.get_text())
                assert box.y1 <= height + 1, (picture.name, text.get_text())


def test_each_method_has_a_look_of_its_own(data):
    styles = [method_style(name) for name in ("none", "dreg", "igp", "sn", "dreg+igp", "another")]
    assert len({style.colour for style in styles} | {ALARM}) == len(styles) + 1
    assert len({style.marker for style in styles}) == len(styles)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_histogram_quantiles_agree_with_the_sample(share):
    sample = np.random.default_rng(0).lognormal(0.3, 0.6, 200_000)
    counts = np.histogram(np.log10(sample), NORM_EDGES)[0]
    assert norm_quantile(counts, share) == pytest.approx(np.quantile(sample, share), rel=0.01)


def test_histogram_tail_ratio_agrees_with_the_sample():
    sample = np.random.default_rng(1).lognormal(0.3, 0.6, 200_000)
    counts = np.histogram(np.log10(sample), NORM_EDGES)[0]
    assert norm_tail_ratio(counts) == pytest.approx(np.quantile(sample, 0.99) / sample.mean(), rel=0.01)


def test_an_empty_histogram_has_no_quantile():
    empty = np.zeros(NORM_EDGES.size - 1, dtype=np.int64)
    assert np.isnan(norm_quantile(empty, 0.99))
    assert np.isnan(norm_tail_ratio(empty))


def test_histograms_are_summed_over_instances_and_agree_with_the_rows(data):
    counts = norm_counts(data, "smooth", "dreg")
    assert counts.sum() == data.spec.instances * NUM_POINTS
    one = dataclasses.replace(
        data, arrays={place: arrays for place, arrays in data.arrays.items() if place == ("smooth", 100)}
    )
    rows = data.at("chosen")
    row = rows[(rows["family"] == "smooth") & (rows["instance"] == 100) & (rows["method"] == "dreg")].iloc[0]
    # Bins are 12% wide; within one the quantile is interpolated.
    assert norm_quantile(norm_counts(one, "smooth", "dreg"), 0.99) == pytest.approx(
        row["sensitivity.p99"], rel=0.06
    )


def test_rebuilt_surrogates_are_those_of_the_study(data, scene):
    points = sobol_points(scene.bounds, NUM_POINTS, scene.seed)
    truth, misleading, faithful = scene.values(points)
    for values, method in ((misleading, scene.pair.misleading), (faithful, scene.pair.faithful)):
        r2 = 1 - float((truth - values).square().sum() / (truth - truth.mean()).square().sum())
        # Parameters are stored in float32.
        assert r2 == pytest.approx(row_of(data, scene.pair, method)["degeneracy.r2"], abs=1e-4)


def test_the_selected_end_is_the_studys(data, scene):
    end = scene.selected_end(data.spec.starts)
    truths = data.truths.set_index(["family", "instance"]).loc[(scene.pair.family, scene.pair.instance)]
    row = row_of(data, scene.pair, scene.pair.misleading)
    regret = (float(scene.truth.value(end[None])[0]) - truths["optimum"]) / truths["scale"]
    # The study's optimum is bettered where a loop on the truth betters it, which six steps do not.
    assert regret == pytest.approx(row["adam.regret_selected"], abs=1e-3)


def test_a_slice_shows_what_its_models_say(scene):
    fixed = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    found = scene.follow((0, 2), fixed)
    truth = FAMILIES[scene.pair.family](dim=3, seed=scene.pair.instance)
    ends = fixed.expand(found.paths.shape[2], -1).clone()
    for model in range(3):
        assert torch.equal(found.paths[model, 0], found.paths[0, 0])
        ends[:, [0, 2]] = found.paths[model, -1]
        got = (truth.evaluate_true(ends) - scene.mean) / scene.scale
        torch.testing.assert_close(found.got[model, -1], got)
        torch.testing.assert_close(found.promised[model, -1], scene.values(ends)[model])
        promised, true = found.outcome(model)
        assert promised == float(found.promised[model, -1].min())
        assert true == float(found.got[model, -1, found.selected(model)])
    torch.testing.assert_close(found.promised[0], found.got[0])
    corner = fixed.clone()
    corner[0], corner[2] = found.grid[0, -1], found.grid[1, 0]
    torch.testing.assert_close(found.values[:, 0, -1], scene.values(corner[None])[:, 0])


def test_arrows_point_down_the_slice(scene):
    fixed = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    found = scene.follow((0, 2), fixed)
    place = fixed.clone()
    place[0], place[2] = found.arrow_grid[0, 4], found.arrow_grid[1, 7]
    step = 1e-6
    for axis, column in enumerate((0, 2)):
        aside = torch.zeros(3, dtype=torch.float64)
        aside[column] = step * float(scene.bounds[1, column] - scene.bounds[0, column])
        slope = (scene.values((place + aside)[None]) - scene.values((place - aside)[None]))[:, 0] / (2 * step)
        torch.testing.assert_close(found.descent[:, 7, 4, axis], -slope, rtol=1e-5, atol=1e-6)


def test_clarity_prefers_a_slice_that_misleads():
    truth = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    misleading = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, -2.0]])
    faithful = truth.clone()
    scores = slices._clarity(torch.stack([truth, misleading, faithful]))
    # Second slice: regret 2 and a gap of 4, which counts as 3.
    assert scores.tolist() == [0.0, 5.0]


def test_pairs_prefer_sound_surrogates(data):
    rows = data.surrogates.copy()
    rows.loc[rows["method"] == "sn", "degeneracy.kind"] = "collapsed"
    rows.loc[rows["method"] != "sn", ["degeneracy.kind", "degeneracy.r2"]] = ["sound", 0.9]
    pairs = slices._pairs(dataclasses.replace(data, surrogates=rows))
    assert pairs
    assert not any("sn" in (pair.misleading, pair.faithful) for pair in pairs)
    assert [pair.contrast for pair in pairs] == sorted((pair.contrast for pair in pairs), reverse=True)


@pytest.mark.parametrize("change", [{"methods": ("none",)}, {"dim": 1, "families": ("smooth",)}])
def test_pictures_that_cannot_be_are_left_out(change, tmp_path):
    names = [picture.name for picture in draw_pictures(stored_study(tiny_spec(**change), tmp_path))]
    assert names == ["regret", *(["plateau"] if "dim" in change else []), "gradient_norms"]


def test_without_none_the_curves_compare_with_the_weakest(data):
    spec = data.spec.model_copy(update={"methods": ("dreg", "sn")})
    rows = data.surrogates[data.surrogates["method"] != "none"]
    picture = draw_plateau(dataclasses.replace(data, spec=spec, surrogates=rows))
    assert picture is not None
    assert len(picture.figure.axes) == 6 * 2

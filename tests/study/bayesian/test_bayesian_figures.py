"""Pictures of made-up studies: that they are drawn, and that they show the figures of the tables."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from synthetic_studies import Behaviour, synthetic_study, with_failures

from surrogate_opt.study.bayesian.comparisons import gather
from surrogate_opt.study.bayesian.figures import NUM_PICTURES, draw_pictures
from surrogate_opt.study.bayesian.figures.curves import draw_curves
from surrogate_opt.study.bayesian.figures.ghosts import draw_ghosts
from surrogate_opt.study.bayesian.figures.looks import look
from surrogate_opt.study.bayesian.figures.matrix import relative_regret
from surrogate_opt.study.bayesian.problems import PROBLEMS
from surrogate_opt.study.bayesian.spec import MODELS
from surrogate_opt.study.figures.style import ALARM


@pytest.fixture(scope="module")
def data():
    """All models, each with a regret, a share of phantoms and a price of its own."""
    models = {
        name: Behaviour(
            regret=0.1 * place,
            optimism=0.1 + 0.05 * place,
            phantoms=0.2 + 0.05 * place,
            coverage50=0.2 + 0.08 * place,
            seconds=0.1 * 2**place,
        )
        for place, name in enumerate(MODELS)
    }
    return synthetic_study(models, problems=("ackley10", "branin"), instances=10, evaluations=26)


@pytest.fixture(scope="module")
def findings(data):
    return gather(data)


@pytest.fixture(scope="module")
def pictures(data, findings):
    return {picture.name: picture for picture in draw_pictures(data, findings)}


def words(figure):
    """Every text of a figure but the numbers at its axes."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        found += [*axes.texts, axes.xaxis.label, axes.yaxis.label, axes.title]
        found += [child for child in axes.get_children() if child is axes._left_title]
    return [text for text in found if text.get_visible() and text.get_text()]


def lines_of(axes, model):
    return [line for line in axes.get_lines() if to_hex(line.get_color()).upper() == look(model).colour]


def test_all_pictures_are_drawn(pictures):
    assert list(pictures) == ["regret_curves", "regret_matrix", "ghosts", "calibration", "seconds"]
    assert len(pictures) == NUM_PICTURES
    assert all(picture.caption for picture in pictures.values())


def test_no_text_leaves_its_picture_or_is_small(pictures):
    for picture in pictures.values():
        width, height = picture.figure.bbox.size
        found = words(picture.figure)
        assert found
        for text in found:
            box = text.get_window_extent()
            assert box.x0 >= -1, (picture.name, text.get_text())
            assert box.y0 >= -1, (picture.name, text.get_text())
            assert box.x1 <= width + 1, (picture.name, text.get_text())
            assert box.y1 <= height + 1, (picture.name, text.get_text())
            assert text.get_fontsize() >= 8


def test_fifteen_panels_keep_their_titles_apart():
    models = {name: Behaviour(spread=0.1) for name in ("ensemble:dreg", "gp")}
    full = synthetic_study(models, problems=tuple(PROBLEMS), instances=10, evaluations=12, num_initial=6)
    figure = draw_curves(full, gather(full)).figure
    boxes = [axes._left_title.get_window_extent() for axes in figure.axes]
    assert len(boxes) == 15
    assert any("undecided" in axes._left_title.get_text() for axes in figure.axes)
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])


def test_each_model_has_a_look_of_its_own():
    looks = [look(model) for model in MODELS]
    assert len({one.colour for one in looks} | {ALARM}) == len(MODELS) + 1
    assert len({one.marker for one in looks}) == len(MODELS)


def test_curves_are_medians_and_bands_quartiles(data, pictures):
    axes = pictures["regret_curves"].figure.axes[0]
    assert axes._left_title.get_text() == "ackley10 (10-d)\nensemble:dreg / gp: ahead"
    assert axes.get_yscale() == "log"
    rows = data.proposals[data.proposals["problem"] == "ackley10"]
    for model in MODELS:
        runs = rows[rows["model"] == model].pivot(index="instance", columns="evaluation", values="regret")
        (line,) = lines_of(axes, model)
        np.testing.assert_allclose(line.get_xdata(), np.arange(1, 27))
        np.testing.assert_allclose(line.get_ydata(), np.median(runs, axis=0))
    shade, *bands = [*axes.patches, *axes.collections]
    assert len(bands) == 3
    assert (shade.get_x(), shade.get_width()) == (1, 9)
    runs = rows[rows["model"] == "ensemble:dreg"].pivot(
        index="instance", columns="evaluation", values="regret"
    )
    heights = bands[-1].get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(np.quantile(runs[26], 0.25))
    assert heights.max() == pytest.approx(np.quantile(runs[1], 0.75))


def test_the_models_to_watch_are_thick_and_on_top(pictures):
    figure = pictures["regret_curves"].figure
    order = [line.get_color() for line in figure.axes[0].get_lines()]
    assert order[-3:] == [look(model).colour for model in ("sobol", "gp", "ensemble:dreg")]
    widths = {line.get_color(): line.get_linewidth() for line in figure.axes[0].get_lines()}
    assert widths[look("gp").colour] > widths[look("ensemble:igp").colour]


def test_tuning_problems_are_said_to_be(pictures):
    titles = [axes._left_title.get_text() for axes in pictures["regret_curves"].figure.axes]
    assert [title.startswith(("branin (2-d, tuning)",)) for title in titles] == [False, True]


def test_solved_problems_end_at_the_floor():
    solved = synthetic_study({"gp": Behaviour()}, problems=("branin",), instances=3, evaluations=12)
    solved.proposals.loc[solved.proposals["evaluation"] > 10, "regret"] = 0.0
    (line,) = lines_of(draw_curves(solved, gather(solved)).figure.axes[0], "gp")
    assert list(line.get_ydata()[10:]) == [1e-3, 1e-3]


def test_the_matrix_shows_medians_and_verdicts(data, pictures):
    axes = pictures["regret_matrix"].figure.axes[0]
    said = {text.get_position(): text.get_text() for text in axes.texts}
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "ackley10 (10-d, non-smooth)",
        "branin (2-d)",
    ]
    for row, problem in enumerate(("ackley10", "branin")):
        for column, model in enumerate(MODELS):
            runs = data.proposals
            last = runs[runs["problem"].eq(problem) & runs["model"].eq(model) & runs["evaluation"].eq(26)][
                "regret"
            ]
            mark = " ▲" if column < 7 else " ▼" if model == "sobol" else ""
            assert said[column, row] == f"{last.median():.3f}{mark}", (problem, model)


def test_relative_regret_ignores_differences_of_solved_problems():
    medians = np.array([[0.0, 1e-6, 1.0], [0.45, 0.2, 0.95]])
    np.testing.assert_allclose(relative_regret(medians, 1)[1], [2.0, 1.0, 4.0])
    assert relative_regret(medians, 1)[0, 0] == pytest.approx(1.0, abs=1e-4)


def test_ghosts_are_where_the_runs_are(findings, pictures):
    figure = pictures["ghosts"].figure
    assert [axes._left_title.get_text() for axes in figure.axes] == [
        "reported problems (1)",
        "tuning problems (1)",
    ]
    runs = findings.runs[findings.runs["half"] == "reported"]
    for model in MODELS[:-1]:
        marks = [line for line in lines_of(figure.axes[0], model) if len(line.get_xdata()) == 1]
        values = runs.loc[runs["model"] == model, ["optimism_size", "phantom_share"]].mean()
        assert [marks[0].get_xdata()[0], marks[0].get_ydata()[0]] == pytest.approx(list(values))
        across, up = (line for line in lines_of(figure.axes[0], model) if len(line.get_xdata()) == 2)
        assert across.get_xdata()[0] < values["optimism_size"] < across.get_xdata()[1]
        assert up.get_ydata()[0] < values["phantom_share"] < up.get_ydata()[1]
    assert "sobol" not in [text.get_text() for text in words(figure)]


def test_a_run_without_a_promise_counts_in_the_optimism_of_the_ghosts(data):
    found = gather(data)
    gp = found.runs["model"].eq("gp") & found.runs["half"].eq("reported")
    found.runs.loc[gp[gp].index[:4], "phantom_share"] = np.nan
    axes = draw_ghosts(found, MODELS).figure.axes[0]
    (mark,) = [line for line in lines_of(axes, "gp") if len(line.get_xdata()) == 1]
    values = found.runs.loc[gp, ["optimism_size", "phantom_share"]]
    assert mark.get_xdata()[0] == pytest.approx(values["optimism_size"].mean())
    assert mark.get_ydata()[0] == pytest.approx(values["phantom_share"].mean())
    assert np.isfinite(
        [line.get_ydata() for line in lines_of(axes, "gp") if len(line.get_xdata()) == 2]
    ).all()
    found.runs.loc[gp, "phantom_share"] = np.nan
    assert not lines_of(draw_ghosts(found, MODELS).figure.axes[0], "gp")


def test_calibration_shows_both_coverages_and_their_targets(findings, pictures):
    axes = pictures["calibration"].figure.axes[0]
    targets = [line.get_xdata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert targets == [0.5, 0.95]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(MODELS[:-1])
    runs = findings.runs[(findings.runs["half"] == "reported") & (findings.runs["model"] == "last_layer")]
    marks = {
        (line.get_marker(), line.get_markerfacecolor() == "white"): line.get_xdata()[0]
        for line in lines_of(axes, "last_layer")
        if len(line.get_xdata()) == 1
    }
    assert marks == {
        ("o", False): pytest.approx(runs["coverage50"].mean()),
        ("o", True): pytest.approx(runs["box_coverage50"].mean()),
        ("D", False): pytest.approx(runs["coverage95"].mean()),
        ("D", True): pytest.approx(runs["box_coverage95"].mean()),
    }


def test_seconds_are_means_of_ten_evaluations(pictures):
    refit, acquisition, step = pictures["seconds"].figure.axes
    for place, model in enumerate(MODELS[:-1]):
        for axes, seconds in ((refit, 0.1 * 2**place), (acquisition, 0.05), (step, 0.05 + 0.1 * 2**place)):
            (line,) = lines_of(axes, model)
            # Evaluations 11 to 20 and 21 to 26, made from one fewer.
            np.testing.assert_allclose(line.get_xdata(), [14.5, 22.5])
            np.testing.assert_allclose(line.get_ydata(), seconds)
    assert not lines_of(refit, "sobol")


def test_what_is_not_there_is_not_drawn():
    sobol = synthetic_study({"sobol": Behaviour()}, problems=("branin",), instances=2, evaluations=12)
    assert [picture.name for picture in draw_pictures(sobol, gather(sobol))] == ["regret_curves"]
    lost = with_failures(sobol, "sobol", ["branin"], [200, 201])
    assert list(draw_pictures(lost, gather(lost))) == []


def test_a_model_that_failed_everywhere_leaves_the_others():
    models = {"ensemble:dreg": Behaviour(), "gp": Behaviour()}
    study = synthetic_study(models, problems=("branin",), instances=2, evaluations=12)
    lost = with_failures(study, "gp", ["branin"], [200, 201])
    figure = draw_curves(lost, gather(lost)).figure
    assert len(lines_of(figure.axes[0], "ensemble:dreg")) == 1
    assert lines_of(figure.axes[0], "gp") == []

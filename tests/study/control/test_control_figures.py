"""Pictures of closed loops show the numbers they are of; fields and errors against ones worked out here."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from surrogate_problems.plants import make_plant

from surrogate_opt.errors import InputError
from surrogate_opt.loops.mpc import ClosedLoop
from surrogate_opt.study.control.figures import ShownLoop, draw_phase, draw_trajectories, write_animation
from surrogate_opt.study.control.figures.phase import vector_field
from surrogate_opt.study.figures.style import png_bytes

STEPS, HORIZON = 12, 5


def made_up_run(plant, loops=2, seed=0) -> ClosedLoop:
    """Random numbers of the right shapes, the angle of a pendulum turning once."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    n, m = plant.num_states, plant.num_actions
    states = draw(loops, STEPS + 1, n)
    if plant.angles:
        states[:, :, 0] = torch.linspace(math.pi, 2.0 * math.pi, STEPS + 1)
    return ClosedLoop(
        states=states,
        measured=states[:, :-1],
        actions=draw(loops, STEPS, m).clamp(-1.0, 1.0),
        costs=draw(loops, STEPS).abs(),
        plans=draw(loops, STEPS, HORIZON + 1, n),
        planned_actions=draw(loops, STEPS, HORIZON, m),
        planned_costs=draw(loops, STEPS),
        diverged=torch.zeros(loops, STEPS, dtype=torch.bool),
        seconds=torch.ones(STEPS, dtype=torch.float64),
        num_models=1,
    )


@pytest.fixture(scope="module")
def pendulum():
    return make_plant("pendulum")


class Scaled:
    """A plant whose increments are all larger by a factor."""

    def __init__(self, plant, factor):
        self.plant, self.factor = plant, factor

    def step(self, x, u):
        return x + self.factor * (self.plant.step(x, u) - x)


def lines_of(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour]


def test_trajectories_show_path_plans_and_target(pendulum):
    run = made_up_run(pendulum)
    loops = [ShownLoop(label="oracle", run=run), ShownLoop(label="dreg", run=run, loop=1)]
    figure = draw_trajectories(pendulum, loops, every=4, title="a title")
    assert len(figure.axes) == 3 * 2
    axes = figure.axes[3]  # angular velocity of the second loop
    path = lines_of(axes, "#0072B2")[0]
    np.testing.assert_allclose(path.get_xdata(), 0.05 * np.arange(STEPS + 1))
    np.testing.assert_allclose(path.get_ydata(), run.states[1, :, 1])
    (fans,) = axes.collections
    segments = fans.get_segments()
    assert len(segments) == 3
    np.testing.assert_allclose(segments[1][:, 0], 0.05 * (4 + np.arange(HORIZON + 1)))
    np.testing.assert_allclose(segments[1][:, 1], run.plans[1, 4, :, 1])
    assert len(segments[2]) == STEPS - 8 + 1  # cut off at the end of the episode
    # the loop ends at a whole turn, and so is the target drawn there
    np.testing.assert_allclose(lines_of(figure.axes[0], "#009E73")[0].get_ydata(), 2.0 * np.pi)
    assert figure.axes[0].get_ylabel() == "angle\n(rad)"
    assert figure.axes[4].get_xlabel() == "time (s)"
    assert f"{float(run.cost[1]):.4g}" in figure.axes[1].get_title(loc="left")


def test_plans_that_diverged_are_marked_and_not_drawn(pendulum):
    run = made_up_run(pendulum)
    run.diverged[0, 4] = True
    run.plans[0, 4] = math.nan
    figure = draw_trajectories(pendulum, [ShownLoop(label="dreg", run=run)], every=4)
    assert len(figure.axes[0].collections[0].get_segments()) == 2
    (mark,) = lines_of(figure.axes[1], "#D55E00")
    np.testing.assert_allclose(mark.get_xdata(), [0.2])
    assert np.isfinite(figure.axes[0].get_ylim()).all()


@pytest.mark.parametrize("name", ["cstr", "family:smooth"])
def test_every_plant_has_its_pictures(name):
    plant = make_plant(name)
    run = made_up_run(plant)
    figure = draw_trajectories(plant, [ShownLoop(label="oracle", run=run)])
    assert len(figure.axes) == plant.num_states + plant.num_actions
    portrait = draw_phase(plant, Scaled(plant, 1.1), (run, run))
    assert all(len(axes.get_ylabel().split("\n")) <= 3 for axes in figure.axes)
    assert len(png_bytes(figure)) > 10_000
    assert len(png_bytes(portrait)) > 10_000


def test_the_field_is_the_plants_own_and_its_error_what_was_put_in(pendulum):
    box = torch.tensor([[-1.0, -2.0], [1.0, 2.0]], dtype=torch.float64)
    action = torch.tensor([1.5], dtype=torch.float64)
    field = vector_field(pendulum, Scaled(pendulum, 1.2), box, action=action)
    row, column = 30, 7
    state = torch.tensor([field.x[column], field.y[row]])
    rate = (pendulum.step(state, action) - state) / pendulum.dt
    np.testing.assert_allclose(field.true[row, column], rate)
    np.testing.assert_allclose(field.learned, 1.2 * field.true)
    # a model that is off by 20% everywhere is off by 20% in root mean square
    assert np.sqrt(np.mean(field.error**2)) == pytest.approx(20.0)


def test_the_field_holds_rest_and_the_other_states_at_the_target():
    plant = make_plant("cstr")
    field = vector_field(plant, plant, plant.data_bounds[:, [2, 3]], states=(2, 3))
    state = plant.cost.target[0].clone()
    state[2], state[3] = field.x[3], field.y[5]
    rest = torch.tensor([5.0, 0.0], dtype=torch.float64)  # 0 is out of bounds for the flow
    np.testing.assert_allclose(
        field.true[5, 3], ((plant.step(state, rest) - state) / plant.dt)[2:], rtol=1e-9
    )
    np.testing.assert_array_equal(field.error, 0.0)


def test_paths_of_a_turning_angle_are_seen_whole_in_the_box(pendulum):
    run = made_up_run(pendulum, loops=1)
    figure = draw_phase(pendulum, pendulum, (run, run))
    assert "rates under torque 0 N m" in [text.get_text() for text in figure.legends[0].get_texts()]
    paths = [line.get_xdata() for line in lines_of(figure.axes[0], "#0072B2") if len(line.get_xdata()) > 1]
    # from π on to 2π: outside the box of -π to π as it is, inside a turn below
    inside = [np.abs(path) <= np.pi + 1e-9 for path in paths]
    assert np.any(inside, axis=0).all()


def test_an_animation_has_a_frame_a_step_and_is_small(pendulum, tmp_path):
    run = made_up_run(pendulum)
    loops = [ShownLoop(label="worst", run=run), ShownLoop(label="best", run=run, loop=1)]
    path = tmp_path / "swing.gif"
    write_animation(path, pendulum, loops, ahead=2)
    with Image.open(path) as picture:
        assert picture.n_frames == STEPS + 1
        assert picture.info["duration"] == 50
        first = np.asarray(picture.convert("RGB"))
        picture.seek(6)
        assert (np.asarray(picture.convert("RGB")) != first).any()
    assert path.stat().st_size < 200_000


def test_what_cannot_be_drawn_is_refused(pendulum, tmp_path):
    run = made_up_run(pendulum)
    shown = ShownLoop(label="dreg", run=run)
    path = tmp_path / "swing.gif"
    with pytest.raises(InputError, match="loop"):
        ShownLoop(label="dreg", run=run, loop=2)
    with pytest.raises(InputError, match="plans"):
        ShownLoop(label="dreg", run=replace(run, plans=None))
    with pytest.raises(InputError, match="every"):
        draw_trajectories(pendulum, [shown], every=0)
    with pytest.raises(InputError, match="states"):
        draw_phase(pendulum, pendulum, (run, run), states=(1, 1))
    with pytest.raises(InputError, match="ahead"):
        write_animation(path, pendulum, [shown], ahead=HORIZON + 1)
    with pytest.raises(InputError, match="loops"):
        write_animation(path, pendulum, [shown] * 3)
    with pytest.raises(InputError, match="plant"):
        write_animation(path, make_plant("cstr"), [shown])
    assert not path.exists()

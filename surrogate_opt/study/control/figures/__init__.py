"""Pictures of closed loops: trajectories with their plans, phase portraits, the pendulum moving."""

from surrogate_opt.study.control.figures.animation import write_animation
from surrogate_opt.study.control.figures.phase import draw_phase, phase_plane
from surrogate_opt.study.control.figures.shown_loop import ShownLoop
from surrogate_opt.study.control.figures.trajectories import draw_trajectories

__all__ = ["ShownLoop", "draw_phase", "draw_trajectories", "phase_plane", "write_animation"]

"""Runs the same loop on surrogates and on the truth, and hands the paths to the diagnostics.

What depends on the truth alone (its optimum, scale, step size and own paths) is measured once and shared by
every surrogate that stands in for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters import as_differentiable
from surrogate_opt.data import check_seed
from surrogate_opt.diagnostics import (
    GhostSignal,
    LoopEvidence,
    evaluate_along,
    evaluate_values,
    ghost_signal_of_each,
    output_scale,
    phantom_optima,
    sobol_points,
    start_sensitivity,
)
from surrogate_opt.diagnostics.evaluate import find_bounds
from surrogate_opt.errors import InputError
from surrogate_opt.loops import (
    AdamConfig,
    DescentConfig,
    LBFGSBConfig,
    adam,
    gradient_descent,
    lbfgsb,
    lipschitz_step,
)
from surrogate_opt.types import Differentiable, GradientSource, Trajectories

LoopMethod = Literal["adam", "gradient_descent", "lbfgsb"]

START_CHANGE = 1e-3  # of the box's width, root mean square over the inputs
NEIGHBOURHOOD = 0.1  # of the box's width, to each side of an end point
NUM_LOCAL_STARTS = 4
NUM_SEARCH_STARTS = 512
NUM_BOX_POINTS = 2048


@dataclass(frozen=True, kw_only=True)
class TruthReference:
    """A truth with all that comparisons against it need.

    Attributes:
        truth: values and gradients.
        bounds: ``(2, d)``, raw units.
        starts: where every loop begins, ``(n, d)``, raw units.
        moved_starts: the same a little aside, for the sensitivity to the start.
        scale: the truth's standard deviation over the box.
        optimum: the known optimum, or the best of a heavy search.
        step_size: 1 / L of the truth, for plain gradient descent.
        num_steps: most steps of a loop.
        seed: of starts and of local searches.
    """

    truth: Differentiable
    bounds: Float[Tensor, "2 d"]
    starts: Float[Tensor, "n d"]
    moved_starts: Float[Tensor, "n d"]
    scale: float
    optimum: float
    step_size: float
    num_steps: int
    seed: int
    _paths: dict[tuple[str, bool], Trajectories] = field(default_factory=dict)

    @classmethod
    def of(
        cls, truth: Any, *, bounds: Any = None, num_starts: int = 64, num_steps: int = 200, seed: int = 0
    ) -> TruthReference:
        """Measure a truth; the ``optimal_value`` of a BoTorch problem that is minimized is taken over.

        Raises:
            InputError: no bounds, or a truth that is constant or not finite.
        """
        box = find_bounds(bounds, truth)
        followed = as_differentiable(truth, bounds=box)
        scale = output_scale(followed, box)
        starts = sobol_points(box, num_starts, seed)
        generator = torch.Generator().manual_seed(seed)
        direction = torch.randn(starts.shape, generator=generator, dtype=torch.float64)
        direction *= START_CHANGE / direction.square().mean(-1, keepdim=True).sqrt()
        reference = cls(
            truth=followed,
            bounds=box,
            starts=starts,
            moved_starts=(starts + direction * (box[1] - box[0])).clamp(box[0], box[1]),
            scale=scale,
            optimum=_known_or_searched(truth, followed, box, scale, seed),
            step_size=lipschitz_step(followed, box, scale=scale, seed=seed),
            num_steps=num_steps,
            seed=seed,
        )
        return reference

    def path(self, method: LoopMethod, *, moved: bool = False) -> Trajectories:
        """The truth's own loop from the (moved) starts, run once."""
        key = (method, moved)
        if key not in self._paths:
            self._paths[key] = self.follow(self.truth, method, self.moved_starts if moved else self.starts)
        return self._paths[key]

    def follow(
        self, model: Differentiable, method: LoopMethod, starts: Float[Tensor, "*batch n d"]
    ) -> Trajectories:
        """Run a loop with the settings that all models of this truth share."""
        if method == "adam":
            config = AdamConfig(steps=self.num_steps)
            return adam(model, starts, self.bounds, config, scale=self.scale)
        if method == "gradient_descent":
            descent = DescentConfig(step_size=self.step_size, steps=self.num_steps)
            return gradient_descent(model, starts, self.bounds, descent, scale=self.scale)
        return lbfgsb(
            model, starts, self.bounds, LBFGSBConfig(max_steps=self.num_steps // 2), scale=self.scale
        )


def _known_or_searched(
    truth: Any, followed: Differentiable, box: Float[Tensor, "2 d"], scale: float, seed: int
) -> float:
    known = getattr(truth, "optimal_value", None)
    if known is not None and getattr(truth, "is_minimization_problem", True):
        return float(known)
    starts = sobol_points(box, NUM_SEARCH_STARTS, seed + 1)
    values = lbfgsb(followed, starts, box, LBFGSBConfig(max_steps=200), scale=scale).end_value
    return float(values[values.isfinite()].min())


def ghost_signals(
    model: Differentiable,
    num_surrogates: int,
    reference: TruthReference,
    method: LoopMethod,
    *,
    thorough: bool = True,
) -> list[GhostSignal]:
    """The ghost signal of every surrogate in a model that holds C of them.

    Args:
        model: x of shape ``(C, n, d)`` gives values ``(C, n)``.
        num_surrogates: C.
        reference: the truth they stand in for.
        method: the loop.
        thorough: also search around the end points (phantom optima) and repeat from moved starts.
    """
    bounds, scale = reference.bounds, reference.scale
    starts = reference.starts.expand(num_surrogates, -1, -1)
    paths = reference.follow(model, method, starts)
    own = reference.path(method)
    phantoms = sensitivity = None
    if thorough:
        ends = torch.where(paths.failed[..., None], paths.start, paths.end)
        phantoms = phantom_optima(
            local_falls(reference.truth, ends, reference) / scale, local_falls(model, ends, reference) / scale
        )
        moved = reference.follow(model, method, reference.moved_starts.expand(num_surrogates, -1, -1))
        sensitivity = start_sensitivity(
            paths.end, moved.end[None], own.end, reference.path(method, moved=True).end[None], bounds
        )
    box = sobol_points(bounds, NUM_BOX_POINTS, reference.seed)
    return ghost_signal_of_each(
        LoopEvidence(
            surrogate=paths,
            truth_along=evaluate_along(reference.truth, paths.x),
            truth=own,
            optimum=min(reference.optimum, float(own.end_value.min())),
            scale=scale,
            bounds=bounds,
            box_mean_truth=float(evaluate_values(reference.truth, box).mean()),
            box_mean_surrogate=evaluate_values(model, box.expand(num_surrogates, -1, -1)).mean(-1),
            phantom_optima=phantoms,
            start_sensitivity=sensitivity,
        )
    )


def ghost_signal(
    model: Any,
    truth: Any,
    *,
    method: str = "adam",
    starts: int = 64,
    seed: int = 0,
    bounds: Any = None,
) -> GhostSignal:
    """Follow a surrogate and its truth from the same starts, and say what following the surrogate cost.

    Args:
        model: a surrogate, or anything that ``as_differentiable`` takes.
        truth: likewise; a BoTorch test function brings its bounds and optimum along.
        method: "adam", "gradient_descent" (its step set on the truth) or "lbfgsb".
        starts: how many, spread by a scrambled Sobol sequence.
        seed: of the starts.
        bounds: ``(2, d)``, raw units; by default the truth's or the model's own.

    Returns:
        Regrets, optimism and the rest, in standard deviations of the truth over the box.

    Raises:
        InputError: an argument that cannot be used.
    """
    if method not in get_args(LoopMethod):
        raise InputError(f"method: expected one of {', '.join(get_args(LoopMethod))}, got {method!r}")
    check_seed(seed)
    if starts < 1:
        raise InputError(f"starts: expected 1 or more, got {starts}")
    box = find_bounds(bounds, truth, model)
    reference = TruthReference.of(truth, bounds=box, num_starts=starts, seed=seed)
    followed = as_differentiable(model, bounds=box)
    return ghost_signals(followed, 1, reference, method)[0]  # type: ignore[arg-type]  # checked above


def local_falls(
    model: Differentiable, ends: Float[Tensor, "surrogates n d"], reference: TruthReference
) -> Float[Tensor, "surrogates n"]:
    """How far a model falls from each end point within the neighbourhood, raw units.

    Adam from the end point itself and from random places around it; the lowest value on any path counts.
    """
    reach = NEIGHBOURHOOD * (reference.bounds[1] - reference.bounds[0])
    generator = torch.Generator().manual_seed(reference.seed)
    stack, num_ends, dim = ends.shape
    offsets = torch.rand(1, num_ends, NUM_LOCAL_STARTS, dim, generator=generator, dtype=torch.float64)
    offsets = (2.0 * offsets - 1.0) * reach
    offsets[:, :, 0] = 0.0
    offsets = offsets.expand(stack, -1, -1, -1).reshape(stack, -1, dim)
    centres = ends.repeat_interleave(NUM_LOCAL_STARTS, dim=1)
    paths = adam(
        _Around(model, centres, reference.bounds),
        offsets,
        torch.stack([-reach, reach]),
        AdamConfig(steps=25, learning_rate=0.1),
        scale=reference.scale,
    )
    lowest = paths.value.amin(0).view(stack, num_ends, NUM_LOCAL_STARTS).amin(-1)
    at_end = paths.value[0].view(stack, num_ends, NUM_LOCAL_STARTS)[..., 0]
    return at_end - lowest


@dataclass(frozen=True)
class _Around:
    """A model as a function of the offset from given centres, kept inside the box."""

    model: Differentiable
    centres: Tensor
    bounds: Tensor

    @property
    def gradient_source(self) -> GradientSource:
        return self.model.gradient_source

    def value(self, x: Tensor) -> Tensor:
        return self.model.value(self._place(x))

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.value_and_gradient(self._place(x))

    def _place(self, offset: Tensor) -> Tensor:
        return (self.centres + offset).clamp(self.bounds[0], self.bounds[1])

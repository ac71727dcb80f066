"""Looks for the two-input slice that shows best which surrogate misleads, and runs loops on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.data import Scaling
from surrogate_opt.diagnostics import output_scale, sobol_points
from surrogate_opt.loops import AdamConfig, adam
from surrogate_opt.networks import StackedMLP
from surrogate_opt.study.cell import NUM_MEMBERS, NUM_POINTS, instance_of
from surrogate_opt.study.ensembles import EnsembleBatch
from surrogate_opt.study.spec import Cell, StudySpec
from surrogate_opt.study.tables import StudyData
from surrogate_opt.types import Differentiable

NUM_TRIED = 4  # instances that are searched
COARSE, FINE, ARROWS = 17, 61, 12  # points of a side
STARTS_OF_A_SIDE = 3
MIN_R2 = 0.5
_CAP = 3.0  # standard deviations: beyond, more does not show it any better


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two surrogates of one instance: one that misleads, one that does not (or less).

    Attributes:
        family: of the instance.
        instance: its seed.
        misleading: method of the one with the larger regret and optimism.
        faithful: method of the one with the least regret.
        r2: held-out R^2 of both.
        contrast: difference of regrets and optimisms, standard deviations of the truth.
    """

    family: str
    instance: int
    misleading: str
    faithful: str
    r2: tuple[float, float]
    contrast: float


@dataclass(frozen=True, kw_only=True)
class GhostSlice:
    """A slice of an instance with the loops on it; values in standard deviations, 0 the truth's mean.

    The first axis of the fields is the truth, the misleading and the faithful surrogate.

    Attributes:
        pair: whose slice it is.
        inputs: the two inputs that vary, from 0.
        fixed: the point that the slice goes through, ``(d,)``, raw units.
        grid: places of a side, ``(2, FINE)``, raw units.
        values: ``(3, FINE, FINE)``, rows along the second input.
        arrow_grid: places of a side, ``(2, ARROWS)``, raw units.
        descent: minus the gradient, box widths of the two inputs, ``(3, ARROWS, ARROWS, 2)``.
        paths: ``(3, steps + 1, n, 2)``, raw units.
        promised: each model's own value along its paths, ``(3, steps + 1, n)``.
        got: the truth's value along them, ``(3, steps + 1, n)``.
    """

    pair: Pair
    inputs: tuple[int, int]
    fixed: Float[Tensor, " d"]
    grid: Float[Tensor, "2 fine"]
    values: Float[Tensor, "3 fine fine"]
    arrow_grid: Float[Tensor, "2 arrows"]
    descent: Float[Tensor, "3 arrows arrows 2"]
    paths: Float[Tensor, "3 steps n 2"]
    promised: Float[Tensor, "3 steps n"]
    got: Float[Tensor, "3 steps n"]

    def selected(self, model: int) -> int:
        """The loop whose end point a user of this model would take."""
        return int(self.promised[model, -1].argmin())

    def outcome(self, model: int) -> tuple[float, float]:
        """Promised and true value at the selected end point."""
        loop = self.selected(model)
        return float(self.promised[model, -1, loop]), float(self.got[model, -1, loop])


def find_ghost_slice(data: StudyData) -> GhostSlice | None:
    """The clearest slice among the pairs with the greatest contrast; None where there is no pair."""
    if data.spec.dim < 2:
        return None
    found = [_search(data.spec, pair, data) for pair in _pairs(data)[:NUM_TRIED]]
    if not found:
        return None
    _, scene, inputs, fixed = max(found, key=lambda one: one[0])
    return scene.follow(inputs, fixed)


def _pairs(data: StudyData) -> list[Pair]:
    """One pair an instance, the greatest contrast first; able and sound surrogates before others."""
    loop = data.spec.loops[0]
    regret, optimism = f"{loop}.regret_selected", f"{loop}.optimism"
    rows = data.at("chosen").dropna(subset=[regret, optimism])
    stored = [
        f"{method}.parameters" in data.arrays[family, instance]
        for family, instance, method in zip(rows["family"], rows["instance"], rows["method"], strict=True)
    ]
    rows = rows[stored]
    able = rows[(rows["degeneracy.kind"] == "sound") & (rows["degeneracy.r2"] >= MIN_R2)]
    return _contrasts(able, regret, optimism) or _contrasts(rows, regret, optimism)


def _contrasts(rows: pd.DataFrame, regret: str, optimism: str) -> list[Pair]:
    pairs = []
    for _, group in rows.groupby(["family", "instance"], sort=False):
        misled = group[regret].clip(upper=_CAP) + group[optimism].clip(upper=_CAP)
        worst, best = int(misled.to_numpy().argmax()), int(group[regret].to_numpy().argmin())
        if worst == best:
            continue
        pairs.append(
            Pair(
                family=str(group["family"].iloc[0]),
                instance=int(group["instance"].iloc[0]),
                misleading=str(group["method"].iloc[worst]),
                faithful=str(group["method"].iloc[best]),
                r2=(float(group["degeneracy.r2"].iloc[worst]), float(group["degeneracy.r2"].iloc[best])),
                contrast=float(misled.iloc[worst] - misled.iloc[best]),
            )
        )
    return sorted(pairs, key=lambda pair: -pair.contrast)


@dataclass(frozen=True)
class _Scene:
    """An instance's truth and its two surrogates, and how to bring their values to one unit."""

    pair: Pair
    truth: Differentiable
    batch: EnsembleBatch
    bounds: Tensor
    scale: float
    mean: float
    seed: int
    num_steps: int

    def normalized(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.scale

    def values(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "3 n"]:
        """Truth and both surrogates."""
        return self.normalized(torch.cat([self.truth.value(x)[None], self.batch.value(x.expand(2, -1, -1))]))

    def gradients(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "3 n d"]:
        """In normalized units."""
        surrogates = self.batch.value_and_gradient(x.expand(2, -1, -1))[1]
        raw = torch.cat([self.truth.value_and_gradient(x)[1][None], surrogates])
        return raw * (self.bounds[1] - self.bounds[0]) / self.scale

    def selected_end(self, num_starts: int) -> Float[Tensor, " d"]:
        """Where a user of the misleading surrogate would end, as the study found it."""
        starts = sobol_points(self.bounds, num_starts, self.seed).expand(2, -1, -1)
        config = AdamConfig(steps=self.num_steps)
        paths = adam(self.batch, starts, self.bounds, config, scale=self.scale)
        return paths.end[0, paths.end_value[0].argmin()]

    def places(self, inputs: tuple[int, int], fixed: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """A square grid on the slice.

        Args:
            inputs: the two that vary.
            fixed: the point that the slice goes through, ``(d,)``.
            share: where the grid's places lie between the bounds, 0 to 1, ``(side,)``.

        Returns:
            The places along both inputs, ``(2, side)``; the points, the second input slow, ``(side^2, d)``.
        """
        axes = torch.stack([torch.lerp(self.bounds[0, i], self.bounds[1, i], share) for i in inputs])
        points = fixed.expand(len(share), len(share), -1).clone()
        points[..., inputs[0]] = axes[0][None, :]
        points[..., inputs[1]] = axes[1][:, None]
        return axes, points.reshape(len(share) ** 2, -1)

    def follow(self, inputs: tuple[int, int], fixed: Tensor) -> GhostSlice:
        """Everything that the picture shows."""
        grid, points = self.places(inputs, fixed, _edges(FINE))
        arrow_grid, arrow_points = self.places(inputs, fixed, _middles(ARROWS))
        starts = self.places(inputs, fixed, _middles(STARTS_OF_A_SIDE))[1]
        thin = fixed.expand(2, -1).clone()
        thin[:, list(inputs)] = self.bounds[:, list(inputs)]
        config = AdamConfig(steps=self.num_steps)
        own = adam(self.truth, starts, thin, config, scale=self.scale)
        theirs = adam(self.batch, starts.expand(2, -1, -1), thin, config, scale=self.scale)
        x = torch.cat([own.x[None], theirs.x.movedim(1, 0)])
        promised = torch.cat([own.value[None], theirs.value.movedim(1, 0)])
        return GhostSlice(
            pair=self.pair,
            inputs=inputs,
            fixed=fixed,
            grid=grid,
            values=self.values(points).view(3, FINE, FINE),
            arrow_grid=arrow_grid,
            descent=-self.gradients(arrow_points)[..., list(inputs)].view(3, ARROWS, ARROWS, 2),
            paths=x[..., list(inputs)],
            promised=self.normalized(promised),
            got=self.normalized(self.truth.value(x)),
        )


def _edges(side: int) -> Float[Tensor, " side"]:
    """Equal steps from bound to bound."""
    return torch.linspace(0.0, 1.0, side, dtype=torch.float64)


def _middles(side: int) -> Float[Tensor, " side"]:
    """The middles of equal parts."""
    return (torch.arange(side, dtype=torch.float64) + 0.5) / side


def _search(
    spec: StudySpec, pair: Pair, data: StudyData
) -> tuple[float, _Scene, tuple[int, int], Float[Tensor, " d"]]:
    """The clearest slice of a pair: its score, the scene, the inputs, and the point it goes through."""
    scene = _build(spec, pair, data)
    fixed = scene.selected_end(spec.starts)
    slices = list(combinations(range(spec.dim), 2))
    points = torch.cat([scene.places(inputs, fixed, _edges(COARSE))[1] for inputs in slices])
    values = scene.values(points).view(3, len(slices), -1)
    scores = _clarity(values)
    best = int(scores.argmax())
    return float(scores[best]), scene, slices[best], fixed


def _clarity(values: Float[Tensor, "3 slices n"]) -> Float[Tensor, " slices"]:
    """How far the misleading surrogate's lowest place misleads, less the same of the faithful one."""
    truth, lowest = values[0], values.argmin(-1)
    promised = values.gather(-1, lowest[..., None])[..., 0]
    got = truth.expand_as(values).gather(-1, lowest[..., None])[..., 0]
    regret, gap = got - truth.amin(-1), got - promised
    return regret[1].clamp(max=_CAP) + gap[1].clamp(max=_CAP) - 2.0 * regret[2] - gap[2].abs()


def _build(spec: StudySpec, pair: Pair, data: StudyData) -> _Scene:
    cell = Cell(spec=spec, family=pair.family, instance=pair.instance)
    truth, _, y = instance_of(cell)
    arrays = data.arrays[pair.family, pair.instance]
    sizes = (spec.dim, *spec.hidden, 1)
    stacks = []
    for method in (pair.misleading, pair.faithful):
        stack = StackedMLP(sizes, NUM_MEMBERS, spec.activation, dtype=torch.float64)
        stack.flat.copy_(arrays[f"{method}.parameters"])
        stacks.append(stack)
    bounds = truth.bounds.double()
    return _Scene(
        pair=pair,
        truth=truth,
        batch=EnsembleBatch(StackedMLP.concatenate(stacks), NUM_MEMBERS, Scaling.from_data(bounds, y)),
        bounds=bounds,
        scale=output_scale(truth, bounds),
        mean=float(truth.value(sobol_points(bounds, NUM_POINTS, cell.seed)).mean()),
        seed=cell.seed,
        num_steps=spec.loop_steps,
    )

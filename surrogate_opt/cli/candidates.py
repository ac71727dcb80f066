"""Candidates from minimize, described for an engineer: what each promises and what speaks against it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float
from rich.console import Console
from torch import Tensor

from surrogate_opt.adapters import as_box
from surrogate_opt.auditing.density import reach_of
from surrogate_opt.cli.console import make_table, number, print_wrapped
from surrogate_opt.loops import Candidates
from surrogate_opt.surrogate import Surrogate

LEVEL = 0.9
MIN_DISTANCE = 0.1  # root mean square over the free inputs, in widths of the box
_COLUMNS_PER_TABLE = 5
_AT_BOUND = 1e-6  # of the box's width


@dataclass(frozen=True, kw_only=True, eq=False)
class Described:
    """Candidates with all that speaks for or against them; k of them, best first.

    Attributes:
        surrogate: what they were found on.
        maximize: whether the largest value is best.
        x: ``(k, d)``, raw units.
        value: predictions, ``(k,)``.
        lower: lower ends of the CV+ interval, ``(k,)``.
        upper: upper ends.
        distance: to the nearest training row, share of the box's diagonal, ``(k,)``; NaN without data.
        reach: the distance beyond which a point lies outside the data; NaN without data.
        outside_range: inputs beyond the smallest box around the data, ``(k, d)``; none without data.
        at_bound: free inputs at a bound of the searched box, ``(k, d)``.
        observed: the best row's inputs, ``(d,)``; None without data.
        observed_value: its target, raw units.
        observed_inside: whether that row lies in the searched box; where none does, it is the best of all.
            None where the model file holds no rows.
        loops: what found each: "free", or the guard's name.
    """

    surrogate: Surrogate
    maximize: bool
    x: Float[Tensor, "k d"]
    value: Float[Tensor, " k"]
    lower: Float[Tensor, " k"]
    upper: Float[Tensor, " k"]
    distance: Float[Tensor, " k"]
    reach: float
    outside_range: Bool[Tensor, "k d"]
    at_bound: Bool[Tensor, "k d"]
    observed: Float[Tensor, " d"] | None
    observed_value: float
    observed_inside: bool | None
    loops: tuple[str, ...]

    @property
    def outside_data(self) -> Bool[Tensor, " k"]:
        """Farther from the data than data lie from each other, or beyond their range."""
        return (self.distance > self.reach) | self.outside_range.any(1)

    @property
    def has_data(self) -> bool:
        """Whether the model file says where its data lie."""
        return math.isfinite(self.reach)


def describe_candidates(
    surrogate: Surrogate, candidates: Candidates, bounds: Any, *, maximize: bool, loops: Sequence[str]
) -> Described:
    """Gather what the model file knows about the candidates.

    Args:
        surrogate: the model.
        candidates: from ``MinimizeResult.candidates``.
        bounds: the searched box with fixed inputs at zero width, ``(2, d)``.
        maximize: whether the largest value is best.
        loops: what found each candidate: "free", or a guard's name.
    """
    x, box = torch.as_tensor(candidates.x), torch.as_tensor(bounds)
    lower, upper = surrogate.interval(x, LEVEL)
    width = box[1] - box[0]
    slack = _AT_BOUND * width
    at_bound = ((x <= box[0] + slack) | (x >= box[1] - slack)) & (width > 0)
    data, record = surrogate.record.x, surrogate.record
    outside = torch.zeros_like(at_bound)
    observed, inside = None, torch.ones(len(record.target), dtype=torch.bool)
    target = record.target
    if len(data):
        own_slack = _AT_BOUND * (surrogate.bounds[1] - surrogate.bounds[0])
        outside = (x < data.amin(0) - own_slack) | (x > data.amax(0) + own_slack)
        inside = ((data >= box[0] - own_slack) & (data <= box[1] + own_slack)).all(1)
        target = record.target[record.rows]
    usable = inside if bool(inside.any()) else torch.ones_like(inside)
    sign = -1.0 if maximize else 1.0
    best = int(torch.where(usable, sign * target, torch.inf).argmin())
    if len(data):
        observed = data[best]
    return Described(
        surrogate=surrogate,
        maximize=maximize,
        x=x,
        value=torch.as_tensor(candidates.value),
        lower=lower,
        upper=upper,
        distance=surrogate.distance_to_data(x),
        reach=reach_of(data, surrogate.bounds) if len(data) else float("nan"),
        outside_range=outside,
        at_bound=at_bound,
        observed=observed,
        observed_value=float(target[best]),
        observed_inside=bool(inside.any()) if len(data) else None,
        loops=tuple(loops),
    )


def join_candidates(first: Candidates, more: Candidates, bounds: Any, num: int) -> Candidates:
    """Append candidates that lie a tenth of the box or more from all before them, up to ``num`` in all."""
    box = as_box(bounds)
    x, value, start = list(first.x), list(first.value), list(first.start)
    for point, its_value, its_start in zip(more.x, more.value, more.start, strict=True):
        near = box.to_unit(torch.stack([torch.as_tensor(other) for other in [*x, point]]))
        distances = ((near[:-1] - near[-1]).square().sum(-1) / max(1, int(box.free.sum()))).sqrt()
        if len(x) < num and bool((distances >= MIN_DISTANCE).all()):
            x, value, start = [*x, point], [*value, its_value], [*start, its_start]
    if not x:
        return first
    return Candidates(
        x=torch.stack([torch.as_tensor(point) for point in x]),
        value=torch.tensor([float(each) for each in value], dtype=torch.float64),
        start=tuple(start),
    )


def to_csv(found: Described) -> str:
    """The candidates as a table: inputs under their names, then figures and warnings."""
    surrogate = found.surrogate
    target = surrogate.target_name
    columns: dict[str, Any] = {
        name: found.x[:, column].numpy() for column, name in enumerate(surrogate.feature_names)
    }
    columns |= {
        f"predicted_{target}": found.value.numpy(),
        "interval_90_lower": found.lower.numpy(),
        "interval_90_upper": found.upper.numpy(),
        "distance_to_data": found.distance.numpy(),
        "found": found.loops,
        "outside_data": found.outside_data.tolist() if found.has_data else "unknown",
        "at_bound": [_joined(surrogate.feature_names, row) for row in found.at_bound],
    }
    buffer = io.StringIO()
    numbers = range(1, len(found.x) + 1)
    pd.DataFrame(columns, index=numbers).to_csv(buffer, index_label="candidate")
    return buffer.getvalue()


def print_candidates(console: Console, found: Described) -> None:
    """Print the candidates as columns, the best observed row beside them, and the warnings."""
    if not len(found.x):
        console.print("No candidate: no loop ended at a finite value.")
        return
    for first in range(0, len(found.x), _COLUMNS_PER_TABLE):
        _print_columns(console, found, range(first, min(first + _COLUMNS_PER_TABLE, len(found.x))))
    console.print(
        " interval: CV+, for a new measurement; distance: to the nearest training row, share of the\n"
        " box's diagonal; ^ at a bound; * outside the data's range",
        style="dim",
    )
    for warning in warnings_of(found):
        print_wrapped(console, warning, label="Warning: ", style="yellow")
    print_wrapped(console, compare_with_observed(found), label="")


def _print_columns(console: Console, found: Described, shown: range) -> None:
    sense = "largest" if found.maximize else "smallest"
    console.print(f"\nCandidates for the {sense} {found.surrogate.target_name}, best first", style="bold")
    table = make_table()
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=30)
    for k in shown:
        table.add_column(str(k + 1), justify="right", no_wrap=True)
    beside = found.observed is not None
    if beside:
        table.add_column("best row" if found.observed_inside else "best row (elsewhere)", justify="right")
    for column, name in enumerate(found.surrogate.feature_names):
        cells = [number(float(found.x[k, column])) + _flags(found, k, column) for k in shown]
        observed = [number(float(found.observed[column]))] if found.observed is not None else []
        table.add_row(name, *cells, *observed)
    table.add_section()
    table.add_row(
        "predicted", *(number(float(found.value[k])) for k in shown), *[number(found.observed_value)] * beside
    )
    for label, ends in (("90% interval from", found.lower), ("to", found.upper)):
        table.add_row(label, *(number(float(ends[k])) for k in shown))
    if len(set(found.loops)) > 1:
        table.add_row("found", *(found.loops[k].replace("_", " ") for k in shown))
    table.add_row("distance to data", *(number(float(found.distance[k]), 2) for k in shown))
    table.add_row("outside the data", *(_yes_or_no(found, k) for k in shown))
    console.print(table)


def _yes_or_no(found: Described, k: int) -> str:
    if not found.has_data:
        return "unknown"
    return "YES" if bool(found.outside_data[k]) else "no"


def _flags(found: Described, k: int, column: int) -> str:
    return ("^" if bool(found.at_bound[k, column]) else "") + (
        "*" if bool(found.outside_range[k, column]) else ""
    )


def warnings_of(found: Described) -> list[str]:
    """What speaks against the candidates, one line for each kind."""
    names, lines = found.surrogate.feature_names, []
    if not found.has_data:
        lines.append("the model file holds no data, so nobody knows whether a candidate lies outside them")
    far = [str(k + 1) for k in range(len(found.x)) if float(found.distance[k]) > found.reach]
    if far:
        lines.append(
            f"{_candidates(far)} outside the data: farther from any row than 95% of the rows are from "
            f"their nearest neighbour ({number(found.reach, 2)})"
        )
    for column in found.outside_range.any(0).nonzero()[:, 0].tolist():
        which = [str(k + 1) for k in found.outside_range[:, column].nonzero()[:, 0].tolist()]
        lines.append(f"{_candidates(which)} outside the data's range of {names[column]}")
    at_bound = found.at_bound.any(1).nonzero()[:, 0].tolist()
    if at_bound:
        inputs = _joined(names, found.at_bound.any(0))
        lines.append(
            f"{_candidates([str(k + 1) for k in at_bound])} at a bound ({inputs}): the optimum may lie beyond"
        )
    return lines


def compare_with_observed(found: Described) -> str:
    """The best candidate's promise against the best row."""
    sign = 1.0 if found.maximize else -1.0
    name, value = found.surrogate.target_name, float(found.value[0])
    gain = sign * (value - found.observed_value)
    safe_end = float((found.lower if found.maximize else found.upper)[0])
    where = {
        True: "in the searched box",
        False: "anywhere (none lies in the searched box)",
        None: "of the training data (where it lies the model file does not say)",
    }[found.observed_inside]
    text = f"Best row {where}: {name} {number(found.observed_value)}; candidate 1 promises {number(value)}"
    if gain <= 0:
        return f"{text}, no improvement."
    if bool(found.outside_data[0]):
        return (
            f"{text}. It lies outside the data, where neither the prediction nor the interval has been "
            "tested: stay near the data (--guard near_data), or measure there and fit again."
        )
    if sign * (safe_end - found.observed_value) > 0:
        return f"{text}, and the worse end of its interval, {number(safe_end)}, still improves on it."
    return (
        f"{text}, but its interval reaches {number(safe_end)}: the improvement is not certain. Measure it "
        "before you rely on it."
    )


def _candidates(which: list[str]) -> str:
    return f"candidate {which[0]} lies" if len(which) == 1 else f"candidates {', '.join(which)} lie"


def _joined(names: tuple[str, ...], marked: Bool[Tensor, " d"]) -> str:
    return ", ".join(name for name, mark in zip(names, marked.tolist(), strict=True) if mark)

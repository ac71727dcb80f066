"""audit: whether to trust a model's gradients and where not, from evidence that needs no truth."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from surrogate_opt.adapters import as_differentiable
from surrogate_opt.auditing.agreement import Agreement, member_agreement
from surrogate_opt.auditing.density import Density, measure_density
from surrogate_opt.auditing.directions import Directions, direction_test, wilson_interval
from surrogate_opt.auditing.findings import (
    COVERAGE_LEVEL,
    Coverage,
    Finding,
    judge_agreement,
    judge_coverage,
    judge_density,
    judge_directions,
    judge_skill,
    judge_tails,
    places_of_distrust,
)
from surrogate_opt.auditing.held_out import check_together, from_record, from_rows
from surrogate_opt.data import check_bounds, check_xy, data_bounds, thinned
from surrogate_opt.diagnostics import Degeneracy, Sensitivity, degeneracy, sensitivity, sobol_points
from surrogate_opt.diagnostics.sensitivity import LINEARITY_STEP
from surrogate_opt.errors import InputError
from surrogate_opt.surrogate import Surrogate
from surrogate_opt.types import DifferentiableEnsemble

NUM_POINTS = 1024
"""Sobol points of the box; shares of them are then known to about 0.03."""

_MARKS = {"good": "+", "caution": "!", "bad": "x", "unknown": "?"}
_WIDTH = 98


class Verdict(StrEnum):
    """Whether a loop may follow the gradients."""

    TRUST = "trust"
    CARE = "trust with care"
    DO_NOT = "do not trust"


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The verdict with its evidence.

    Attributes:
        verdict: "do not trust" where one finding is bad, "trust" where all are good (of agreement and
            direction, one may be unknown), else "trust with care".
        where_not: regions and inputs where the gradients are not to be followed, in words.
        findings: the evidence in words, each with its grade.
        source: "out of fold" or "hold-out".
        num_rows: rows of that evidence.
        notes: what a reader has to know of them.
        skill: R^2, and against a plane.
        agreement_in_box: of the members' gradients over the box; None without members.
        agreement_at_data: the same at the data.
        directions: the direction test; None without inputs.
        density: how the data fill the box; None without inputs.
        tails: sensitivity over the box, outputs in standard deviations of the target.
        coverage: of CV+ intervals on hold-out rows; None where not measured.
    """

    verdict: Verdict
    where_not: tuple[str, ...]
    findings: tuple[Finding, ...]
    source: str
    num_rows: int
    notes: tuple[str, ...]
    skill: Degeneracy
    agreement_in_box: Agreement | None
    agreement_at_data: Agreement | None
    directions: Directions | None
    density: Density | None
    tails: Sensitivity
    coverage: Coverage | None

    def summary(self) -> str:
        """The report as text, at most 98 columns wide."""
        lines = [f"Gradients: {self.verdict.upper()}   ({self.source}, {self.num_rows} rows)", ""]
        for finding in self.findings:
            lines += _wrapped(f"{_MARKS[finding.grade]} {finding.topic:<10} ", finding.sentence)
        if self.where_not:
            lines += ["", "Where not to follow them:"]
            for place in self.where_not:
                lines += _wrapped("  - ", place)
        for note in self.notes:
            lines += _wrapped("Note: ", f"{note}.")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values for JSON; numbers that are not finite become None."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def audit(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    bounds: Any = None,
    seed: int = 0,
    feature_names: Sequence[str] | None = None,
) -> AuditReport:
    """Say whether a model's gradients can be trusted, and where not.

    No truth is needed: the evidence is held-out skill against a plane, agreement of the members' gradients,
    the sign of ghat.(x_j - x_i) against y_j - y_i on neighbouring rows that were held out, the density of
    data, the gradients' tails, and the coverage of intervals.

    Args:
        model: a ``Surrogate``, or anything that ``adapters.as_differentiable`` takes.
        x: hold-out inputs, ``(n, d)``, raw units; a ``Surrogate`` without them is judged by its own
            out-of-fold record.
        y: their targets, ``(n,)``.
        bounds: the box, ``(2, d)``; default the model's, else the range of x.
        seed: of the points in the box.
        feature_names: names of the inputs; default the model's, else x0, x1, ...

    Raises:
        InputError: x or y is missing or cannot be used, or bounds make no sense.

    Example:
        >>> report = audit(surrogate)
        >>> print(report.summary())
    """
    check_together(x, y)
    if x is None and not isinstance(model, Surrogate):
        raise InputError(f"x: expected hold-out rows to judge a {type(model).__name__} by; came none")
    rows = None if x is None else check_xy(x, y, vary=False)
    box = _box(model, bounds, None if rows is None else rows[0])
    dim = box.shape[1]
    followed = as_differentiable(model, bounds=box)
    evidence = from_record(model) if rows is None else from_rows(followed, *rows, box, seed)
    names = _names(feature_names, model, dim)
    points = sobol_points(box, NUM_POINTS, seed)

    skill = degeneracy(evidence.target, evidence.predicted, evidence.linear)
    in_box = at_data = None
    if isinstance(followed, DifferentiableEnsemble):
        in_box = member_agreement(followed, points, box)
        if len(evidence.data):
            at_data = member_agreement(followed, thinned(evidence.data, NUM_POINTS), box)
    directions = direction_test(evidence)
    density = measure_density(evidence.data, box, points, names) if len(evidence.data) else None
    scale = float(evidence.target.std(correction=0))
    # Pulled in by the step of the linearity error, so that no model is asked about points outside its box.
    inner = torch.lerp(box.mean(0), points, 1 - 2 * LINEARITY_STEP)
    tails = sensitivity(followed, inner, bounds=box, scale=scale, seed=seed)
    coverage = _coverage(model, *rows) if rows is not None and isinstance(model, Surrogate) else None
    findings = [
        judge_skill(skill, evidence.source),
        judge_agreement(in_box, at_data),
        judge_directions(directions, evidence.source),
        judge_density(density, training=isinstance(model, Surrogate) and len(model.record.x) > 0),
        judge_tails(tails, getattr(model, "target_name", "the output")),
    ]
    if coverage is not None:
        findings.append(judge_coverage(coverage))
    return AuditReport(
        verdict=decide(findings),
        where_not=places_of_distrust(in_box, at_data, density, names),
        findings=tuple(findings),
        source=evidence.source,
        num_rows=len(evidence.target),
        notes=evidence.notes,
        skill=skill,
        agreement_in_box=in_box,
        agreement_at_data=at_data,
        directions=directions,
        density=density,
        tails=tails,
        coverage=coverage,
    )


def decide(findings: Sequence[Finding]) -> Verdict:
    """The verdict of some findings.

    One bad finding is enough for "do not trust". "trust" takes good ones throughout, and at least one of
    agreement and direction: the gradient itself must have been looked at.
    """
    grades = [finding.grade for finding in findings]
    if "bad" in grades:
        return Verdict.DO_NOT
    looked_at = [f for f in findings if f.topic in ("agreement", "direction") and f.grade == "good"]
    return Verdict.TRUST if "caution" not in grades and looked_at else Verdict.CARE


def _box(model: Any, bounds: Any, x: Float[Tensor, "n d"] | None) -> Float[Tensor, "2 d"]:
    """The bounds given, else the model's own, else the range of x."""
    dim = len(model.feature_names) if x is None else x.shape[1]
    own: Any = getattr(model, "bounds", None) if bounds is None else bounds
    return data_bounds(x) if own is None and x is not None else check_bounds(own, dim)


def _coverage(surrogate: Surrogate, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> Coverage:
    x, y = thinned(x, NUM_POINTS), thinned(y, NUM_POINTS)  # the cost is rows times training rows
    lower, upper = surrogate.interval(x, COVERAGE_LEVEL)
    share = float(((lower <= y) & (y <= upper)).double().mean())
    low, high = wilson_interval(share, len(y))
    return Coverage(level=COVERAGE_LEVEL, share=share, lower=low, upper=high, num_rows=len(y))


def _names(given: Sequence[str] | None, model: Any, dim: int) -> tuple[str, ...]:
    own = getattr(model, "feature_names", None)
    names = tuple(given or own or (f"x{column}" for column in range(dim)))
    if len(names) != dim:
        raise InputError(f"feature_names: expected {dim} names, got {len(names)}")
    return names


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=label, subsequent_indent=" " * len(label))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, StrEnum):
        return value.value
    return None if isinstance(value, float) and not math.isfinite(value) else value

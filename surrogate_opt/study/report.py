"""The report of a study: one self-contained page, and its pictures as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from surrogate_opt.study.claims import (
    SETTINGS,
    Evidence,
    dreg_claims,
    paired_figures,
    spikes,
    standing,
)
from surrogate_opt.study.figures import NUM_PICTURES, draw_pictures
from surrogate_opt.study.page import EmbeddedPicture, render_page, write_page
from surrogate_opt.study.reproduce import command
from surrogate_opt.study.tables import SETTING_NAMES, Setting, StudyData, loop_label
from surrogate_opt.study.terminal import terminal_tables
from surrogate_opt.study.text_tables import (
    TextTable,
    both_settings_table,
    comparison_texts,
    confounder_table,
    family_table,
    paired_table,
    verdicts_by_group,
)

__all__ = ["terminal_tables", "write_report"]

_TEMPLATE = "report.html.j2"


def write_report(
    data: StudyData,
    evidence: Evidence,
    folder: Path,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write ``report.html`` and ``figures/`` into a folder; the same data give the same bytes.

    Args:
        data: the study, complete or not.
        evidence: its comparisons.
        folder: made where it is not there.
        progress: called with the numbers of steps done and of all, after each.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written to.
    """
    return write_page(
        folder,
        draw_pictures(data),
        lambda pictures: render(data, evidence, pictures),
        num_pictures=NUM_PICTURES,
        progress=progress,
    )


def render(data: StudyData, evidence: Evidence, pictures: dict[str, EmbeddedPicture]) -> str:
    """The page.

    Args:
        data: the study.
        evidence: its comparisons.
        pictures: what is embedded, by the picture's name; those that are not there are left out.
    """
    words, toml = command(data.spec)
    spec = data.spec.model_dump(mode="json")
    return render_page(
        _TEMPLATE,
        spec=data.spec,
        fields={name: ", ".join(map(str, v)) if isinstance(v, list) else v for name, v in spec.items()},
        loop=loop_label(data.spec.loops[0]),
        num_cells=len(data.truths),
        wanted_cells=len(data.spec.cells()),
        headline=_headline(data, evidence),
        claims=_claims(data, evidence),
        spikes=spikes(data),
        summary=both_settings_table(data),
        family=family_table(data),
        family_verdicts={
            SETTING_NAMES[setting]: verdicts_by_group(
                evidence.by_family[setting], paired_figures(data.spec)[0], evidence.family_degenerate[setting]
            )
            for setting in SETTINGS
            if any(evidence.by_family[setting].values())
        },
        paired=_paired(data, evidence),
        confounders=confounder_table(data),
        sources=_sources(data),
        pictures=pictures,
        command=words,
        toml=toml,
    )


def _headline(data: StudyData, evidence: Evidence) -> dict[str, str]:
    """How the methods stand on the headline figure, by setting."""
    figure = paired_figures(data.spec)[0]
    return {
        SETTING_NAMES[setting]: standing(
            evidence.paired[setting][figure.column], evidence.degenerate[setting], figure.label
        )
        for setting in SETTINGS
    }


def _claims(data: StudyData, evidence: Evidence) -> list[dict[str, Any]]:
    """DREG's claims, each with its status and evidence at both settings."""
    by_setting: dict[Setting, Any] = {
        setting: dreg_claims(data.spec, evidence, setting) for setting in SETTINGS
    }
    return [
        {
            "text": claim.text,
            "settings": [
                {
                    "name": SETTING_NAMES[setting],
                    "status": by_setting[setting][place].status,
                    "parts": [
                        {
                            "label": part.figure.label,
                            "cells": comparison_texts(part.comparison, part.figure),
                            "verdict": part.comparison.verdict,
                            "status": part.status,
                        }
                        for part in by_setting[setting][place].parts
                    ],
                }
                for setting in SETTINGS
            ],
        }
        for place, claim in enumerate(by_setting["chosen"])
    ]


def _paired(data: StudyData, evidence: Evidence) -> list[tuple[str, list[TextTable]]]:
    """The tables of comparisons, both settings of a figure together."""
    return [
        (
            figure.label,
            [
                paired_table(
                    evidence.paired[setting][figure.column],
                    figure,
                    evidence.degenerate[setting],
                    f"at the {SETTING_NAMES[setting]} strength",
                )
                for setting in SETTINGS
            ],
        )
        for figure in paired_figures(data.spec)
        if evidence.paired["chosen"][figure.column]
    ]


def _sources(data: StudyData) -> str:
    """Where the optima come from."""
    counts = data.truths["optimum_source"].value_counts(sort=False)
    return ", ".join(f"{source} ({count})" for source, count in sorted(counts.items()))

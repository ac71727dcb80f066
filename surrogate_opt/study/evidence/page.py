"""The claims with their findings as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from surrogate_opt.study.evidence.claim import in_words
from surrogate_opt.study.evidence.contradictions import CONTRADICTIONS
from surrogate_opt.study.evidence.experiment import Experiment
from surrogate_opt.study.evidence.ledger import Standing
from surrogate_opt.study.evidence.untested import UNTESTED


def claims_page(standings: Mapping[Experiment, Standing], *, whole: bool = True) -> str:
    """The experiments' claims as a page.

    Args:
        standings: of the experiments, in the order of the page.
        whole: also what nothing tests and where the papers contradict themselves.
    """
    verdicts = Counter(finding.verdict for stands in standings.values() for finding in stands.findings)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    parts = [f"# What the papers claim\n\n{verdicts.total()} claims: {counted}."]
    parts += [_section(experiment, stands) for experiment, stands in standings.items()]
    if whole:
        listed = "\n".join(f"- {paper}: {text}" for paper, text in CONTRADICTIONS)
        parts += [_untested(), f"## Where the papers contradict themselves\n\n{listed}"]
    return "\n\n".join(parts) + "\n"


def _untested() -> str:
    lines = ["## What nothing here tests", "", "| claim | the source | why |", "|---|---|---|"]
    lines += [f"| {claim} | {paper}: {reported} | {why} |" for paper, claim, reported, why in UNTESTED]
    return "\n".join(lines)


def _section(experiment: Experiment, stands: Standing) -> str:
    found = {finding.claim: finding for finding in stands.findings}
    lines = [
        f"## {experiment.title}",
        "",
        f"`surrogate-opt reproduce {experiment.name}`: {experiment.protocol}",
    ]
    if stands.cuts:
        lines += ["", f"Not run at protocol; the figures keep to {stands.cuts}."]
    lines += ["", "| claim | the paper | ours, 95% interval | verdict |", "|---|---|---|---|"]
    for claim in experiment.claims:
        finding = found[claim.name]
        cells = (claim.statement, claim.reported, in_words(claim, finding), f"**{finding.verdict}**")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)

"""The claims with their findings as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from surrogate_opt.study.evidence.contradictions import CONTRADICTIONS
from surrogate_opt.study.evidence.experiment import Experiment
from surrogate_opt.study.evidence.ledger import Standing


def claims_page(standings: Mapping[Experiment, Standing]) -> str:
    """Every experiment with its protocol and a table of its claims, then the papers' contradictions."""
    verdicts = Counter(finding.verdict for stands in standings.values() for finding in stands.findings)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    parts = [f"# What the papers claim\n\n{verdicts.total()} claims: {counted}."]
    parts += [_section(experiment, stands) for experiment, stands in standings.items()]
    listed = "\n".join(f"- {paper}: {text}" for paper, text in CONTRADICTIONS)
    parts.append(f"## Where the papers contradict themselves\n\n{listed}")
    return "\n\n".join(parts) + "\n"


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
        ours = "; ".join(part for part in (finding.ours, finding.remark) if part)
        cells = (claim.statement, claim.reported, ours, f"**{finding.verdict}**")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)

"""What the comparisons say, in sentences about the reported problems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from surrogate_opt.study.bayesian.comparisons import (
    BARE,
    FIGURES,
    GP,
    HEADLINE,
    SOBOL,
    Findings,
    against,
)
from surrogate_opt.study.bayesian.problems import Half
from surrogate_opt.study.bayesian.summaries import problem_names
from surrogate_opt.study.bayesian.tables import BayesianStudyData
from surrogate_opt.study.statistics import Comparison, Verdict
from surrogate_opt.study.text_tables import number, span

_PENALTY_FIGURES = ("final_regret", "optimism_size", "phantom_share")
_NOTHING = "No reported problem is stored: there is no headline."


def verdict(data: BayesianStudyData, findings: Findings) -> list[str]:
    """Sentences on Sobol search, on the Gaussian process and on the penalties, from the reported half.

    Only where models are ahead of Sobol search is said of the tuning half too, after the others.

    Args:
        data: the study.
        findings: its comparisons.
    """
    tables = {name: findings.by_problem[name] for name in problem_names(data, "reported")}
    tuning = {name: findings.by_problem[name] for name in problem_names(data, "tuning")}
    headline = _headline(tables, findings, data.spec.default_model) if tables else [_NOTHING]
    return [sentence for sentence in (*headline, _sobol_by_problem(tuning, "tuning")) if sentence]


def _headline(tables: dict[str, list[Comparison]], findings: Findings, default_model: str) -> list[str]:
    pooled = findings.pooled["reported"]
    return [
        _pooled_sobol(pooled[HEADLINE.column], len(tables)),
        _sobol_by_problem(tables, "reported"),
        _default_against_gp(tables, pooled[HEADLINE.column], default_model),
        *(
            _penalties(pooled[figure.column], figure.label)
            for figure in FIGURES
            if figure.column in _PENALTY_FIGURES
        ),
    ]


def _pooled_sobol(table: Sequence[Comparison], num_problems: int) -> str:
    rows = against(table, SOBOL)
    if not rows:
        return "There is nothing to compare with Sobol search."
    return (
        f"Final regret against Sobol search, all reported problems together ({num_problems}): "
        f"{_standing(rows.values())}."
    )


def _sobol_by_problem(tables: dict[str, list[Comparison]], half: Half) -> str:
    """On which problems every model of ours is ahead of Sobol, and which are not on the others."""
    rows = {
        name: {model: row for model, row in against(table, SOBOL).items() if model != GP}
        for name, table in tables.items()
    }
    if not any(rows.values()):
        return ""
    if all(row.verdict == "too few to say" for found in rows.values() for row in found.values()):
        return f"On single {half} problems there are too few instances to say who is ahead of Sobol search."
    short = {
        name: [model for model, row in found.items() if row.verdict != "ahead"]
        for name, found in rows.items()
    }
    everywhere = [name for name, models in short.items() if not models]
    sentence = (
        f"Every model of ours is ahead of Sobol search on "
        f"{_of(everywhere, _counted(len(tables), f'{half} problem'))}"
    )
    exceptions = [
        f"{name} ({'none of ours is' if len(models) == len(rows[name]) else ', '.join(models)})"
        for name, models in short.items()
        if models
    ]
    return f"{sentence}; not ahead on {', '.join(exceptions)}." if exceptions else f"{sentence}."


def _default_against_gp(
    tables: dict[str, list[Comparison]], pooled: Sequence[Comparison], default_model: str
) -> str:
    together = against(pooled, GP).get(default_model)
    if together is None:
        return f"{default_model} and {GP} are not both in this study."
    verdicts = {name: against(table, GP)[default_model].verdict for name, table in tables.items()}
    counts = []
    for word in get_args(Verdict):
        names = [name for name, found in verdicts.items() if found == word]
        if names:
            counts.append(f"{_WORDS[word]} on {len(names)} ({', '.join(names)})")
    low, high = (number(end, 3, signed=True) for end in (together.lower, together.upper))
    return (
        f"{default_model} against {GP} on {_counted(len(tables), 'reported problem')}, final regret: "
        f"{'; '.join(counts)}. All together: {number(together.difference, 3, signed=True)} "
        f"[{low}, {high}], {together.verdict} (n = {together.num_instances} instances)."
    )


def _penalties(table: Sequence[Comparison], label: str) -> str:
    rows = against(table, BARE)
    if not rows:
        return ""
    decided = all(row.verdict != "too few to say" for row in rows.values())
    none_ahead = decided and all(row.verdict != "ahead" for row in rows.values())
    found = "no penalty is ahead; " if none_ahead else ""
    return f"Penalties against {BARE}, {label}: {found}{_standing(rows.values())}."


_WORDS: dict[Verdict, str] = {
    "ahead": "ahead",
    "level": "level",
    "behind": "behind",
    "undecided": "undecided",
    "too few to say": "too few instances to say",
}


def _standing(rows: Iterable[Comparison]) -> str:
    """Who is ahead, level, behind, and of how many instances that is said."""
    rows = list(rows)
    parts = []
    for word, text in _WORDS.items():
        names = [row.method for row in rows if row.verdict == word]
        if names:
            parts.append(f"{text}: {', '.join(names)}")
    return f"{'; '.join(parts)} (n = {span([row.num_instances for row in rows])} instances)"


def _of(names: Sequence[str], all_of_them: str) -> str:
    listed = f" ({', '.join(names)})" if names else ""
    return f"{len(names)} of {all_of_them}{listed}"


def _counted(number_of: int, what: str) -> str:
    return f"{number_of} {what}{'' if number_of == 1 else 's'}"

"""From stored cells of a study of Bayesian optimization to data frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from surrogate_opt.errors import InputError
from surrogate_opt.study.bayesian.problems import PROBLEMS
from surrogate_opt.study.bayesian.spec import BayesianStudySpec
from surrogate_opt.study.store import ResultsStore

RUN_COLUMNS: Final = ("problem", "instance", "model")
PROPOSAL_COLUMNS: Final = (
    *RUN_COLUMNS,
    *("evaluation", "initial", "fallback", "truth", "best", "regret"),
    *("predicted", "predicted_std", "optimism", "promised", "phantom", "in50", "in95"),
    *("seconds_fit", "seconds_acquisition"),
)
CHECKPOINT_COLUMNS: Final = (
    *RUN_COLUMNS,
    *("evaluation", "inference_regret", "r2", "coverage50", "coverage95"),
)


@dataclass(frozen=True, kw_only=True)
class BayesianStudyData:
    """Everything stored of a study; regrets and optimism are in standard deviations of the truth.

    Attributes:
        spec: the study.
        proposals: one row an evaluation of a run (a problem, an instance and a model):

            - ``evaluation``: from 1; ``initial``: whether it is one of the first points;
            - ``fallback``: whether the model could not be used, and a Sobol point was evaluated;
            - ``truth``: noise-free value, raw; ``best``: the lowest so far; ``regret``: of the best;
            - ``predicted``, ``predicted_std``: at the time of the proposal, raw; NaN without a model;
            - ``optimism``: truth less prediction, positive where the model promised too much;
            - ``promised``: whether the prediction was lower than the best value observed; ``phantom``:
              whether it was, and the truth was no lower than the best truth;
            - ``in50``, ``in95``: 1 where the truth is inside of the central interval, 0 where not, else NaN;
            - ``seconds_fit``, ``seconds_acquisition``: of this proposal.
        checkpoints: one row a run and checkpoint: ``inference_regret`` of the point that the search would
            recommend, ``r2``, ``coverage50`` and ``coverage95`` of the model over the box.
        problems: one row a problem of the study: ``name``, ``dim``, ``smooth`` (bool), ``half`` ("tuning" or
            "reported").
        failures: one row a run that raised: ``problem``, ``instance``, ``model`` and ``message``. Such a
            run has no other rows.
    """

    spec: BayesianStudySpec
    proposals: pd.DataFrame
    checkpoints: pd.DataFrame
    problems: pd.DataFrame
    failures: pd.DataFrame


def load_bayesian_study(spec: BayesianStudySpec, results: Path) -> BayesianStudyData:
    """Read the stored cells of a study.

    Raises:
        InputError: none is stored, or the file is damaged.
    """
    tables: dict[str, list[dict[str, object]]] = {"proposals": [], "checkpoints": [], "failures": []}
    cells = spec.cells()
    with ResultsStore(results) as store:
        absent = {cell.key for cell in store.missing(cells)}
        stored = [cell for cell in cells if cell.key not in absent]
        for cell in stored:
            place = {"problem": cell.problem, "instance": cell.instance, "model": cell.model}
            for name, rows in store.get(cell).rows.items():
                tables[name] += [place | row for row in rows]
    if not stored:
        raise InputError(f"results: {results} holds no cell of study {spec.name!r}")
    return BayesianStudyData(
        spec=spec,
        proposals=pd.DataFrame(tables["proposals"], columns=list(PROPOSAL_COLUMNS)),
        checkpoints=pd.DataFrame(tables["checkpoints"], columns=list(CHECKPOINT_COLUMNS)),
        problems=problem_table(spec),
        failures=pd.DataFrame(tables["failures"], columns=[*RUN_COLUMNS, "message"]),
    )


def problem_table(spec: BayesianStudySpec) -> pd.DataFrame:
    """The problems of a study: ``name``, ``dim``, ``smooth``, ``half``."""
    kinds = [PROBLEMS[name] for name in spec.problems]
    return pd.DataFrame(
        {
            "name": [kind.name for kind in kinds],
            "dim": [kind.dim(spec.dim) for kind in kinds],
            "smooth": [kind.smooth for kind in kinds],
            "half": [kind.half for kind in kinds],
        }
    )

"""From stored cells of a study of model-predictive control to data frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from surrogate_opt.dynamics import Dynamics
from surrogate_opt.dynamics.dynamics_file import dynamics_of_parts
from surrogate_opt.errors import InputError
from surrogate_opt.study.control.spec import ControlCell, ControlStudySpec
from surrogate_opt.study.store import ResultsStore, StoredOutcome

CELL: Final = ["plant", "instance", "num_train"]
SURROGATE_COLUMNS: Final = (
    *CELL,
    *("method", "level", "test_error", "nonlinear_skill", "gradient_error", "gradient_error_p99"),
    *("tail_ratio", "gradient_p99", "gradient_max", "gain", "spike_excess", "disagreement", "kind"),
)
LOOP_COLUMNS: Final = (
    *CELL,
    *("method", "controller", "seconds_step", "start", "cost", "cost_ratio", "success", "plan_gap"),
    *("action_error", "chatter", "violation", "diverged"),
)


@dataclass(frozen=True, kw_only=True)
class ControlStudyData:
    """Everything stored of a study.

    Attributes:
        spec: the study.
        surrogates: one row a plant, instance, number of transitions and method: ``level`` of its strength and
            the fields of `DynamicsFigures`.
        loops: one row a closed loop (also a controller and a start), with the oracle's as those of the method
            "oracle": ``seconds_step`` of control for one loop, and the fields of `LoopFigures`.
        failures: one row a method that could not be trained, with its ``message``.
        models: the first instance's surrogates by plant, number of transitions and method.
    """

    spec: ControlStudySpec
    surrogates: pd.DataFrame
    loops: pd.DataFrame
    failures: pd.DataFrame
    models: dict[tuple[str, int, str], Dynamics]


def load_control_study(spec: ControlStudySpec, results: Path) -> ControlStudyData:
    """Read the stored cells of a study.

    Raises:
        InputError: none is stored, or the file is damaged.
    """
    tables: dict[str, list[dict[str, object]]] = {"surrogates": [], "loops": [], "failures": []}
    models: dict[tuple[str, int, str], Dynamics] = {}
    cells = spec.cells()
    with ResultsStore(results) as store:
        absent = {cell.key for cell in store.missing(cells)}
        stored = [cell for cell in cells if cell.key not in absent]
        for cell in stored:
            outcome, place = store.get(cell), dict(zip(CELL, _place(cell), strict=True))
            for name, rows in tables.items():
                rows += [place | row for row in outcome.rows[name]]
            models |= {
                (cell.plant, cell.num_train, method): model for method, model in _models(outcome).items()
            }
    if not stored:
        raise InputError(f"results: {results} holds no cell of study {spec.name!r}")
    return ControlStudyData(
        spec=spec,
        surrogates=pd.DataFrame(tables["surrogates"], columns=list(SURROGATE_COLUMNS)),
        loops=pd.DataFrame(tables["loops"], columns=list(LOOP_COLUMNS)),
        failures=pd.DataFrame(tables["failures"], columns=[*CELL, "method", "message"]),
        models=models,
    )


def _place(cell: ControlCell) -> tuple[str, int, int]:
    return cell.plant, cell.instance, cell.num_train


def _models(outcome: StoredOutcome) -> dict[str, Dynamics]:
    """The stored surrogates by method."""
    found = {}
    for row in outcome.rows["models"]:
        prefix = f"{row['method']}/"
        tensors = {
            name.removeprefix(prefix): tensor
            for name, tensor in outcome.arrays.items()
            if name.startswith(prefix)
        }
        found[row["method"]] = dynamics_of_parts(tensors, row["description"])
    return found

"""What bo prints at the end: how good the best point is, what the promises were worth, the time."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from surrogate_opt.cli.bo_run import BayesianRun
from surrogate_opt.cli.console import make_table, number


def print_summary(console: Console, run: BayesianRun) -> None:
    """Print a few lines on a run; "std" is the standard deviation of the truth over the box."""
    table = make_table()
    table.show_header = False
    lines = [*_result_lines(run), *_promise_lines(run), *_time_lines(run)]
    for row in lines:
        table.add_row(*row)
    console.print(table)


def _result_lines(run: BayesianRun) -> list[tuple[str, str]]:
    history, problem = run.history, run.problem
    best = history.iloc[int(history["truth"].to_numpy().argmin())]
    regret, sobol = float(history["regret"].iloc[-1]), run.sobol_regret[:, -1]
    behind = int((sobol <= regret).sum())
    return [
        (
            "best found",
            f"{number(best['truth'])} at evaluation {best['evaluation']}; the optimum is "
            f"{number(float(problem.optimal_value))} ({problem.optimum_source})",
        ),
        ("regret", f"{number(regret, 3)} std; of the point recommended {number(run.recommended_regret, 3)}"),
        (
            "without a model",
            f"{number(float(np.median(sobol)), 3)} std, the median of {len(sobol)} Sobol searches; "
            f"{behind} of them found as good a point",
        ),
    ]


def _promise_lines(run: BayesianRun) -> list[tuple[str, str]]:
    proposals = run.proposals
    if proposals.empty:
        return [("proposals", "none came from a model")]
    promised, phantoms = int(proposals["promised"].sum()), int(proposals["phantom"].sum())
    optimism = float(proposals["optimism"].mean())
    lines = [
        (
            "phantoms",
            f"{phantoms} of {promised} proposals that promised an improvement brought none "
            f"({run.phantom_share:.0%})"
            if promised
            else f"none of {len(proposals)} proposals promised an improvement",
        ),
        (
            "optimism",
            f"what came is {number(abs(optimism), 3)} std {'worse' if optimism > 0 else 'better'} than "
            "predicted, on average",
        ),
        (
            "calibration",
            f"{run.coverage(0.5):.0%} of what came is in the 50% interval, "
            f"{run.coverage(0.95):.0%} in the 95% interval",
        ),
    ]
    fallbacks = int((run.history["kind"] == "fallback").sum())
    if fallbacks:
        lines.append(("fallbacks", f"{fallbacks} proposals are Sobol points: history.csv notes why"))
    return lines


def _time_lines(run: BayesianRun) -> list[tuple[str, str]]:
    history = run.history
    num_steps = int(history["batch"].max())
    if num_steps == 0:
        return []
    fit, search = (float(history[name].sum()) for name in ("seconds_fit", "seconds_acquisition"))
    return [
        (
            "time",
            f"{number(run.seconds / num_steps, 3)} s a step (fit {number(fit / num_steps, 3)}, search "
            f"{number(search / num_steps, 3)}), {run.seconds:.0f} s in all",
        )
    ]

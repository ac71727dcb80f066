"""Studies of Bayesian optimization whose truth is known: made up, not run."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from surrogate_opt.study.bayesian.spec import MODELS, BayesianStudySpec
from surrogate_opt.study.bayesian.tables import (
    CHECKPOINT_COLUMNS,
    PROPOSAL_COLUMNS,
    BayesianStudyData,
    problem_table,
)

TUNING = ("branin", "rosenbrock10")
"""The tuning half of made-up studies, whatever that of real ones is."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a made-up model behaves.

    Attributes:
        regret: what its final regret is above the instance's own level, standard deviations.
        spread: standard deviation of that.
        optimism: mean of truth less prediction.
        phantoms: share of its promises that are broken; every other proposal promises.
        coverage50: share of truths inside its 50% interval.
        coverage95: share of truths inside its 95% interval.
        seconds: of a refit.
    """

    regret: float = 0.0
    spread: float = 0.01
    optimism: float = 0.1
    phantoms: float = 0.4
    coverage50: float = 0.5
    coverage95: float = 0.95
    seconds: float = 0.1


def synthetic_study(
    behaviours: dict[str, Behaviour],
    *,
    problems: tuple[str, ...] = ("hartmann6", "ackley10", "branin"),
    instances: int = 12,
    evaluations: int = 40,
    num_initial: int = 10,
    seed: int = 0,
) -> BayesianStudyData:
    """Every model of ``behaviours`` on every instance; curves fall to the level that its behaviour says."""
    generator = np.random.default_rng(seed)
    spec = BayesianStudySpec(
        default_model="ensemble:dreg",
        name="synthetic",
        problems=problems,
        models=tuple(name for name in MODELS if name in behaviours),
        instances=instances,
        evaluations=evaluations,
    )
    proposals, checkpoints = [], []
    places = [(name, spec.first_instance + number) for number in range(instances) for name in problems]
    for problem, instance in places:
        level, start = 1.0 + 0.2 * generator.random(), 3.0 + generator.random()
        for model in spec.models:
            behaviour = behaviours[model]
            final = level + behaviour.regret + behaviour.spread * generator.standard_normal()
            place = {"problem": problem, "instance": instance, "model": model}
            modelled = model != "sobol"
            run = _run(behaviour, start, final, evaluations, num_initial, modelled, generator)
            proposals += [place | row for row in run]
            checkpoints.append(
                place
                | {
                    "evaluation": evaluations,
                    "inference_regret": final,
                    "r2": 0.8 if modelled else math.nan,
                    "coverage50": behaviour.coverage50 if modelled else math.nan,
                    "coverage95": behaviour.coverage95 if modelled else math.nan,
                }
            )
    return BayesianStudyData(
        spec=spec,
        proposals=pd.DataFrame(proposals, columns=list(PROPOSAL_COLUMNS)),
        checkpoints=pd.DataFrame(checkpoints, columns=list(CHECKPOINT_COLUMNS)),
        problems=problem_table(spec).assign(
            half=["tuning" if name in TUNING else "reported" for name in problems]
        ),
        failures=pd.DataFrame(columns=["problem", "instance", "model", "message"]),
    )


def _run(behaviour, start, final, evaluations, num_initial, modelled, generator):
    """Rows of one run: flat at ``start`` over the initial points, then down to ``final`` in even ratios."""
    steps = evaluations - num_initial
    ratios = np.concatenate([np.ones(num_initial), (final / start) ** (np.arange(1, steps + 1) / steps)])
    rows = []
    for evaluation, ratio in enumerate(ratios, start=1):
        initial = evaluation <= num_initial
        predicts = modelled and not initial
        promised = predicts and evaluation % 2 == 0
        regret = start * ratio
        optimism = behaviour.optimism + 0.05 * generator.standard_normal() if predicts else math.nan
        rows.append(
            {
                "evaluation": evaluation,
                "initial": initial,
                "fallback": False,
                "truth": regret,
                "best": regret,
                "regret": regret,
                "predicted": regret - optimism,
                "predicted_std": 0.1 if predicts else math.nan,
                "optimism": optimism,
                "promised": promised,
                "phantom": promised and generator.random() < behaviour.phantoms,
                "in50": float(generator.random() < behaviour.coverage50) if predicts else math.nan,
                "in95": float(generator.random() < behaviour.coverage95) if predicts else math.nan,
                "seconds_fit": behaviour.seconds if predicts else math.nan,
                "seconds_acquisition": 0.05 if predicts else math.nan,
            }
        )
    return rows


def without_runs(data, model, problems, instances):
    """The same study, some runs of a model being still to be computed."""

    def kept(frame):
        hit = frame["model"].eq(model) & frame["problem"].isin(problems) & frame["instance"].isin(instances)
        return frame[~hit]

    return replace(data, proposals=kept(data.proposals), checkpoints=kept(data.checkpoints))


def with_failures(data, model, problems, instances):
    """The same study, a model having raised on some instances."""
    rest = without_runs(data, model, problems, instances)
    lost = [
        {"problem": problem, "instance": instance, "model": model, "message": "TrainingError: diverged"}
        for problem in problems
        for instance in instances
    ]
    return replace(rest, failures=pd.concat([data.failures, pd.DataFrame(lost)], ignore_index=True))

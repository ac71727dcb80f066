"""Studies of closed loops whose truth is known: made up, not run."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from surrogate_opt.study.control.cell import ORACLE
from surrogate_opt.study.control.spec import ControlStudySpec
from surrogate_opt.study.control.tables import LOOP_COLUMNS, SURROGATE_COLUMNS, ControlStudyData


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a made-up method behaves.

    Attributes:
        cost_ratio: of its loops.
        plan_gap: of its loops.
        gradient_error: of its surrogates.
        success: share of its loops.
        kind: of its surrogates.
    """

    cost_ratio: float = 1.05
    plan_gap: float = 0.1
    gradient_error: float = 0.05
    success: float = 1.0
    kind: str = "sound"


def synthetic_control_study(
    behaviours: dict[str, Behaviour],
    *,
    plants=("pendulum", "cstr"),
    controllers=("ilqr", "mppi"),
    num_train=(100, 1000),
    instances=12,
    starts=4,
    oracle_success=None,
    gradient_penalty=0.0,
    seed=0,
):
    """Every method of ``behaviours`` on every instance.

    Args:
        oracle_success: by (controller, plant), the oracle's share of successes; 1 where nothing is said.
        gradient_penalty: what the plan gap is larger by under ilqr.
    """
    generator = np.random.default_rng(seed)
    spec = ControlStudySpec(
        name="synthetic",
        plants=plants,
        methods=tuple(behaviours),
        controllers=controllers,
        instances=instances,
        num_train=num_train,
        starts=starts,
    )
    surrogates, loops = [], []
    for cell in spec.cells():
        place = {"plant": cell.plant, "instance": cell.instance, "num_train": cell.num_train}
        for method, behaviour in behaviours.items():
            surrogates.append(place | _surrogate(method, behaviour, generator))
        for controller in controllers:
            share = (oracle_success or {}).get((controller, cell.plant), 1.0)
            for start in range(starts):
                common = place | {"controller": controller, "start": start, "seconds_step": 0.01}
                loops.append(
                    common | _loop(ORACLE, Behaviour(cost_ratio=1.0, plan_gap=0.0, success=share), generator)
                )
                for method, behaviour in behaviours.items():
                    row = _loop(method, behaviour, generator)
                    row["plan_gap"] += gradient_penalty * (controller == "ilqr")
                    loops.append(common | row)
    return ControlStudyData(
        spec=spec,
        surrogates=pd.DataFrame(surrogates, columns=list(SURROGATE_COLUMNS)),
        loops=pd.DataFrame(loops, columns=list(LOOP_COLUMNS)),
        failures=pd.DataFrame(columns=["plant", "instance", "num_train", "method", "message"]),
        models={},
    )


def _surrogate(method, behaviour, generator):
    figures = dict.fromkeys(SURROGATE_COLUMNS[3:], 0.5)
    return figures | {
        "method": method,
        "level": 0.01,
        "kind": behaviour.kind,
        "gradient_error": behaviour.gradient_error * np.exp(0.01 * generator.standard_normal()),
        "test_error": 0.01 * np.exp(0.01 * generator.standard_normal()),
    }


def _loop(method, behaviour, generator):
    ratio = behaviour.cost_ratio * (1.0 if method == ORACLE else np.exp(0.005 * generator.standard_normal()))
    return {
        "method": method,
        "cost": 10.0 * ratio,
        "cost_ratio": ratio,
        "success": bool(generator.random() < behaviour.success),
        "plan_gap": behaviour.plan_gap + (method != ORACLE) * 0.001 * generator.standard_normal(),
        "action_error": 0.1,
        "chatter": 0.02,
        "violation": 0.0,
        "diverged": 0.0,
    }

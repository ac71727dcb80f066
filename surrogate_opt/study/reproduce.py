"""The command that repeats a study."""

from __future__ import annotations

import json
import shlex

from surrogate_opt.study.spec import BUDGETS, StudySpec

_OPTIONS = ("families", "methods", "instances", "name", "device", "seed")
"""Fields that the command line has an option for; others go into a TOML file."""


def command(spec: StudySpec) -> tuple[str, str]:
    """The command line, and the TOML file it needs (empty where it needs none).

    The budget is the one from which the fewest fields differ.
    """
    differing = {name: _differing(spec, base) for name, base in BUDGETS.items()}
    budget = min(differing, key=lambda name: len(differing[name]))
    changed = differing[budget]
    words = ["surrogate-opt", "run", "--budget", budget]
    filed = {name: value for name, value in changed.items() if name not in _OPTIONS}
    if filed:
        words += ["--spec", "study.toml"]
    for name in _OPTIONS:
        if name in changed:
            words += [f"--{name}", _word(changed[name])]
    return shlex.join(words), "\n".join(f"{name} = {json.dumps(value)}" for name, value in filed.items())


def _differing(spec: StudySpec, base: StudySpec) -> dict[str, object]:
    ours, theirs = spec.model_dump(mode="json"), base.model_dump(mode="json")
    return {name: value for name, value in ours.items() if value != theirs[name]}


def _word(value: object) -> str:
    return ",".join(str(one) for one in value) if isinstance(value, list) else str(value)

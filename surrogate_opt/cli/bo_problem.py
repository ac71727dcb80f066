"""The problem that a user names: a family or a function, with its number of inputs as a suffix."""

from __future__ import annotations

import re

from surrogate_problems.botorch_functions import BotorchFunction
from surrogate_problems.families import FAMILIES
from surrogate_problems.functions import function_names, get_function
from surrogate_problems.problem import Problem, ProblemError
from surrogate_problems.transformed import TransformedFunction

from surrogate_opt.data.checks import refuse_unknown, shortened
from surrogate_opt.errors import InputError

_MOST_DIGITS = 4  # problems of more inputs do not fit into memory


def make_problem(name: str, instance: int | None) -> Problem:
    """The problem of that name, without noise.

    Args:
        name: a family or a function, such as "sparse", "entangled6", "hartmann6" or "borehole".
        instance: which of the random functions of a family; of a function, which copy with its inputs moved
            and turned. None is a family's first one, and a function as it was published.

    Raises:
        InputError: there is no such problem, not of that number of inputs, or it has no instances.
    """
    match = re.fullmatch(r"(.*?)(\d*)", name.strip().lower())
    assert match is not None, "the pattern takes any line"
    stem, digits = match.groups()
    if len(digits) > _MOST_DIGITS:
        raise InputError(f"--problem: expected at most {_MOST_DIGITS} digits; came {shortened(name)}")
    try:
        if stem in FAMILIES:
            return FAMILIES[stem](dim=int(digits) if digits else 10, seed=instance or 0)
        if _plain(stem) not in map(_plain, function_names()):
            refuse_unknown("--problem", name, (*FAMILIES, *function_names()))
        function = get_function(name)
        if instance is None:
            return function
        if isinstance(function, BotorchFunction):
            return TransformedFunction(function.name, function.dim, seed=instance)
    except ProblemError as error:
        raise InputError(f"--problem: {error}") from None
    raise InputError(f"--instance: expected none with {name}, of which there is one")


def _plain(name: str) -> str:
    """A name as ``get_function`` reads it."""
    return re.sub(r"[-_\s]", "", name)

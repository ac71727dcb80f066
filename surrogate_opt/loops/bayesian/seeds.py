"""Seeds of the loop's random draws: functions of the loop's seed and of how far it has come.

So a loop that is read back from a file goes on as it would have, without a generator's state in the file.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a seed is for; part of what it is derived from, so never renumber."""

    PROPOSAL = 1
    RECOMMENDATION = 2
    FIT = 3


def derived_seed(seed: int, purpose: Purpose, *counts: int) -> int:
    """A seed from 0 to 2^62 for one purpose at one moment.

    Args:
        seed: the loop's.
        purpose: what is drawn.
        counts: what tells this draw from others, such as the number of evaluations.
    """
    (state,) = np.random.SeedSequence((seed, purpose, *counts)).generate_state(1, np.uint64)
    return int(state) >> 2

"""Seeds of a closed loop's random draws: functions of the run's seed, the purpose and the start."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a seed is for; part of what it is derived from, so never renumber."""

    PLANNING = 1
    PROCESS_NOISE = 2
    MEASUREMENT_NOISE = 3


def start_seeds(seed: int, purpose: Purpose, num_starts: int) -> list[int]:
    """One seed from 0 to 2^62 for each start; the first ones do not depend on how many there are."""
    sequences = (np.random.SeedSequence((seed, purpose, start)) for start in range(num_starts))
    return [int(sequence.generate_state(1, np.uint64)[0]) >> 2 for sequence in sequences]

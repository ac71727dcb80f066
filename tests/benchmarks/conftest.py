"""What the benchmarks share: two processors and two threads, and timings of rivals taken in turns."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch

NUM_THREADS = 2


@dataclass(frozen=True)
class Timings:
    """Seconds of every round of every rival; the rivals took turns, so that load falls on all alike."""

    seconds: dict[str, list[float]]

    def best(self, name: str) -> float:
        """The fastest round: what the machine does where nothing disturbs it."""
        return min(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Fastest round over fastest round."""
        return self.best(name) / self.best(other)

    def median_ratio(self, name: str, other: str) -> float:
        """The median of the rounds' own ratios."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return statistics.median(a / b for a, b in pairs)


def time_in_turns(rivals: dict[str, Callable[[], object]], rounds: int, *, warm_up: bool = True) -> Timings:
    """Run every rival once a round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for round_number in range(rounds + warm_up):
        for name, run in rivals.items():
            start = time.perf_counter()
            run()
            if round_number >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return Timings(seconds)


@pytest.fixture(scope="session", autouse=True)
def two_processors() -> Iterator[None]:
    """Tie the process to two processors, for the libraries whose threads cannot be counted otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(NUM_THREADS)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:NUM_THREADS])
    yield
    os.sched_setaffinity(0, allowed)
    torch.set_num_threads(threads)


@pytest.fixture
def compare(benchmark):
    """Time rivals in turns, and show the first of them in pytest-benchmark's table."""

    def run(rivals: dict[str, Callable[[], object]], rounds: int, *, warm_up: bool = True) -> Timings:
        timings = time_in_turns(rivals, rounds, warm_up=warm_up)
        benchmark.pedantic(next(iter(rivals.values())), rounds=1)
        for name in rivals:
            benchmark.extra_info[f"{name}_s"] = timings.best(name)
        return timings

    return run


@pytest.fixture
def report(benchmark, capsys):
    """Print a figure where it is seen, and keep it in the benchmark's file."""

    def write(**figures: float) -> None:
        benchmark.extra_info.update(figures)
        load = os.getloadavg()[0]
        with capsys.disabled():
            line = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
            print(f"\n  {benchmark.name}: {line} (load {load:.1f})")

    return write

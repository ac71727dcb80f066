"""One thread where matrices are small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: on matrices of some hundred rows, threads mostly wait for each other.

    Refits of a loop's models, and ascents of its acquisitions, take up to five times as long on two threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

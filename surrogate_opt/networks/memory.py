"""Keeps freed memory in the process, where glibc would hand it back after every operation.

A stack's intermediate tensors are of one to a few megabytes. glibc's malloc gives blocks of that size back to
the system when they are freed and fetches zeroed pages anew for the next ones; the page faults then cost two
to four times the arithmetic (measured: 46 against 13 us per member and step). Its thresholds rise to the
size of the largest mapped block ever freed, at most 32 MiB, so freeing one such block once is a cure. With
other allocators it is a harmless allocation.
"""

from functools import cache

import torch


@cache
def hold_freed_memory() -> None:
    """Raise malloc's thresholds to their maximum; does something on the first call alone."""
    torch.empty(32 * 2**20 - 8192, dtype=torch.uint8).fill_(0)

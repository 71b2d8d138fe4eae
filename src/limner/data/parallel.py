"""Many small tasks on threads, results in order, with only a few in flight, so that memory stays small.

Pillow releases the interpreter while it decodes, so threads use every core.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
CHUNK = 16


def in_order(function: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
    """`map(function, items)` on threads."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[list[B]]] = deque()
    try:
        for start in range(0, len(items), CHUNK):
            pending.append(pool.submit(lambda part: [function(item) for item in part], items[start : start + CHUNK]))
            if len(pending) > 4 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

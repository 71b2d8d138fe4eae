"""Freed memory is kept for the next large tensor.

The C library of Linux gives each large block back to the system when it is freed, and the next one of the same size is
faulted in anew, page by page and zeroed: a third of the time of a climb from 512 rows, half of it at 64 pixels.
"""

from __future__ import annotations

import ctypes
import os

# options of mallopt(3)
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
GIGABYTE = 2**30


def keep_freed_memory() -> bool:
    """Tell the C library of this process; whether it could be told. MALLOC_… in the environment has precedence."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    told = [mallopt(MMAP_THRESHOLD, GIGABYTE), mallopt(TRIM_THRESHOLD, GIGABYTE), mallopt(TOP_PAD, GIGABYTE // 16)]
    return all(told)

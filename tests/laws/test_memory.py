"""Memory that is kept: large tensors are not faulted in again and again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COUNTED = """
import resource, sys
from limner.core.memory import keep_freed_memory
told = keep_freed_memory() if sys.argv[1] == "kept" else None
import torch
for _ in range(20):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **more: str) -> tuple[str, int]:
    """Whether the C library could be told, and page faults of ten tensors of 64 MB, after twenty others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    made = subprocess.run(
        [sys.executable, "-c", COUNTED, how], env=clean | more, capture_output=True, text=True, check=True
    )
    told, count = made.stdout.split()
    return told, int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries have no mallopt")
def test_large_tensors_take_the_place_of_the_last_ones() -> None:
    told, kept = faults("kept")
    if told == "False":
        pytest.skip("this C library cannot be told")
    assert kept < 0.1 * faults("returned")[1]
    assert faults("kept", MALLOC_ARENA_MAX="2")[0] == "False", "what the user told it stands"

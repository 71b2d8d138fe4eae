"""Several processes from one command: `limner train --devices N` starts N of itself and waits for them.

On one machine the parent keeps the meeting place, hands signals on and ends the others when one fails.
Across machines `torchrun` does that; the same `limner train` line then runs under it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from limner.core.errors import UserError

GRACE = 30.0
"""Seconds that processes have to save and end after one of them failed or a signal came."""
ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"


def is_child() -> bool:
    """Whether this process is one of several already."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def run_here(arguments: Sequence[str], processes: int) -> int:
    """Run `limner ARGUMENTS` in so many processes on this machine; the exit code of the first that failed."""
    import torch.distributed as dist

    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    # as under torchrun: the store is served here, not by the first child
    served = {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    threads = max(1, (os.cpu_count() or 1) // processes)
    shared = {ADDRESS: "127.0.0.1", PORT: str(store.port), "WORLD_SIZE": str(processes)} | served
    shared |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "limner.cli", *arguments],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            # A terminal's Ctrl-C would reach the children twice: from it and from here.
            start_new_session=True,
        )
        for rank in range(processes)
    ]
    return _wait(children)


def run_across(arguments: Sequence[str], processes: int, nodes: int) -> int:
    """Become `torchrun` over several machines; MASTER_ADDR and MASTER_PORT say where they meet."""
    if ADDRESS not in os.environ:
        raise UserError(f"--nodes {nodes}: set {ADDRESS} (and {PORT}) to the first machine, on every machine")
    meeting = f"{os.environ[ADDRESS]}:{os.environ.get(PORT, '29500')}"
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(nodes)]
    command += ["--nproc-per-node", str(processes), "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting]
    return _wait([subprocess.Popen([*command, "-m", "limner.cli", *arguments], start_new_session=True)])


def _wait(children: list[subprocess.Popen[bytes]]) -> int:
    """Until all have ended. The first failure, or a signal to us, ends the others."""
    got: list[int] = []
    before = {n: signal.signal(n, lambda number, _: got.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    ending: float | None = None
    failed = 0
    try:
        while any(child.poll() is None for child in children):
            codes = [child.returncode for child in children if child.returncode]
            failed = failed or (codes[0] if codes else 0)
            if ending is None and (failed or got):
                ending = time.monotonic() + GRACE
                _tell(children, got[0] if got else signal.SIGTERM)
            if ending is not None and time.monotonic() > ending:
                _tell(children, signal.SIGKILL)
            time.sleep(0.05)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    failed = failed or next((child.returncode for child in children if child.returncode), 0)
    return 128 + got[0] if got else failed if failed >= 0 else 128 - failed


def _tell(children: list[subprocess.Popen[bytes]], number: int) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)

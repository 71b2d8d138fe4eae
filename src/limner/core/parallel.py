"""One process or many: the same loop under `torchrun`, one flat gradient all-reduce a turn.

No wrappers: gradient penalties, frozen critics and several turns a step all go through unchanged.
"""

from __future__ import annotations

import datetime
import os

import torch
import torch.distributed as dist
from torch import Tensor

from limner.core.errors import UserError


def join(device: torch.device) -> None:
    """Meet the other processes if `torchrun` started several; do nothing otherwise."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        return
    # A store of our own per restart: peers of the last try may still hold sockets of the shared one.
    store = dist.TCPStore(  # pyright: ignore[reportPrivateImportUsage]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        # torchrun's agent already serves the store; other launchers (SLURM) leave that to the first process
        is_master=os.environ["RANK"] == "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        timeout=datetime.timedelta(seconds=60),
        wait_for_workers=False,
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=dist.PrefixStore(f"try{attempt}", store),  # pyright: ignore[reportPrivateImportUsage]
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=datetime.timedelta(seconds=int(os.environ.get("LIMNER_PEER_TIMEOUT", "300"))),
    )


def leave() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """This process's number, 0 in a single one."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rows(total: int) -> slice:
    """This process's rows of a batch, which must divide evenly."""
    if total % size():
        fitting = total // size() * size() or size()
        raise UserError(f"a batch of {total} does not divide among {size()} processes; use -o batch={fitting}")
    share = total // size()
    return slice(rank() * share, (rank() + 1) * share)


def average(tensors: list[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in one message."""
    if size() == 1 or not tensors:
        return
    flat = torch.cat([t.flatten() for t in tensors])
    _all_reduce(flat, dist.ReduceOp.SUM)
    flat /= size()
    for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def gather(rows: Tensor) -> Tensor:
    """The rows of all processes in order, the same in each: (n, …) → (n · processes, …)."""
    if size() == 1:
        return rows.clone()
    whole = rows.new_zeros(size() * len(rows), *rows.shape[1:])
    whole[rank() * len(rows) : (rank() + 1) * len(rows)] = rows
    _all_reduce(whole, dist.ReduceOp.SUM)  # exact: all the others add zeros
    return whole


def agree(seconds: float, stop: bool, device: torch.device) -> tuple[float, bool]:
    """The slowest process's clock, and whether any wants to stop: what follows from them must not differ."""
    if size() == 1:
        return seconds, stop
    both = torch.tensor([seconds, float(stop)], device=device, dtype=torch.float32)
    _all_reduce(both, dist.ReduceOp.MAX)
    return both[0].item(), bool(both[1].item())


def _all_reduce(tensor: Tensor, op: dist.ReduceOp.RedOpType) -> None:
    try:
        dist.all_reduce(tensor, op)
    except RuntimeError as error:
        raise UserError("another process of this training was lost; start them all again with --resume") from error

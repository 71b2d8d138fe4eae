"""Randomness as a function of (seed, nimg, purpose), so that a resumed run equals an uninterrupted one."""

from __future__ import annotations

import hashlib

import torch


def derived(seed: int, nimg: int, purpose: str) -> int:
    """A 63-bit seed that depends on all three and on nothing else."""
    digest = hashlib.blake2b(f"{seed}/{nimg}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, nimg: int = 0, purpose: str = "", device: str | torch.device = "cpu") -> torch.Generator:
    """A fresh torch.Generator for one purpose at one moment."""
    return torch.Generator(device).manual_seed(derived(seed, nimg, purpose))


def reseed(seed: int, device: torch.device) -> None:
    """Seed the global generators that dropout on a device draws from.

    Not torch.manual_seed: before CUDA starts it files a stack trace for later at every call.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)

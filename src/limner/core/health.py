"""What a look says to the training loop: is all well, is another look needed, or must it go back?"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from limner.core import parallel


@dataclass(frozen=True)
class Health:
    """What a look found: whether an earlier one was better, whether it shows a first sign of trouble that another look
    must confirm, and why to go back to the best now, if so.
    """

    worse: bool = False
    worried: bool = False
    ill: str = ""


def agreed(found: Health, device: torch.device) -> Health:
    """The same in all processes, of which only the first looks."""
    flags = (found.worse, found.worried, bool(found.ill))
    worse, worried, ill = (parallel.agree(0.0, flag, device)[1] for flag in flags)
    return Health(worse, worried, (found.ill or "ill") if ill else "")

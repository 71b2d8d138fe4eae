"""Options that several verbs share, and the frame of a verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from limner.cli.values import SIZE
from limner.core.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])
DEVICES = ("auto", "cpu", "cuda", "mps")

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there.")
device_flag = click.option(
    "--device", default="auto", show_default=True, metavar="|".join(DEVICES), help="Where to compute."
)
seed_flag = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same result."
)
size_flag = click.option("--size", type=SIZE, metavar="N|HxW", help="Pixels: 64, or 96x64 for 96 high, 64 wide.")
with_flag = click.option(
    "--with", "files", multiple=True, metavar="FILE.py", help="Your own file, with the networks MODEL is made of."
)
split_flag = click.option("--split", metavar="NAME", help="Which part of the data: train, test, ...")
channels_flag = click.option(
    "--channels", type=click.IntRange(1, 4), help="1 grey, 2 grey + alpha, 3 colour, 4 colour + alpha."
)


def examples(*lines: str) -> str:
    """The end of a verb's help: lines to copy."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def load_files(files: tuple[str, ...]) -> None:
    """Import the files of `--with`."""
    from limner.core.spec import load_user_file

    for file in files:
        load_user_file(file)


def pick_device(name: str, same_bits: bool = False) -> str:
    """The torch device of `--device`; `auto` takes the fastest kind there is.

    On a CPU it also takes as many threads as there are free cores, which may change the last bits of what is computed:
    `same_bits` says that nothing may.
    """
    device = _device(name)
    if device == "cpu" and not same_bits:
        _settle_threads()
    return device


def _settle_threads() -> None:
    from limner.cli.show import remark
    from limner.core import threads

    if (count := threads.settle()) < (most := threads.most()) and not threads.told():
        remark(f"threads: {count} of {most}, as other programs use this machine (OMP_NUM_THREADS={most} takes all)")


def _device(name: str) -> str:
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    kind = name.partition(":")[0]
    if kind not in there:
        raise UserError(f"--device {name}: choose one of {', '.join(DEVICES)}")
    if not there[kind]:
        able = ", ".join(k for k, yes in there.items() if yes)
        raise UserError(f"--device {name}: this machine and this torch have no {kind}; there is {able}")
    return name

"""`limner verify`: rerun published and exact results, and see ours beside them."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from limner.cli.flags import examples, json_flag
from limner.cli.show import emit, line, progress, remark, table, writing
from limner.core.errors import UserError


@click.command(
    epilog=examples(
        "limner verify --list  # what can be verified",
        "limner verify --quick --data DATASETS  # everything, small: under ten minutes on two cores",
        "limner verify infogan --data DATASETS  # one result as published, over three seeds",
        "limner verify infogan --seeds 0 --json",
    )
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Short versions that only show that each thing works.")
@click.option("--seeds", default="0,1,2", show_default=True, metavar="0,1,…", help="--quick takes the first.")
@click.option(
    "--data", default="data", show_default=True, metavar="DIR", help="The folder with mnist/, flowers/, weights/, …"
)
@click.option("--out", default="runs/verify", show_default=True, metavar="DIR", help="Runs, rows and tables.")
@click.option("--list", "listing", is_flag=True, help="Say what there is, and run nothing.")
@json_flag
def verify(names: tuple[str, ...], quick: bool, seeds: str, data: str, out: str, listing: bool, as_json: bool) -> int:
    """Rerun published and exact results (all, or those NAMEd) and print ours beside them.

    A stopped verification goes on where it was: what is done lies in --out. The table is written there too, as
    table.md and table.html. A result whose data are missing is skipped, and said so. The exit code is 1 where a
    target was missed or a result could not be measured.
    """
    from limner.proofs.base import Bench, proofs

    if listing:
        about = {name: (inspect.getdoc(function) or "").partition("\n")[0] for name, function in proofs().items()}
        emit(about) if as_json else table(about.items())
        return 0
    many = len(names) or len(proofs())
    cost = "under a minute each" if quick else "each takes minutes, some an hour; the same command goes on after Ctrl-C"
    remark(f"{many} result{'s' if many > 1 else ''} to verify; {cost}")
    with writing(out), progress("verifying") as tick:
        numbers = _numbers(seeds)[: 1 if quick else None]
        bench = Bench(Path(data), Path(out) / "runs", quick, numbers, lambda _, share: tick(share, 0))
        return _run(names, bench, Path(out), as_json)


def _run(names: tuple[str, ...], bench: object, out: Path, as_json: bool) -> int:
    from limner import verify as engine
    from limner.core.store import write_text
    from limner.proofs.base import Bench

    assert isinstance(bench, Bench)
    proved: list[engine.Proved] = []
    for one in engine.verify(names, bench, out):
        proved.append(one)
        _say(one, as_json)
        write_text(out / "table.md", engine.markdown(proved))
        write_text(out / "table.html", engine.page(proved))
    if not as_json:
        line(f"table    {out / 'table.html'}")
    return 0 if all(one.met for one in proved) else 1


def _say(one: object, as_json: bool) -> None:
    """What came of a proof, at once."""
    from limner import verify as engine

    assert isinstance(one, engine.Proved)
    if as_json:
        emit(one)
        return
    line(f"{one.name}: " + (one.why or f"{one.seconds:.0f} s"))
    known = [f"published: {row.published}" if row.published else "" for row in one.rows]
    figures = [(f"  {row.what}", engine.figure(row), engine.target(row)) for row in one.rows]
    table((*cells, published) for cells, published in zip(figures, known, strict=True))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = (-1,)
    if min(numbers) < 0:
        raise UserError(f"--seeds {text}: give whole numbers from 0 with commas, such as 0,1,2")
    return numbers

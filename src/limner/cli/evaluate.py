import click


@click.command("evaluate")
def evaluate() -> None:  # pragma: no cover
    "x"
